package actions_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// diesAt kills the bot at one point, the first time that it comes there.
func diesAt(p actions.Point) atPoint {
	var hit atomic.Bool
	return func(b *bot, q actions.Point) error {
		if b.being.gone() {
			return errDead
		}
		if q == p && hit.CompareAndSwap(false, true) {
			return b.die()
		}
		return nil
	}
}

// dieAndResume lets a bot die at p and another go on with the same request.
func (b *bundle) dieAndResume(s story, p actions.Point) approvals.Request {
	b.Helper()
	first := b.start(diesAt(p))
	r := first.ask(s.question)
	select {
	case <-first.being.dead:
	case <-time.After(time.Hour):
		b.Fatalf("the bot never came to %v", p)
	}
	second := b.start(nil)
	r = b.awaitEnd(r.ID)
	first.end()
	second.end()
	return r
}

// TestSwitchoverSurvivesDeathAtEachPoint: whoever comes after finishes it, or
// takes it back; one primary serves, and nothing acknowledged is lost.
func TestSwitchoverSurvivesDeathAtEachPoint(t *testing.T) {
	t.Parallel()
	for _, s := range []story{planned, alone} {
		s.eachPoint(t, func(b *bundle, p actions.Point) {
			r := b.dieAndResume(s, p)
			if slices.Contains([]actions.Op{actions.OpLock, actions.OpRecheck, actions.OpPrepare, actions.OpCheckpoint}, p.Op) {
				b.wantTakenBack(r)
				b.wantUntouchedBeforeStop(p)
				return
			}
			b.wantFinishedOrTakenBack(r)
			if p.Op != actions.OpStop && p.Op != actions.OpGate {
				b.wantState(r, approvals.Succeeded)
			}
		})
	}
}

func (b *bundle) wantFinishedOrTakenBack(r approvals.Request) {
	b.Helper()
	if r.State == approvals.Aborted {
		b.wantTakenBack(r)
		return
	}
	b.wantState(r, approvals.Succeeded)
	out := b.outcome(r)
	if t := b.wantServing("dc2"); !t.whole || len(t.frozen) > 0 || len(t.spurious) > 0 || out.Synchronous.IsZero() || len(out.Todo) > 0 {
		b.Errorf("not whole: %+v, %+v", t, out)
	}
	b.wantLedTo("dc2")
	if out.NewPrimary != "dc2" || out.NewTimeline != 2 || out.WritePause != 0 {
		b.Errorf("outcome %+v (the pause of two lives can't be known)", out)
	}
}

func TestFailoverSurvivesDeathAtEachPoint(t *testing.T) {
	t.Parallel()
	disastre.eachPoint(t, func(b *bundle, p actions.Point) {
		r := b.dieAndResume(disastre, p)
		if p.Op == actions.OpLock || p.Op == actions.OpRecheck || p == (actions.Point{Op: actions.OpFreeze, Node: "dc2"}) && r.State == approvals.Aborted {
			b.wantThawed(r)
			return
		}
		b.wantFinishedOrTakenBack(r)
		b.wantState(r, approvals.Succeeded)
	})
}

func TestRejoinSurvivesDeathAtEachPoint(t *testing.T) {
	t.Parallel()
	rejoin.eachPoint(t, func(b *bundle, p actions.Point) {
		r := b.dieAndResume(rejoin, p)
		b.wantState(r, approvals.Succeeded)
		if t := b.wantServing("dc1"); !t.whole {
			b.Errorf("not whole: %+v", t)
		}
	})
}

// TestDeathWhileTakingBack: the bot dies again while it, or its successor,
// takes a switchover back.
func TestDeathWhileTakingBack(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		inBubble(t, func(b *bundle) {
			planned.begin(b)
			gate := actions.Point{Op: actions.OpGate, Node: "dc2", After: true}
			undo := actions.Point{Op: actions.OpUndo, Node: "dc1", After: after}
			first := b.start(func(o *bot, p actions.Point) error {
				switch p {
				case gate:
					return errInjected
				case undo:
					return o.die()
				}
				return nil
			})
			r := first.ask(planned.question)
			<-first.being.dead
			b.start(nil)
			b.wantTakenBack(b.awaitEnd(r.ID))
		})
	}
}

// TestDeathWithAPromotionUnderWay: the bot died right after it had asked for
// the promotion, which takes effect later. Its successor finds the standby
// still in recovery, and must not take the old primary back.
func TestDeathWithAPromotionUnderWay(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"switchover": planned, "failover": disastre} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				s.begin(b)
				b.world.promoteTakes = 2 * time.Second
				first := b.prepare(nil)
				b.world.after["promote dc2"] = func(*world, *server) { first.being.die() }
				first.run()
				r := first.ask(s.question)
				<-first.being.dead
				b.world.mu.Lock()
				b.world.after = nil
				b.world.mu.Unlock()
				b.start(nil)
				r = b.awaitEnd(r.ID)
				b.wantState(r, approvals.Succeeded)
				if t := b.wantServing("dc2"); !t.whole || len(t.frozen) > 0 {
					b.Errorf("not whole: %+v", t)
				}
			})
		})
	}
}

