package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"twokey/approvals"
)

// Roster gives the members of a Slack user group as persons, by asking Slack. It
// implements approvals.Roster and is safe for concurrent use.
//
// An answer counts for a minute, a failed look-up is never remembered. A group
// that was deleted or disabled has no members. A member's account is the
// directory's business.
type Roster struct {
	group  string
	people People
	slack  *client
	now    func() time.Time

	mu    sync.Mutex
	at    time.Time // of the question that users answers; zero for none
	known []approvals.Person
}

// NewRoster makes one for the user group of o that asks with its connection; it
// needs what NewDirectory does.
func NewRoster(o Options) (*Roster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Roster{group: o.UserGroup, people: o.People, slack: newClient(o), now: o.Now}, nil
}

// Close gives idle connections back.
func (r *Roster) Close() { r.slack.http.CloseIdleConnections() }

// Approvers returns the members, sorted, or a *Refusal CodeLookup.
func (r *Roster) Approvers(ctx context.Context) ([]approvals.Person, error) {
	if known, fresh := r.recall(); fresh {
		return known, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, directoryTimeout, errors.New("usergroups.users.list didn't answer in time"))
	defer cancel()
	asked := r.now()
	users, err := r.slack.members(ctx, r.group)
	if err != nil {
		return nil, fmt.Errorf("look up the user group %s: %w", r.group, r.uncertain(err))
	}
	return r.remember(asked, users), nil
}

func (r *Roster) recall() ([]approvals.Person, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.now().Sub(r.at)
	return slices.Clone(r.known), !r.at.IsZero() && age >= 0 && age < directoryAge
}

// remember keeps an answer; its age counts from the question.
func (r *Roster) remember(asked time.Time, users []string) []approvals.Person {
	who := make([]approvals.Person, len(users))
	for i, user := range users {
		who[i] = r.people.Person(r.people.Team, user)
	}
	slices.Sort(who)
	who = slices.Compact(who) // two accounts of one person are one approver
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.known = asked, who
	return slices.Clone(who)
}

func (r *Roster) uncertain(err error) error {
	if code := apiCode(err); code != "" {
		err = fmt.Errorf("%w; %s", err, remedy(code))
	}
	return &lookupFailure{cause: err, Refusal: &approvals.Refusal{
		Code:    approvals.CodeLookup,
		Message: fmt.Sprintf("Slack doesn't say right now who is in the approvers' group %s, so nothing can be asked or decided. Try again in a moment.", r.group),
	}}
}
