package actions_test

import (
	"context"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

func order(who approvals.Person, why string) approvals.Ballot {
	return approvals.Ballot{Person: who, Via: "test", Proof: "command 1", Place: "ops", Why: why}
}

func (o *bot) pause(who approvals.Person, why string) (running string) {
	o.Helper()
	running, err := o.desk.Pause(o.Context(), o.pair.Name, order(who, why))
	if err != nil {
		o.Fatalf("pausing: %v", err)
	}
	return running
}

func (o *bot) wantRefused(err error, code approvals.Code, says string) {
	o.Helper()
	if approvals.Refused(err) != code || !strings.Contains(err.Error(), says) {
		o.Errorf("got %v (%s), want %s with %q", err, approvals.Refused(err), code, says)
	}
}

func TestPausedPairIsLookedAtAndNothingElse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		first := b.start(nil)
		first.pause("dba-1", "disk is being replaced")
		first.end()
		o := b.start(nil) // it outlives the bot
		rep, err := o.desk.Verify(o.Context(), "orders")
		b.must(err)
		if rep.Verdict.Health != actions.HealthOK || !strings.HasPrefix(rep.Paused(), "PAUSED by dba-1 since ") || !strings.HasSuffix(rep.Paused(), ": disk is being replaced") {
			b.Errorf("health %s, %q", rep.Verdict.Health, rep.Paused())
		}
		for _, kind := range []actions.Kind{actions.KindAuto, actions.KindSwitchover, actions.KindFailover, actions.KindRejoin} {
			_, err = o.desk.Ask(o.Context(), actions.Question{Pair: "orders", Kind: kind, Requester: "oncall", Place: "ops"})
			o.wantRefused(err, approvals.CodePaused, "disk is being replaced")
		}
		_, err = o.desk.Preview(o.Context(), actions.Question{Pair: "orders"})
		b.must(err)
		was, err := o.desk.Resume(o.Context(), "orders", order("dba-2", ""))
		if err != nil || was.By != "dba-1" {
			b.Errorf("resumed %+v: %v", was, err)
		}
		o.ask(actions.Question{})
		b.wantPauses("paused dba-1", "resumed dba-2")
	})
}

// wantPauses: the audit log has exactly these, with who ordered them.
func (b *bundle) wantPauses(want ...string) {
	b.Helper()
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	var got []string
	for _, e := range b.ledger.events {
		if e.Kind == actions.NewsPaused || e.Kind == actions.NewsResumed {
			got = append(got, e.Kind+" "+string(e.Actor))
			if e.Subject != "pair/orders" || !strings.Contains(string(e.Data), `"proof":"command 1"`) {
				b.Errorf("event %s of %s: %s", e.Kind, e.Subject, e.Data)
			}
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		b.Errorf("the log has %q, want %q", got, want)
	}
}

func TestPausingAndResumingNeedAnApprover(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		_, err := o.desk.Pause(o.Context(), "orders", order("oncall", "why not"))
		o.wantRefused(err, approvals.CodeNotApprover, "Only an approver may do that (dba-1, dba-2, manager)")
		_, err = o.desk.Pause(o.Context(), "orders", order("dba-1", ""))
		o.wantRefused(err, approvals.CodeInput, "needs its reason")
		_, err = o.desk.Pause(o.Context(), "billing", order("dba-1", "x"))
		o.wantRefused(err, approvals.CodeInput, "no pair")
		_, err = o.desk.Resume(o.Context(), "orders", order("dba-1", ""))
		o.wantRefused(err, approvals.CodeInput, "orders is not paused")
		o.pause("dba-1", "upgrade")
		_, err = o.desk.Pause(o.Context(), "orders", order("dba-2", "again"))
		o.wantRefused(err, approvals.CodeInput, "paused already: upgrade (dba-1")
		_, err = o.desk.Resume(o.Context(), "orders", order("oncall", ""))
		o.wantRefused(err, approvals.CodeNotApprover, "Only an approver")
		b.check = func(approvals.Person) error {
			return &approvals.Refusal{Code: approvals.CodeAccount, Message: "deactivated"}
		}
		_, err = o.desk.Resume(o.Context(), "orders", order("dba-1", ""))
		o.wantRefused(err, approvals.CodeAccount, "deactivated")
		b.wantPauses("paused dba-1")
	})
}

func TestPauseVoidsAnOpenRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		r := o.open(actions.Question{})
		o.approve(r, "dba-1")
		if running := o.pause("manager", "not tonight"); running != "" {
			b.Errorf("request %s is said to run", running)
		}
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Stale)
		if r.Why != "manager paused the pair: not tonight" {
			b.Errorf("why: %q", r.Why)
		}
		b.wantServing("dc1")
	})
}

// TestPauseThatComesAfterTheSecondVote: the pause is seen by the claim itself.
func TestPauseThatComesAfterTheSecondVote(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		looked := 0
		b.check = func(approvals.Person) error {
			if looked++; looked == 3 { // two votes, then the accounts before the claim
				b.remember(func(m *actions.Remembered) { m.Paused = &actions.Paused{By: "manager", Why: "not tonight"} })
			}
			return nil
		}
		r := b.awaitEnd(o.ask(actions.Question{}).ID)
		b.wantState(r, approvals.Stale)
		if !strings.Contains(r.Why, "orders is paused: not tonight") || r.Attempt != "" {
			b.Errorf("attempt %q, why %q", r.Attempt, r.Why)
		}
		b.wantServing("dc1")
	})
}

func TestVotesAreRefusedWhilePaused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		o := b.start(nil)
		r := o.open(actions.Question{})
		b.remember(func(m *actions.Remembered) { m.Paused = &actions.Paused{By: "manager", Why: "not tonight"} })
		_, err := o.desk.Approve(o.Context(), r.ID, ballot(r, "dba-1"))
		o.wantRefused(err, approvals.CodePaused, "not tonight")
	})
}

// remember changes the memory past every bot.
func (b *bundle) remember(change func(*actions.Remembered)) {
	b.Helper()
	_, err := book{b.ledger, newBeing()}.Revise(context.Background(), b.pair.Name, func(m actions.Remembered) (actions.Remembered, []approvals.Event) {
		change(&m)
		return m, nil
	})
	b.must(err)
}

func TestPauseDoesNotStopWhatRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		settleIn()
		var running string
		o := b.start(func(o *bot, p actions.Point) error {
			if p.Op == actions.OpStop && !p.After {
				running = o.pause("dba-1", "too late")
			}
			return nil
		})
		r := b.awaitEnd(o.ask(actions.Question{}).ID)
		b.wantState(r, approvals.Succeeded)
		if running != r.ID {
			b.Errorf("%q is said to run, want %s", running, r.ID)
		}
		b.wantServing("dc2")
	})
}
