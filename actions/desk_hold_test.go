package actions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// held brings a disaster failover to the point where a person has to state
// something: the platform of the lost site says nothing about its power.
func (b *bundle) held() (*bot, approvals.Request) {
	b.Helper()
	disastre.begin(b)
	b.world.blind["dc1"] = true
	o := b.start(nil)
	r := b.awaitState(o.ask(disastre.question).ID, approvals.Held)
	b.wantState(r, approvals.Held)
	p := r.OpenPause()
	if !strings.Contains(p.Question, "that dc1 is off can't be proven") || p.Statement != "orders" {
		b.Errorf("asked %q, to be typed: %q", p.Question, p.Statement)
	}
	return o, r
}

func (o *bot) answer(r approvals.Request, who approvals.Person, cause approvals.Cause, typed string) error {
	_, err := o.desk.Answer(o.Context(), r.ID, ballot(r, who), cause, typed)
	return err
}

func TestHoldAccepted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o, r := b.held()
		for code, err := range map[approvals.Code]error{
			approvals.CodeStatement:   o.answer(r, "dba-1", approvals.Accept, "order"),
			approvals.CodeNotApprover: o.answer(r, "oncall", approvals.Accept, "orders"),
		} {
			if approvals.Refused(err) != code {
				b.Errorf("refused with %v, want %s", err, code)
			}
		}
		b.wantState(b.request(r.ID), approvals.Held)
		if err := o.answer(r, "manager", approvals.Accept, " orders "); err != nil {
			b.Fatal(err)
		}
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
		if out := b.outcome(r); out.Clearance != actions.ClearAccepted || out.AcceptedBy != "manager" || !strings.Contains(out.Proof, "manager stated that dc1 is off") {
			b.Errorf("rests on %s of %q: %s", out.Clearance, out.AcceptedBy, out.Proof)
		}
	})
}

// TestHoldNotAccepted: refused, or nobody answered in time: the standby is
// thawed and nothing was promoted.
func TestHoldNotAccepted(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{true, false} {
		inBubble(t, func(b *bundle) {
			o, r := b.held()
			if refuse {
				if err := o.answer(r, "dba-2", approvals.Refuse, ""); err != nil {
					b.Fatal(err)
				}
			}
			asked := time.Now()
			r = b.awaitEnd(r.ID)
			b.wantThawed(r)
			if want := map[bool]string{true: "dba-2 refused to state it", false: "nobody stated it in time"}[refuse]; !strings.Contains(r.Why, want) {
				b.Errorf("%q doesn't say %q", r.Why, want)
			}
			if took := time.Since(asked); !refuse && took < b.policy.HoldExpiry-time.Minute {
				b.Errorf("lapsed after %s", took)
			}
		})
	}
}

// TestHoldSurvivesRestart: the question stands while no bot runs, and the
// answer is good whenever it comes.
func TestHoldSurvivesRestart(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		die    bool
		answer func(b *bundle, r approvals.Request)
		state  approvals.State
	}{
		"ended, then accepted": {false, func(b *bundle, r approvals.Request) {
			b.must(b.start(nil).answer(r, "dba-1", approvals.Accept, "orders"))
		}, approvals.Succeeded},
		"killed, then accepted": {true, func(b *bundle, r approvals.Request) {
			b.must(b.start(nil).answer(r, "dba-1", approvals.Accept, "orders"))
		}, approvals.Succeeded},
		"killed, then refused": {true, func(b *bundle, r approvals.Request) { b.must(b.start(nil).answer(r, "dba-1", approvals.Refuse, "")) }, approvals.Aborted},
		"accepted before the bot runs": {true, func(b *bundle, r approvals.Request) {
			o := b.prepare(nil)
			b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
			o.run()
		}, approvals.Succeeded},
		"too late for an answer": {true, func(b *bundle, r approvals.Request) {
			<-time.After(b.policy.HoldExpiry + time.Minute)
			o := b.prepare(nil)
			if err := o.answer(r, "dba-1", approvals.Accept, "orders"); approvals.Refused(err) != approvals.CodeExpired {
				b.Errorf("answered too late: %v", err)
			}
			o.run()
		}, approvals.Aborted},
		"nobody answers": {true, func(b *bundle, r approvals.Request) { b.start(nil) }, approvals.Aborted},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				o, r := b.held()
				if row.die {
					o.die()
				}
				o.end()
				b.wantState(b.request(r.ID), approvals.Held)
				row.answer(b, r)
				r = b.awaitEnd(r.ID)
				b.wantState(r, row.state)
				if row.state == approvals.Succeeded {
					b.wantServing("dc2")
					return
				}
				b.wantThawed(r)
			})
		})
	}
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// TestStatementAgainstWhatIsSeen: while the question stood, the old primary came
// back and answers; nobody's word makes it off.
func TestStatementAgainstWhatIsSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o, r := b.held()
		b.world.mu.Lock()
		b.world.server("dc1").start()
		b.world.mu.Unlock()
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Aborted)
		if t := b.wantServing("dc1"); !t.whole || !strings.Contains(r.Why, "it answers as a primary") {
			b.Errorf("%+v: %s", t, r.Why)
		}
	})
}

// TestHoldForLoss: loss can't be excluded, so people are asked before anything
// but the freeze has happened.
func TestHoldForLoss(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o, r := b.doubtful()
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
		if out := b.outcome(r); out.Clearance != actions.ClearOff || out.AcceptedBy != "dba-1" {
			b.Errorf("by %s, accepted by %q", out.Clearance, out.AcceptedBy)
		}
	})
}

