package actions_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// settleIn lets the clients write for a while before anything happens.
func settleIn() { <-time.After(50 * time.Millisecond) }

func TestSwitchover(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		r := b.awaitEnd(o.ask(actions.Question{Reason: "patch night"}).ID)
		b.wantState(r, approvals.Succeeded)
		truth := b.wantServing("dc2")
		if !truth.whole || len(truth.spurious) > 0 {
			b.Errorf("not whole again: %+v", truth)
		}
		out := b.outcome(r)
		if out.OldPrimary != "dc1" || out.NewPrimary != "dc2" || out.Serving != "dc2" || out.Clearance != actions.ClearStopped ||
			out.OldTimeline != 1 || out.NewTimeline != 2 || out.Synchronous.IsZero() || len(out.Todo) > 0 || out.Rejoin != nil {
			b.Errorf("outcome %+v", out)
		}
		if out.WritePause <= 0 || out.WritePause > time.Second || out.Conn != b.pair.Conn("dc2") || out.Gate == 0 {
			b.Errorf("pause %s, gate %s, connection %s", out.WritePause, out.Gate, out.Conn.URI)
		}
		b.wantPlanFollowed(r)
		b.wantMark(r)
		rep, err := o.desk.Status(b.Context(), "orders")
		if err != nil || rep.Verdict.Loss != actions.LossNone || rep.Verdict.Primary != "dc2" || rep.Open != nil {
			b.Errorf("afterwards: %s, %v", rep.Verdict.Headline, err)
		}
	})
}

func TestFailover(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		b.world.crash("dc1")
		r := o.ask(actions.Question{Reason: "site lost"})
		if r.Subject.Kind != string(failover) {
			b.Fatalf("planned a %s", r.Subject.Kind)
		}
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		truth := b.wantServing("dc2")
		if !truth.whole || len(truth.spurious) > 0 || len(truth.frozen) > 0 {
			b.Errorf("not whole again: %+v", truth)
		}
		out := b.outcome(r)
		if out.Clearance != actions.ClearOff || out.NewTimeline != 2 || out.OldTimeline != 1 || out.Rejoin == nil || out.Synchronous.IsZero() || len(out.Todo) > 0 {
			b.Errorf("outcome %+v", out)
		}
		b.wantPlanFollowed(r)
	})
}

// TestFailoverAndRejoin: after a disaster the old node can't be rejoined at
// once; later somebody asks for it.
func TestFailoverAndRejoin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.unled["dc1"] = true
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		b.world.crash("dc1")
		r := o.ask(actions.Question{})
		r = b.awaitState(r.ID, approvals.Held)
		b.wantState(r, approvals.Held)
		if _, err := o.desk.Answer(b.Context(), r.ID, ballot(r, "dba-1"), approvals.Accept, "orders"); err != nil {
			b.Fatal(err)
		}
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		if truth := b.wantServing("dc2"); truth.whole {
			b.Error("whole without a machine that could have rejoined dc1")
		}
		if out := b.outcome(r); out.Clearance != actions.ClearAccepted || out.AcceptedBy != "dba-1" || len(out.Todo) != 1 || !out.Synchronous.IsZero() {
			b.Errorf("outcome %+v", out)
		}
		o.end()
		b.unled["dc1"] = false
		o = b.start(nil)
		r = b.awaitEnd(o.ask(actions.Question{Kind: actions.KindRejoin}).ID)
		b.wantState(r, approvals.Succeeded)
		if truth := b.wantServing("dc2"); !truth.whole {
			b.Errorf("not whole: %+v", truth)
		}
		b.wantPlanFollowed(r)
	})
}

// wantMark: with the intent to stop the journal has what the gate is measured
// against, so that a successor can measure it, too.
func (b *bundle) wantMark(r approvals.Request) {
	b.Helper()
	for _, e := range b.entries(r.ID) {
		if e.Op != actions.OpStop || e.Phase != actions.Intent {
			continue
		}
		var mark struct {
			LSN      actions.LSN
			Timeline uint32
		}
		b.must(json.Unmarshal(e.Data, &mark))
		if gate := b.outcome(r).Gate; mark.LSN < gate-0x40*16 || mark.LSN >= gate || mark.Timeline != 1 {
			b.Errorf("mark %+v, the gate was passed at %s", mark, gate)
		}
		return
	}
	b.Error("the intent to stop is not in the journal")
}

