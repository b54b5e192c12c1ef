package actions_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

// story is one way in which a request comes to its execution.
type story struct {
	name     string
	question actions.Question
	prepare  func(b *bundle)
}

var (
	planned = story{"switchover", actions.Question{}, func(*bundle) {}}
	// alone is planned under degrade, where the old primary starts after the probe.
	alone    = story{"switchover under degrade", actions.Question{}, func(b *bundle) { b.pair.AfterSwitchover = actions.Degrade }}
	disastre = story{"failover", actions.Question{}, func(b *bundle) { b.world.crash("dc1") }}
	rejoin   = story{"rejoin", actions.Question{Kind: actions.KindRejoin}, func(b *bundle) {
		b.world.crash("dc2")
		b.world.mu.Lock()
		defer b.world.mu.Unlock()
		b.world.servers[0].names, b.world.servers[0].loaded = "", b.world.servers[0].started
	}}
)

// begin lets the pair be latched, and then the story's trouble begin.
func (s story) begin(b *bundle) {
	o := b.start(nil)
	settleIn()
	b.mustVerify(o)
	o.end()
	s.prepare(b)
	settleIn()
}

// points runs a story without faults and lists the points that it comes by.
func (s story) points(t *testing.T) []actions.Point {
	t.Helper()
	var out []actions.Point
	inBubble(t, func(b *bundle) {
		s.begin(b)
		o := b.start(nil)
		r := b.awaitEnd(o.ask(s.question).ID)
		b.wantState(r, approvals.Succeeded)
		out = o.passed()
	})
	if len(out) < 8 {
		t.Fatalf("only %d points: %v", len(out), out)
	}
	return out
}

func (s story) eachPoint(t *testing.T, test func(b *bundle, p actions.Point)) {
	t.Helper()
	for _, p := range s.points(t) {
		when := map[bool]string{false: "before", true: "after"}[p.After]
		t.Run(fmt.Sprintf("%s: %s %s %s", s.name, when, p.Op, p.Node), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				s.begin(b)
				test(b, p)
			})
		})
	}
}

var errInjected = errors.New("the test lets this fail")

// failsAt makes the effect at one point fail, the first time.
func failsAt(p actions.Point) atPoint {
	var hit atomic.Bool
	return func(_ *bot, q actions.Point) error {
		if q == p && hit.CompareAndSwap(false, true) {
			return errInjected
		}
		return nil
	}
}

var (
	beforePromotion = []actions.Op{actions.OpLock, actions.OpRecheck, actions.OpPrepare, actions.OpCheckpoint, actions.OpStop, actions.OpGate, actions.OpFreeze, actions.OpSettle}
	atPromotion     = []actions.Op{actions.OpPromote, actions.OpProbe, actions.OpConfirm}
	afterPromotion  = []actions.Op{actions.OpEndpoint, actions.OpAlone, actions.OpSettleDisk, actions.OpRejoin, actions.OpTogether, actions.OpSync, actions.OpLatch, actions.OpTidy}
)

// TestSwitchoverFailsAtEachPoint: until the promotion the old primary serves
// again and nothing is left behind; from then on there is no way back.
func TestSwitchoverFailsAtEachPoint(t *testing.T) {
	t.Parallel()
	for _, s := range []story{planned, alone} {
		s.eachPoint(t, func(b *bundle, p actions.Point) {
			r := b.awaitEnd(b.start(failsAt(p)).ask(s.question).ID)
			out := b.outcome(r)
			switch {
			case slices.Contains(beforePromotion, p.Op):
				b.wantTakenBack(r)
				b.wantUntouchedBeforeStop(p)
			case p.Op == actions.OpFollow, p.Op == actions.OpTogether, p.Op == actions.OpSync:
				b.wantState(r, approvals.Succeeded)
				if t := b.wantServing("dc2"); !t.whole || out.Rejoin == nil {
					b.Errorf("not whole, or not by a rejoin: %+v, %+v", t, out)
				}
			case p.Op == actions.OpPromote && !p.After:
				b.wantNobodyMade(r)
			case slices.Contains(atPromotion, p.Op):
				b.wantState(r, approvals.Unknown)
				b.wantServing("dc2")
				b.wantTodo(out)
			case slices.Contains(afterPromotion, p.Op):
				b.wantState(r, approvals.Succeeded)
				b.wantServing("dc2")
				b.wantTodo(out)
			default:
				b.Fatalf("no expectation for %v", p)
			}
		})
	}
}

// wantTakenBack: aborted, dc1 serves as before, dc2 is its synchronous standby
// and keeps nothing from the attempt.
func (b *bundle) wantTakenBack(r approvals.Request) {
	b.Helper()
	b.wantState(r, approvals.Aborted)
	truth := b.wantServing("dc1")
	if !truth.whole || len(truth.frozen) > 0 || len(truth.spurious) > 0 {
		b.Errorf("not as before: %+v", truth)
	}
	b.wantLedTo("dc1")
	if out := b.outcome(r); out.Serving != "dc1" || out.NewPrimary != "" || len(out.Todo) > 0 {
		b.Errorf("outcome: serving %q, new primary %q, todo %q", out.Serving, out.NewPrimary, out.Todo)
	}
}

