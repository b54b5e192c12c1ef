package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/store"
)

// mostSlackSkew is far below the five minutes after which deliveries are refused.
const mostSlackSkew = time.Minute

func (d doctor) slackOptions() bot.Options {
	return (&service{cfg: d.cfg}).slackOptions(d.secrets)
}

// slack tries the tokens, their scopes, the channel and the clock.
func (d doctor) slack(ctx context.Context) []finding {
	const area = "slack"
	e, err := bot.Examine(ctx, d.slackOptions())
	if err != nil {
		return []finding{broken(area, "bot token", err.Error(), "Mend the section slack of the configuration.")}
	}
	if e.Token != nil {
		return []finding{broken(area, "bot token", e.Token.Error(), sentence(bot.Remedy(e.Token)))}
	}
	found := []finding{works(area, "bot token", fmt.Sprintf("team %s, account %s", e.Team, e.User))}
	if err := e.CheckTeam(d.cfg.Slack.Team); err != nil {
		found[0] = broken(area, "bot token", err.Error(), "Give the token of that team's app, or correct slack.team.")
	}
	found = append(found, scopesFound(area, e), errorFound(area, "membership of channel "+d.cfg.Slack.Channel, e.Channel))
	if d.cfg.Slack.Socket() {
		found = append(found, errorFound(area, "Socket Mode", e.Socket))
	}
	return append(found, slackClock(area, e))
}

func scopesFound(area string, e bot.Examination) finding {
	switch {
	case len(e.Scopes) == 0:
		return untried(area, "scopes", "the answer doesn't name any", "Compare them with those of `bot slack manifest`.")
	case len(e.Missing) > 0:
		return broken(area, "scopes", "missing: "+strings.Join(e.Missing, ", "), "Add them to the app (`bot slack manifest` has all), and reinstall it to the workspace.")
	}
	return works(area, "scopes", strings.Join(e.Scopes, ", "))
}

func errorFound(area, what string, err error) finding {
	if err != nil {
		return broken(area, what, err.Error(), sentence(bot.Remedy(err)))
	}
	return works(area, what, "works")
}

func slackClock(area string, e bot.Examination) finding {
	const what = "clock"
	if !e.HasSkew {
		return untried(area, what, "the answer has no date", "Look whether this machine keeps time (NTP).")
	}
	if e.Skew.Abs() > mostSlackSkew {
		return broken(area, what, "this machine's differs from Slack's by "+e.Skew.Round(time.Second).String(), "Let this machine keep time (NTP): from five minutes on, deliveries are refused.")
	}
	return works(area, what, "within a minute of Slack's")
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// people looks up every approver's account, as it is done before a vote counts.
func (d doctor) people(ctx context.Context) []finding {
	const area = "approvers"
	directory, err := bot.NewDirectory(d.slackOptions())
	if err != nil {
		return nil // the token: said above
	}
	defer directory.Close()
	voters, found := d.voters(ctx)
	for _, who := range voters {
		err := directory.Check(ctx, who)
		switch {
		case approvals.Refused(err) == approvals.CodeAccount:
			found = append(found, broken(area, string(who), err.Error(), "Correct the member id in the configuration, or let somebody else approve."))
		case err != nil:
			found = append(found, untried(area, string(who), err.Error(), "Look at what is said of slack."))
		default:
			found = append(found, works(area, string(who), "the account may vote"))
		}
	}
	return found
}

// voters are the approvers: the configured ones, or the members of their group.
func (d doctor) voters(ctx context.Context) ([]approvals.Person, []finding) {
	policy := d.cfg.Policy.Domain()
	group := d.cfg.Policy.ApproverGroup
	if group == "" {
		return policy.Approvers, nil
	}
	const area = "approvers"
	what := "user group " + group
	roster, err := bot.NewRoster(d.slackOptions())
	if err != nil {
		return nil, nil // the token: said above
	}
	defer roster.Close()
	members, err := roster.Approvers(ctx)
	if err != nil {
		return nil, []finding{broken(area, what, err.Error(), "Give the app the scope usergroups:read, and look at what is said of slack.")}
	}
	need := approvals.Required + 1 // one of them may be the requester
	if policy.AllowRequester {
		need = approvals.Required
	}
	if len(members) < need {
		return members, []finding{broken(area, what, fmt.Sprintf("%d members, %d are needed", len(members), need), "Put more people into the group, or correct policy.approver_group.")}
	}
	return members, []finding{works(area, what, fmt.Sprintf("%d members", len(members)))}
}

// store asks the running bot, or reads the file where none runs.
func (d doctor) store(ctx context.Context) []finding {
	const area = "store"
	path := d.cfg.Store
	if c, err := (&net.Dialer{}).DialContext(ctx, "unix", d.cfg.AdminSocket); err == nil {
		_ = c.Close() // only asked whether somebody is there
		if err := askHealth(ctx, d.cfg.Listen, true); err != nil {
			return []finding{broken(area, path, err.Error(), "Look at what the running bot names; it isn't ready.")}
		}
		return []finding{works(area, path, "the running bot can write it")}
	}
	entries := 0
	err := store.AuditFile(path, time.Second, func(store.AuditEntry) error { entries++; return nil })
	switch {
	case err == nil:
		return []finding{works(area, path, fmt.Sprintf("whole, %d audit entries; no bot runs", entries))}
	case errors.Is(err, os.ErrNotExist):
		return []finding{folderFound(area, path)}
	case errors.Is(err, store.ErrLocked):
		return []finding{broken(area, path, "another process holds it, and no bot answers on "+d.cfg.AdminSocket, "End that process, or correct store and admin_socket.")}
	}
	return []finding{broken(area, path, err.Error(), "Don't start the bot over it; bring it back from a copy, or move it aside: requests and the latch are lost then.")}
}

// folderFound is about a store that the first start will make.
func folderFound(area, path string) finding {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return broken(area, path, err.Error(), "Make the folder, for the account that the bot runs as alone.")
	case !info.IsDir():
		return broken(area, path, folder+" is no folder", "Name another place in store.")
	case !writable(folder):
		return broken(area, path, "this account can't write into "+folder, "Give the folder to the account that the bot runs as.")
	}
	return works(area, path, "it isn't there yet; the first start makes it")
}
