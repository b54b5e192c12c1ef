package bot

import (
	"slices"
	"strings"

	"twokey/approvals"
)

// People maps accounts of one Slack team to persons. An account's identity is
// the pair (team, user id); names and e-mail addresses are never looked at.
type People struct {
	Team   string
	ByUser map[string]approvals.Person // by user id
}

const strangerPrefix = "slack:"

// Person resolves an account. One that isn't mapped is a stranger with a name
// made of its ids, who may ask but is never on a list of approvers by accident.
func (p People) Person(team, user string) approvals.Person {
	if who, ok := p.ByUser[user]; ok && team == p.Team {
		return who
	}
	return approvals.Person(strangerPrefix + team + "/" + user)
}

// Accounts lists the user ids of the team that stand for who, sorted.
func (p People) Accounts(who approvals.Person) []string {
	var users []string
	for user, person := range p.ByUser {
		if person == who {
			users = append(users, user)
		}
	}
	if team, user, ok := parseStranger(who); ok && team == p.Team {
		users = append(users, user)
	}
	slices.Sort(users)
	return users
}

func parseStranger(who approvals.Person) (team, user string, ok bool) {
	ids, ok := strings.CutPrefix(string(who), strangerPrefix)
	if !ok {
		return "", "", false
	}
	team, user, ok = strings.Cut(ids, "/")
	return team, user, ok && team != "" && user != ""
}

// placeOf is the approvals' notion of where something was asked or pressed.
func placeOf(team, channel string) string { return strangerPrefix + team + "/" + channel }
