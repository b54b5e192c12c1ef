package actions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// wantNothingDone: since the call of that number nothing was changed in the world.
func (b *bundle) wantNothingDone(since int) {
	b.Helper()
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	if done := b.world.calls[since:]; len(done) > 0 {
		b.Errorf("a drill did %q", done)
	}
}

// drilled asks for a drill, lets two people approve it and waits for its end.
func (o *bot) drilled() approvals.Request {
	o.Helper()
	r := o.open(actions.Question{Kind: actions.KindDrill, Reason: "monthly"})
	<-time.After(40 * time.Second)
	o.approve(r, "dba-1")
	<-time.After(20 * time.Second)
	o.approve(r, "dba-2")
	return o.awaitEnd(r.ID)
}

func TestDrillWalksEverythingAndChangesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		b.mustVerify(o)
		before := b.world.callCount()
		r := o.drilled()
		b.wantState(r, approvals.Succeeded)
		b.wantNothingDone(before)
		b.wantServing("dc1")
		for _, p := range o.passed() {
			if p.Op != actions.OpLock && p.Op != actions.OpRecheck && p.Op != actions.OpDryRun {
				b.Errorf("a drill came by %v", p)
			}
		}
		out := b.outcome(r)
		d := out.Rehearsal
		if d == nil || d.Kind != switchover || d.Loss != none || len(d.Votes) != 2 || out.Serving != "dc1" || out.NewPrimary != "" || out.WritePause != 0 {
			b.Fatalf("outcome %+v, rehearsal %+v", out, d)
		}
		if d.Votes[0] < 39*time.Second || d.Votes[1] < 59*time.Second || d.Ready < d.Votes[1] || d.Ready > 65*time.Second {
			b.Errorf("votes after %s, ready after %s", d.Votes, d.Ready)
		}
		o.ask(actions.Question{}) // and the lock is given back
		b.wantServing("dc2")
	})
}

func TestDrillOfADisaster(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		b.mustVerify(o)
		b.world.crash("dc1")
		before := b.world.callCount()
		r := o.drilled()
		b.wantState(r, approvals.Succeeded)
		b.wantNothingDone(before)
		if out := b.outcome(r); out.Rehearsal.Kind != failover || out.Serving != "" {
			b.Errorf("outcome %+v", out)
		}
	})
}

func TestDrillIsHeldAgainstTheWorldLikeAnyRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		r := o.open(actions.Question{Kind: actions.KindDrill})
		o.approve(r, "dba-1")
		b.world.crash("dc1")
		o.approve(r, "dba-2")
		b.wantState(b.awaitEnd(r.ID), approvals.Stale)
	})
}

func TestDrillWhoseBotDiesEndsAndChangesNothing(t *testing.T) {
	t.Parallel()
	for _, op := range []actions.Op{actions.OpLock, actions.OpRecheck, actions.OpDryRun} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				settleIn()
				first := b.start(func(o *bot, p actions.Point) error {
					if p.Op == op {
						return o.die()
					}
					return nil
				})
				b.mustVerify(first)
				before := b.world.callCount()
				r := first.ask(actions.Question{Kind: actions.KindDrill})
				<-first.being.dead
				first.end()
				second := b.start(nil)
				r = b.awaitEnd(r.ID)
				b.wantState(r, approvals.Aborted)
				if !strings.Contains(r.Why, "in the middle of the drill") || len(b.outcome(r).Todo) > 0 {
					b.Errorf("why %q, outcome %+v", r.Why, b.outcome(r))
				}
				b.wantNothingDone(before)
				b.wantServing("dc1")
				second.end()
			})
		})
	}
}

func TestRealRequestTakesTheDrillsPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		drill := o.open(actions.Question{Kind: actions.KindDrill})
		o.approve(drill, "dba-1")
		real := b.awaitEnd(o.ask(actions.Question{}).ID)
		b.wantState(real, approvals.Succeeded)
		drill = b.request(drill.ID)
		b.wantState(drill, approvals.Stale)
		if drill.Why != "a switchover was asked for in earnest" {
			b.Errorf("why %q", drill.Why)
		}
		b.wantServing("dc2")
	})
}

func TestDrillTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		real := o.open(actions.Question{})
		_, err := o.desk.Ask(b.Context(), actions.Question{Pair: "orders", Kind: actions.KindDrill, Requester: "oncall", Place: "ops"})
		o.wantRefused(err, approvals.CodeOpen, "open")
		if r := b.request(real.ID); r.State != approvals.Pending {
			b.Errorf("the real request is %s", r.State)
		}
	})
}

// TestDrillsPlanPromotesNobody: it allows no clearance, and all that it
// rehearses is part of what is approved.
func TestDrillsPlanPromotesNobody(t *testing.T) {
	t.Parallel()
	p := planFor(t, actions.Question{Kind: actions.KindDrill}, but())
	earnest := planFor(t, actions.Question{}, but())
	if len(p.Clearances) != 0 || !slices.Equal(p.Rehearsed, earnest.Steps) || p.InEarnest() != switchover {
		t.Errorf("clearances %v, in earnest a %s of %d steps", p.Clearances, p.InEarnest(), len(p.Rehearsed))
	}
	for title, change := range map[string]func(*actions.Plan){
		"what it rehearses": func(p *actions.Plan) { p.Rehearses = failover },
		"a rehearsed step":  func(p *actions.Plan) { p.Rehearsed = p.Rehearsed[1:] },
		"a rehearsed text":  func(p *actions.Plan) { p.Rehearsed = slices.Clone(p.Rehearsed); p.Rehearsed[0].Text = "x" },
	} {
		q := planFor(t, actions.Question{Kind: actions.KindDrill}, but())
		change(&q)
		if q.Text() == p.Text() {
			t.Errorf("%s is not in the text", title)
		}
	}
}
