package actions_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// endsAt tells the bot to end at one point, as a signal does: nothing fails,
// and what must not be left half done is finished first.
func endsAt(p actions.Point) atPoint {
	var hit atomic.Bool
	return func(b *bot, q actions.Point) error {
		if q == p && hit.CompareAndSwap(false, true) {
			b.stop()
		}
		return nil
	}
}

// endAndResume lets a bot be told to end at p, waits until it has, and lets
// another one go on. between sees the request after the first has ended.
func (b *bundle) endAndResume(s story, p actions.Point, between func(r approvals.Request)) approvals.Request {
	b.Helper()
	first := b.prepare(endsAt(p))
	first.run()
	r := first.ask(s.question)
	select {
	case err := <-first.ended:
		first.ended <- err
	case <-time.After(time.Hour):
		b.Fatalf("the bot never ended at %v", p)
	}
	between(b.request(r.ID))
	b.start(nil)
	return b.awaitEnd(r.ID)
}

// TestSwitchoverToldToEnd: before the stop it is left and then taken back;
// between stop and promotion it is finished before the bot ends, so that no
// writer waits for the next one; after that the rest is left for the next run.
func TestSwitchoverToldToEnd(t *testing.T) {
	t.Parallel()
	inPause := []actions.Op{actions.OpStop, actions.OpGate, actions.OpFollow, actions.OpPromote, actions.OpProbe, actions.OpConfirm}
	for _, s := range []story{planned, alone} {
		s.eachPoint(t, func(b *bundle, p actions.Point) {
			r := b.endAndResume(s, p, func(r approvals.Request) {
				if slices.Contains(inPause, p.Op) {
					b.wantServing("dc2")
				}
				if r.State.Ended() && (slices.Contains(beforePromotion, p.Op) && !slices.Contains(inPause, p.Op)) {
					b.Errorf("told to end before the stop, and yet it ended as %s", r.State)
				}
			})
			if slices.Contains(beforePromotion, p.Op) && !slices.Contains(inPause, p.Op) {
				b.wantTakenBack(r)
				b.wantUntouchedBeforeStop(p)
				return
			}
			b.wantState(r, approvals.Succeeded)
			b.wantLedTo("dc2")
			if t := b.wantServing("dc2"); !t.whole || len(b.outcome(r).Todo) > 0 {
				b.Errorf("not whole: %+v, todo %q", t, b.outcome(r).Todo)
			}
		})
	}
}

// TestFailoverToldToEnd: nothing is lost by ending, at whatever point.
func TestFailoverToldToEnd(t *testing.T) {
	t.Parallel()
	disastre.eachPoint(t, func(b *bundle, p actions.Point) {
		r := b.endAndResume(disastre, p, func(r approvals.Request) {
			if p.Op != actions.OpTidy && r.State != approvals.Executing {
				b.Errorf("told to end, the request is %s: %s", r.State, r.Why)
			}
		})
		if p.Op == actions.OpLock || p.Op == actions.OpRecheck {
			b.wantThawed(r)
			return
		}
		b.wantState(r, approvals.Succeeded)
		b.wantLedTo("dc2")
		if t := b.wantServing("dc2"); !t.whole || len(b.outcome(r).Todo) > 0 {
			b.Errorf("not whole: %+v, todo %q", t, b.outcome(r).Todo)
		}
	})
}

// TestToldToEndWhileClaiming: the bot ends while the world is looked at again;
// the two votes stay good, and the next run executes them.
func TestToldToEndWhileClaiming(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		r := o.open(actions.Question{})
		o.approve(r, "dba-1")
		var hanging atomic.Bool
		b.world.setFault(func(call, node string) error {
			if hanging.Load() && call == "observe" {
				return errHang
			}
			return nil
		})
		hanging.Store(true)
		o.approve(r, "dba-2")
		<-time.After(100 * time.Millisecond)
		o.end()
		b.wantState(b.request(r.ID), approvals.Approved)
		hanging.Store(false)
		b.start(nil)
		b.wantState(b.awaitEnd(r.ID), approvals.Succeeded)
		b.wantServing("dc2")
	})
}