func (b *bundle) mustVerify(o *bot) {
	b.Helper()
	rep, err := o.desk.Verify(b.Context(), "orders")
	if err != nil || rep.Verdict.Loss != actions.LossNone {
		b.Fatalf("verify: %s, %v", rep.Verdict.Headline, err)
	}
}

// wantPlanFollowed: what was done is what was approved, in that order, and each
// step has its intent and its outcome.
func (b *bundle) wantPlanFollowed(r approvals.Request) {
	b.Helper()
	p, err := actions.PlanOf(r)
	if err != nil {
		b.Fatal(err)
	}
	var steps []actions.Op
	for _, s := range p.Steps {
		steps = append(steps, s.Op)
	}
	next := 0
	done := map[actions.Op]bool{}
	for _, e := range b.entries(r.ID) {
		if e.Phase == actions.Failing {
			b.Errorf("%s on %s failed: %s", e.Op, e.Node, e.Text)
		}
		if e.Op == actions.OpPromote && e.Phase == actions.Intent && p.Kind == failover {
			b.wantBefore(actions.OpPromote, done, actions.OpFreeze, actions.OpFence, actions.OpPrepare, actions.OpSettle)
		}
		if e.Phase == actions.Done {
			done[e.Op] = true
		}
		if e.Phase != actions.Done || slices.Contains(besideAnother, e.Op) {
			continue
		}
		i := slices.Index(steps[next:], e.Op)
		if i < 0 {
			b.Errorf("%s was done, which the plan has not at this place: %q after step %d", e.Op, steps, next)
			continue
		}
		next += i + 1
	}
	b.wantBefore("the end", done, actions.OpLock, actions.OpRecheck, actions.OpSync, actions.OpLatch, actions.OpTidy)
}

// besideAnother are steps that go on while others do: the follow beside the
// promotion, fence and preparation beside the freeze's second reading.
var besideAnother = []actions.Op{actions.OpFollow, actions.OpFence, actions.OpPrepare}

func (b *bundle) wantBefore(what actions.Op, done map[actions.Op]bool, ops ...actions.Op) {
	b.Helper()
	for _, op := range ops {
		if !done[op] {
			b.Errorf("%s was not done before %s", op, what)
		}
	}
}

// TestFenceWaitsForTheFreeze: nothing takes the old primary's power before the
// standby was read frozen once, and nothing promotes before the freeze has its
// second reading, however early the fence is proven.
func TestFenceWaitsForTheFreeze(t *testing.T) {
	t.Parallel()
	for title, fault := range map[string]func(call, node string) error{
		"a standby that can't be frozen leaves the old primary alone": func(call, _ string) error {
			if call == "freeze" {
				return errInjected
			}
			return nil
		},
		"a freeze that doesn't show keeps the fence waiting": func(call, _ string) error {
			if call == "frozen" {
				return errHang
			}
			return nil
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				disastre.begin(b)
				o := b.start(nil)
				b.world.setFault(fault)
				r := o.ask(disastre.question)
				<-time.After(30 * time.Second)
				if b.count("off dc1") > 0 || b.count("promote dc2") > 0 {
					b.Errorf("the old primary was fenced, or the standby promoted: %q", b.world.calls)
				}
				b.world.setFault(nil)
				if r = b.request(r.ID); r.State == approvals.Succeeded {
					b.Errorf("it ended %s: %s", r.State, r.Why)
				}
			})
		})
	}
}

// TestClientsComeFirstUnderDegrade: the old primary is started once the new one
// takes writes; under block beside the promotion, for commits wait for it.
func TestClientsComeFirstUnderDegrade(t *testing.T) {
	t.Parallel()
	for after, want := range map[actions.After]bool{actions.Degrade: true, actions.Block: false} {
		t.Run(string(after), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				b.pair.AfterSwitchover = after
				planned.begin(b)
				probed := false
				followsAfter := false
				var mu sync.Mutex
				o := b.start(func(_ *bot, p actions.Point) error {
					mu.Lock()
					defer mu.Unlock()
					probed = probed || p.Op == actions.OpProbe && p.After
					followsAfter = followsAfter || p.Op == actions.OpFollow && !p.After && probed
					return nil
				})
				r := b.awaitEnd(o.ask(planned.question).ID)
				b.wantState(r, approvals.Succeeded)
				if t := b.wantServing("dc2"); !t.whole || followsAfter != want || b.outcome(r).Rejoin != nil {
					b.Errorf("whole: %t; followed after the probe: %t; outcome %+v", t.whole, followsAfter, b.outcome(r))
				}
			})
		})
	}
}
