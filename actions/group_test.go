package actions_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// group is an approvers' group that tests change.
type group struct {
	mu      sync.Mutex
	members []approvals.Person
	err     error
	left    int       // calls until it can't be looked up
	back    time.Time // until when that is so; zero: never
}

func (g *group) Approvers(context.Context) ([]approvals.Person, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left--; g.left < 0 && time.Now().Before(g.back) {
		return nil, unsure
	}
	return g.members, g.err
}

// fadeAfter lets it answer a few times more, and then not for d.
func (g *group) fadeAfter(calls int, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.back = calls, time.Now().Add(d)
}

func (g *group) set(err error, members ...approvals.Person) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members, g.err = members, err
}

func grouped(b *bundle) *group {
	g := &group{members: []approvals.Person{"dba-1", "dba-2", "manager"}}
	b.roster, b.policy.Group, b.policy.Approvers = g, "S0OPS", nil
	return g
}

var unsure = &approvals.Refusal{Code: approvals.CodeLookup, Message: "Slack doesn't answer"}

// TestGroupOfApprovers: who has left between the votes and the execution voids
// the request; a group that can't be looked up refuses votes and only delays
// what has both.
func TestGroupOfApprovers(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		after func(*group) // dba-1's vote
		state approvals.State
		says  string
	}{
		"nobody leaves":        {func(*group) {}, approvals.Succeeded, ""},
		"somebody joins":       {func(g *group) { g.set(nil, "dba-1", "dba-2", "manager", "new") }, approvals.Succeeded, ""},
		"a voter leaves":       {func(g *group) { g.set(nil, "dba-2", "manager") }, approvals.Stale, "dba-1 may not vote any more: dba-1 is not one of the approvers any more"},
		"the group is emptied": {func(g *group) { g.set(nil, "dba-2") }, approvals.Stale, "dba-1 may not vote any more"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				g := grouped(b)
				o := b.start(nil)
				r := o.open(actions.Question{})
				o.approve(r, "dba-1")
				row.after(g)
				o.approve(r, "dba-2")
				r = b.awaitEnd(r.ID)
				b.wantState(r, row.state)
				if !strings.Contains(r.Why, row.says) {
					b.Errorf("ended: %s", r.Why)
				}
			})
		})
	}
}

func TestGroupThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		g := grouped(b)
		o := b.start(nil)
		r := o.open(actions.Question{})
		g.set(unsure)
		_, ask := o.desk.Ask(b.Context(), actions.Question{Pair: "orders"})
		_, a := o.desk.Approve(b.Context(), r.ID, ballot(r, "dba-1"))
		_, d := o.desk.Deny(b.Context(), r.ID, ballot(r, "dba-1"))
		_, n := o.desk.Answer(b.Context(), r.ID, ballot(r, "dba-1"), approvals.Accept, "orders")
		for what, err := range map[string]error{"ask": ask, "approve": a, "deny": d, "answer": n} {
			if approvals.Refused(err) != approvals.CodeLookup {
				b.Errorf("%s: %v", what, err)
			}
		}
		g.set(nil, "dba-1", "dba-2", "manager")
		o.approve(r, "dba-1")
		voted := time.Now()
		g.fadeAfter(1, time.Minute)
		o.approve(r, "dba-2")
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		if time.Since(voted) < time.Minute {
			b.Errorf("it ran %s after the vote, while the group could not be looked up", time.Since(voted))
		}
	})
}

// TestGroupMayPause: an order of one approver is one of a member's.
func TestGroupMayPause(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		g := grouped(b)
		o := b.start(nil)
		order := func(who approvals.Person) error {
			_, err := o.desk.Pause(b.Context(), b.pair.Name, approvals.Ballot{Person: who, Via: "test", Why: "a new disk"})
			return err
		}
		if err := order("oncall"); approvals.Refused(err) != approvals.CodeNotApprover {
			b.Errorf("somebody who is no member: %v", err)
		}
		g.set(unsure)
		if err := order("dba-1"); approvals.Refused(err) != approvals.CodeLookup {
			b.Errorf("a group that can't be looked up: %v", err)
		}
		g.set(nil, "dba-1")
		if err := order("dba-1"); err != nil {
			b.Error(err)
		}
	})
}

func TestGroupNeedsARosterAndAListNone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.policy.Group = "S0OPS"
		o := b.options(&bot{bundle: b, being: newBeing()}, nil)
		if _, err := actions.NewDesk(o); err == nil {
			b.Error("a group without a roster")
		}
		o.Policy, o.Roster = testPolicy(), &group{}
		if _, err := actions.NewDesk(o); err == nil {
			b.Error("a roster without a group")
		}
	})
}