// doubtful brings a disaster failover of a pair that was never latched to its
// question, and says that nothing was fenced for it.
func (b *bundle) doubtful() (*bot, approvals.Request) {
	b.Helper()
	b.world.crash("dc1")
	o := b.start(nil)
	r := b.awaitState(o.ask(actions.Question{}).ID, approvals.Held)
	if p := r.OpenPause(); strings.Contains(p.Question, "then dc1 is fenced") == b.unled["dc1"] || !strings.Contains(p.Question, "Zero acknowledged loss: not proven") || strings.Contains(p.Question, "that dc1 is off can't be proven") {
		b.Errorf("asked %q", p.Question)
	}
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	if slices.ContainsFunc(b.world.calls, func(c string) bool { return strings.HasPrefix(c, "off") }) {
		b.Errorf("fenced before anybody was asked: %v", b.world.calls)
	}
	return o, r
}

// TestOldPrimaryIsBackBeforeLossIsAccepted: while people thought about it, the
// old primary came back. Nobody's acceptance costs a pair that works its writes.
func TestOldPrimaryIsBackBeforeLossIsAccepted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o, r := b.doubtful()
		b.world.mu.Lock()
		b.world.server("dc1").start()
		b.world.mu.Unlock()
		settleIn()
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Aborted)
		if t := b.wantServing("dc1"); !t.whole || !strings.Contains(r.Why, "no longer as approved") {
			b.Errorf("%+v: %s", t, r.Why)
		}
	})
}

// TestHoldForLossWithoutADriver: the question about loss promises no fence that
// there isn't, and the one about the fence follows.
func TestHoldForLossWithoutADriver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.unled["dc1"] = true
		o, r := b.doubtful()
		if p := r.OpenPause(); !strings.Contains(p.Question, "then you are asked whether dc1 is off") {
			b.Errorf("asked %q", p.Question)
		}
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		b.must(o.answer(b.askedAgain(r), "dba-1", approvals.Accept, "orders"))
		b.wantState(b.awaitEnd(r.ID), approvals.Succeeded)
		b.wantServing("dc2")
	})
}

// TestTwoStatements: loss is accepted first, then the fence can't be proven. One
// answer is never taken for the other, whenever the bot dies.
func TestTwoStatements(t *testing.T) {
	t.Parallel()
	for _, die := range []bool{false, true} {
		inBubble(t, func(b *bundle) {
			b.world.blind["dc1"] = true
			o, r := b.doubtful()
			restart := func() {
				if die {
					o.die()
					o.end()
					o = b.start(nil)
				}
			}
			restart()
			b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
			r = b.askedAgain(r)
			if p := r.OpenPause(); !strings.Contains(p.Question, "that dc1 is off can't be proven") {
				b.Errorf("asked %q", p.Question)
			}
			restart()
			b.must(o.answer(r, "manager", approvals.Accept, "orders"))
			r = b.awaitEnd(r.ID)
			b.wantState(r, approvals.Succeeded)
			b.wantServing("dc2")
			if out := b.outcome(r); out.Clearance != actions.ClearAccepted || out.AcceptedBy != "manager" {
				b.Errorf("by %s, accepted by %q", out.Clearance, out.AcceptedBy)
			}
		})
	}
}

// TestHoldOfAStreamingStandbySurvivesRestart: the standby streamed when the plan
// was made, and no longer does because the plan's own freeze has ended that.
func TestHoldOfAStreamingStandbySurvivesRestart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		b.world.unheard["dc1"], b.world.blind["dc1"] = true, true
		o := b.start(nil)
		r := b.awaitState(o.ask(actions.Question{Kind: failover}).ID, approvals.Held)
		o.die()
		o.end()
		o = b.start(nil)
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		b.must(o.answer(b.askedAgain(r), "dba-1", approvals.Accept, "orders"))
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
	})
}

// askedAgain waits for the second question, the one about the fence.
func (b *bundle) askedAgain(r approvals.Request) approvals.Request {
	b.Helper()
	return b.await(r.ID, "the fence is asked about", func(r approvals.Request) bool { return len(r.Pauses) == 2 })
}

// TestWrongStatementCostsNoAcknowledgedRow: the old primary is alive where the
// bot can't see it, and somebody states that it is off. The freeze keeps it
// from acknowledging anything.
func TestWrongStatementCostsNoAcknowledgedRow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.pair.AfterFailover = actions.Block // so that nobody acknowledges alone
		planned.begin(b)
		b.world.unheard["dc1"], b.world.blind["dc1"], b.unled["dc1"] = true, true, true
		o := b.start(nil)
		r := b.awaitState(o.ask(actions.Question{Kind: failover}).ID, approvals.Held)
		if !strings.Contains(r.OpenPause().Question, "dc2 still streams from it") {
			b.Errorf("asked %q", r.OpenPause().Question)
		}
		b.must(o.answer(r, "dba-1", approvals.Accept, "orders"))
		b.must(o.answer(b.askedAgain(r), "dba-1", approvals.Accept, "orders"))
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		<-time.After(time.Minute)
		b.world.mu.Lock()
		defer b.world.mu.Unlock()
		if lost := b.world.missing(b.world.server("dc2")); len(lost) > 0 {
			b.Errorf("%d acknowledged rows are lost", len(lost))
		}
		if !b.world.server("dc1").serves() || len(b.world.split) == 0 {
			b.Error("the old primary was not alive: the test shows nothing")
		}
	})
}