// TestDeathWithAPromotionThatNeverComes: nobody can tell whether it will take
// effect, so the successor takes nothing back and says what to do.
func TestDeathWithAPromotionThatNeverComes(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"switchover": planned, "failover": disastre} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				s.begin(b)
				b.world.promoteTakes = 24 * time.Hour
				first := b.prepare(nil)
				b.world.after["promote dc2"] = func(*world, *server) { first.being.die() }
				first.run()
				r := first.ask(s.question)
				<-first.being.dead
				b.start(nil)
				r = b.awaitEnd(r.ID)
				b.wantNobodyMade(r)
				if n := b.count("start dc1") + b.count("stop hard dc1") + b.count("thaw dc2"); n > 0 {
					b.Errorf("something was taken back: %q", b.world.calls)
				}
			})
		})
	}
}

// TestResumeUnderAnotherConfig: the next bot can't carry the plan out, says so,
// and touches nothing.
func TestResumeUnderAnotherConfig(t *testing.T) {
	t.Parallel()
	for title, change := range map[string]func(b *bundle){
		"the driver is gone":   func(b *bundle) { b.unled["dc1"] = true },
		"the nodes are others": func(b *bundle) { b.pair.Nodes[0].Name, b.pair.Nodes[1].Name = "dc2", "dc3" },
		"the pair is gone":     func(b *bundle) { b.pair.Name = "billing" },
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				planned.begin(b)
				first := b.start(diesAt(actions.Point{Op: actions.OpGate, Node: "dc2", After: true}))
				r := first.ask(planned.question)
				<-first.being.dead
				calls := b.world.callCount()
				change(b)
				b.start(nil)
				r = b.awaitEnd(r.ID)
				b.wantNobodyMade(r)
				if now := b.world.callCount(); now != calls {
					b.Errorf("something was done: %q", b.world.calls[calls:])
				}
			})
		})
	}
}

// TestPromotedBySomebodyElse: while no bot ran, a person promoted the standby.
// The request did not, and must not call it its own success.
func TestPromotedBySomebodyElse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		disastre.begin(b)
		first := b.start(diesAt(actions.Point{Op: actions.OpFreeze, Node: "dc2", After: true}))
		r := first.ask(disastre.question)
		<-first.being.dead
		b.world.mu.Lock()
		b.world.server("dc2").rise()
		b.world.mu.Unlock()
		b.start(nil)
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Unknown)
		b.wantServing("dc2")
		b.wantTodo(b.outcome(r))
	})
}

// TestDeathAtTheGateThatNeverOpens: the stop went through while the standby had
// lost its stream, so it lacks the shutdown checkpoint: the only way is back.
func TestDeathAtTheGateThatNeverOpens(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		first := b.prepare(nil)
		b.world.after["stop dc1"] = func(w *world, _ *server) {
			w.server("dc2").frozen = true
			first.being.die()
		}
		first.run()
		r := first.ask(planned.question)
		<-first.being.dead
		b.world.mu.Lock()
		b.world.after = nil
		b.world.mu.Unlock()
		b.start(nil)
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Aborted)
		if t := b.world.truth(); !slices.Equal(t.serving, []string{"dc1"}) || len(t.split) > 0 || len(t.lost) > 0 {
			b.Errorf("%+v", t)
		}
	})
}

// TestDeathWhileTheOldPrimaryLingers: the standby holds the shutdown checkpoint,
// but the old primary's process is still there when the successor comes: nothing
// shows that it can't come back, so nobody is promoted.
func TestDeathWhileTheOldPrimaryLingers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		b.world.lingers = 24 * time.Hour
		first := b.prepare(nil)
		b.world.after["stop dc1"] = func(*world, *server) { first.being.die() }
		first.run()
		r := first.ask(planned.question)
		<-first.being.dead
		b.start(nil)
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Aborted, approvals.Unknown)
		if b.count("promote dc2") > 0 {
			b.Error("the standby was promoted beside a process of the old primary")
		}
	})
}

// TestDeathTwice: the successor dies as well, at each point that it comes by;
// the third one ends it.
func TestDeathTwice(t *testing.T) {
	t.Parallel()
	gate := actions.Point{Op: actions.OpGate, Node: "dc2", After: true}
	var points []actions.Point
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		first := b.start(diesAt(gate))
		r := first.ask(planned.question)
		<-first.being.dead
		second := b.start(nil)
		b.awaitEnd(r.ID)
		points = second.passed()
	})
	for _, p := range points {
		inBubble(t, func(b *bundle) {
			planned.begin(b)
			first := b.start(diesAt(gate))
			r := first.ask(planned.question)
			<-first.being.dead
			second := b.start(diesAt(p))
			<-second.being.dead
			b.start(nil)
			r = b.awaitEnd(r.ID)
			b.wantFinishedOrTakenBack(r)
			if b.Failed() {
				b.Fatalf("the second death was at %v", p)
			}
		})
	}
}