// wantUntouchedBeforeStop: what failed before the stop never ends the primary.
func (b *bundle) wantUntouchedBeforeStop(p actions.Point) {
	b.Helper()
	if p.Op == actions.OpStop || p.Op == actions.OpGate {
		return
	}
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	for _, call := range b.world.calls {
		if slices.Contains([]string{"stop dc1", "stop hard dc1", "start dc1"}, call) {
			b.Errorf("%v failed, and the primary had to bear %q", p, call)
		}
	}
}

// wantNobodyMade: the bot can't tell whether the promotion was sent, so it
// touches nothing more and says what to do.
func (b *bundle) wantNobodyMade(r approvals.Request) {
	b.Helper()
	b.wantState(r, approvals.Unknown)
	if t := b.world.truth(); len(t.serving) > 0 || len(t.split) > 0 {
		b.Errorf("serving: %q, split: %q", t.serving, t.split)
	}
	b.wantTodo(b.outcome(r))
}

func (b *bundle) wantTodo(out actions.Outcome) {
	b.Helper()
	if len(out.Todo) == 0 {
		b.Error("nobody is told what is left to do")
	}
}

// TestFailoverFailsAtEachPoint: until the promotion the standby is thawed and
// as it was; from then on there is no way back.
func TestFailoverFailsAtEachPoint(t *testing.T) {
	t.Parallel()
	disastre.eachPoint(t, func(b *bundle, p actions.Point) {
		o := b.start(failsAt(p))
		r := o.ask(disastre.question)
		if p.Op == actions.OpFence {
			r = b.awaitState(r.ID, approvals.Held) // a fence that isn't proven is a person's business
			b.wantState(r, approvals.Held)
			if _, err := o.desk.Answer(b.Context(), r.ID, ballot(r, "dba-1"), approvals.Refuse, ""); err != nil {
				b.Fatal(err)
			}
		}
		r = b.awaitEnd(r.ID)
		switch {
		case slices.Contains(beforePromotion, p.Op) || p.Op == actions.OpFence:
			b.wantThawed(r)
		case p.Op == actions.OpPromote && !p.After:
			b.wantNobodyMade(r)
		case slices.Contains(atPromotion, p.Op):
			b.wantState(r, approvals.Unknown)
			b.wantServing("dc2")
			b.wantTodo(b.outcome(r))
		case slices.Contains(afterPromotion, p.Op):
			b.wantState(r, approvals.Succeeded)
			b.wantServing("dc2")
			b.wantTodo(b.outcome(r))
		default:
			b.Fatalf("no expectation for %v", p)
		}
	})
}

// wantThawed: aborted; the standby was not promoted, and is again what it was.
func (b *bundle) wantThawed(r approvals.Request) {
	b.Helper()
	b.wantState(r, approvals.Aborted)
	t := b.world.truth()
	if len(t.serving) > 0 || len(t.frozen) > 0 || len(t.spurious) > 0 {
		b.Errorf("not as before: %+v", t)
	}
	if s := b.world.server("dc2"); s.names != "dc1" || s.timeline != 1 {
		b.Errorf("dc2 has names %q, timeline %d", s.names, s.timeline)
	}
}

// TestPrimaryThatComesBack: right after the claim the lost primary is there
// again. It is neither frozen out nor fenced.
func TestPrimaryThatComesBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		disastre.begin(b)
		o := b.start(func(_ *bot, p actions.Point) error {
			if p.Op == actions.OpLock && p.After {
				b.world.mu.Lock()
				defer b.world.mu.Unlock()
				b.world.server("dc1").start()
			}
			return nil
		})
		r := b.awaitEnd(o.ask(disastre.question).ID)
		b.wantState(r, approvals.Aborted)
		if t := b.wantServing("dc1"); !t.whole || b.count("off dc1")+b.count("freeze dc2") > 0 {
			b.Errorf("%+v, %q", t, b.world.calls)
		}
	})
}

// TestRejoinFailsAtEachPoint: the primary serves on whatever happens.
func TestRejoinFailsAtEachPoint(t *testing.T) {
	t.Parallel()
	rejoin.eachPoint(t, func(b *bundle, p actions.Point) {
		r := b.awaitEnd(b.start(failsAt(p)).ask(rejoin.question).ID)
		b.wantServing("dc1")
		if p.Op == actions.OpLock || p.Op == actions.OpRecheck {
			b.wantState(r, approvals.Aborted)
			return
		}
		b.wantState(r, approvals.Failed, approvals.Succeeded)
		b.wantTodo(b.outcome(r))
	})
}
