package actions_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// count says how often bots did something to the world.
func (b *bundle) count(call string) int {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	n := 0
	for _, c := range b.world.calls {
		if c == call {
			n++
		}
	}
	return n
}

// wantOnce: the request was executed by one attempt, from the lock on.
func (b *bundle) wantOnce(r approvals.Request) {
	b.Helper()
	locks := 0
	for _, e := range b.entries(r.ID) {
		if e.Op == actions.OpLock && e.Phase == actions.Intent {
			locks++
		}
	}
	if locks != 1 || b.count("promote dc2") != 1 || b.count("stop dc1") != 1 {
		b.Errorf("locked %d times, promoted %d times, stopped %d times", locks, b.count("promote dc2"), b.count("stop dc1"))
	}
}

func TestThreatBothApproversAtOnceExecuteOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.policy.Approvers = append(b.policy.Approvers, "dba-3", "dba-4")
		o := b.start(nil)
		r := o.open(actions.Question{})
		o.approve(r, "manager")
		var group sync.WaitGroup
		var mu sync.Mutex
		counted := 0
		for _, who := range []approvals.Person{"dba-1", "dba-2", "dba-3", "dba-4"} {
			group.Go(func() {
				_, err := o.desk.Approve(b.Context(), r.ID, ballot(r, who))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					counted++
				} else if approvals.Refused(err) != approvals.CodeState {
					b.Errorf("%s: %v", who, err)
				}
			})
		}
		group.Wait()
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
		b.wantOnce(r)
		if counted != 1 || len(r.Votes) != 2 {
			b.Errorf("%d of 4 approvals were counted, the request has %d votes", counted, len(r.Votes))
		}
	})
}

// TestApprovedBeforeRun: the second approval comes in while the bot starts, so
// the request is queued by the approval and found open as well. The later of
// the two reads it when the other one is in the middle.
func TestApprovedBeforeRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		earlier := b.start(nil)
		b.mustVerify(earlier) // latches are shown by Run
		earlier.end()
		inTheMiddle := make(chan struct{})
		o := b.prepare(func(_ *bot, p actions.Point) error {
			if p.Op == actions.OpPrepare && !p.After {
				close(inTheMiddle)
				<-time.After(time.Second)
			}
			return nil
		})
		r := o.ask(actions.Question{})
		var reads atomic.Int32
		b.ledger.refusing(func(call string) error {
			if call == "request" && reads.Add(1) == 2 {
				<-inTheMiddle
			}
			return nil
		})
		o.run()
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
		b.wantOnce(r)
	})
}

// TestStaleBeforeClaim: between the votes the world changed; nothing runs.
func TestStaleBeforeClaim(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		change func(b *bundle)
		says   string
	}{
		"the standby lost its stream":    {func(b *bundle) { b.world.servers[1].frozen = true }, "dc2 timeline: was 1, is not streaming"},
		"the primary is away":            {func(b *bundle) { b.world.down(b.world.servers[0]) }, "dc1 role: was primary, is no answer"},
		"the names were emptied":         {func(b *bundle) { b.world.servers[0].names = "" }, "dc1 synchronous_standby_names: was dc2, is nothing"},
		"somebody switched over":         {func(b *bundle) { b.world.down(b.world.servers[0]); b.world.servers[1].rise() }, "old primary: was dc1, is dc2"},
		"the pair is at other addresses": {func(b *bundle) { b.world.unheard["dc1"], b.world.unheard["dc2"] = true, true }, "dc2 role: was standby, is no answer"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				planned.begin(b)
				o := b.start(nil)
				r := o.open(actions.Question{})
				o.approve(r, "dba-1")
				b.world.mu.Lock()
				row.change(b)
				b.world.mu.Unlock()
				o.approve(r, "dba-2")
				r = b.awaitEnd(r.ID)
				b.wantState(r, approvals.Stale)
				if !strings.Contains(r.Why, row.says) {
					b.Errorf("%q doesn't say %q", r.Why, row.says)
				}
				if len(b.entries(r.ID)) > 0 || b.count("stop dc1")+b.count("promote dc2")+b.count("freeze dc2") > 0 {
					b.Errorf("something was done: %q", b.world.calls)
				}
			})
		})
	}
}

func TestPolicyChangedBeforeClaim(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.prepare(nil)
		r := o.ask(actions.Question{})
		o.being.die()
		b.policy.Approvers = []approvals.Person{"dba-1", "manager", "dba-3"} // dba-2 is no approver any more
		b.start(nil)
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Stale)
		b.wantServing("dc1")
	})
}

// TestVotersAccounts: looked up at the vote and again before execution.
func TestVotersAccounts(t *testing.T) {
	t.Parallel()
	unsure := &approvals.Refusal{Code: approvals.CodeLookup, Message: "Slack doesn't answer"}
	closed := &approvals.Refusal{Code: approvals.CodeAccount, Message: "the account is deactivated"}
	for title, row := range map[string]struct {
		answer func(since time.Duration) error // of dba-1's account, after both votes
		state  approvals.State
		after  time.Duration // no earlier than that
		says   string
	}{
		"both may":                            {func(time.Duration) error { return nil }, approvals.Succeeded, 0, ""},
		"one can't be looked up for a minute": {func(d time.Duration) error { return when(d < time.Minute, unsure) }, approvals.Succeeded, time.Minute, ""},
		"one can't be looked up at all":       {func(time.Duration) error { return unsure }, approvals.Expired, 15 * time.Minute, "it was approved, and could not begin in time"},
		"one is deactivated":                  {func(time.Duration) error { return closed }, approvals.Stale, 0, "dba-1 may not vote any more: the account is deactivated"},
		"one can't be looked up, then is found": {func(d time.Duration) error {
			return errors.Join(when(d < time.Minute, unsure), when(d >= time.Minute, closed))
		}, approvals.Stale, time.Minute, "dba-1 may not vote any more"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				o := b.start(nil)
				r := o.open(actions.Question{})
				o.approve(r, "dba-1")
				voted := time.Now()
				b.check = func(who approvals.Person) error {
					if who == "dba-1" {
						return row.answer(time.Since(voted))
					}
					return nil
				}
				o.approve(r, "dba-2")
				r = b.awaitEnd(r.ID)
				b.wantState(r, row.state)
				if time.Since(voted) < row.after || !strings.Contains(r.Why, row.says) {
					b.Errorf("ended after %s: %s", time.Since(voted), r.Why)
				}
				if row.state != approvals.Succeeded && len(b.entries(r.ID)) > 0 {
					b.Error("something was done")
				}
			})
		})
	}
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// TestVoteNeedsAnAccount: what can't be looked up can't vote, deny or answer.
func TestVoteNeedsAnAccount(t *testing.T) {
	t.Parallel()
	for _, code := range []approvals.Code{approvals.CodeLookup, approvals.CodeAccount} {
		inBubble(t, func(b *bundle) {
			o := b.start(nil)
			r := o.open(actions.Question{})
			b.check = func(approvals.Person) error { return &approvals.Refusal{Code: code, Message: "no"} }
			_, a := o.desk.Approve(b.Context(), r.ID, ballot(r, "dba-1"))
			_, d := o.desk.Deny(b.Context(), r.ID, ballot(r, "dba-1"))
			_, n := o.desk.Answer(b.Context(), r.ID, ballot(r, "dba-1"), approvals.Accept, "orders")
			for _, err := range []error{a, d, n} {
				if approvals.Refused(err) != code {
					b.Errorf("refused with %q, want %q", approvals.Refused(err), code)
				}
			}
			if now := b.request(r.ID); now.State != approvals.Pending || len(now.Votes) > 0 {
				b.Errorf("the request is %s with %d votes", now.State, len(now.Votes))
			}
		})
	}
}

// TestRunExpires: requests that nobody decides end by themselves.
func TestRunExpires(t *testing.T) {
	t.Parallel()
	for _, votes := range [][]approvals.Person{nil, {"dba-1"}} {
		inBubble(t, func(b *bundle) {
			o := b.start(nil)
			r := o.open(actions.Question{})
			for _, who := range votes {
				o.approve(r, who)
			}
			asked := time.Now()
			r = b.awaitEnd(r.ID)
			b.wantState(r, approvals.Expired)
			if took := time.Since(asked); took < b.policy.Expiry-2*time.Second || took > b.policy.Expiry+5*time.Second {
				b.Errorf("expired after %s", took)
			}
			if _, err := o.desk.Approve(b.Context(), r.ID, ballot(r, "dba-2")); approvals.Refused(err) != approvals.CodeState {
				b.Errorf("a vote after the end: %v", err)
			}
		})
	}
}

// TestLateVoteExpires: the vote that comes too late ends the request itself,
// whether or not anybody sweeps.
func TestLateVoteExpires(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.prepare(nil)
		r := o.open(actions.Question{})
		o.approve(r, "dba-1")
		<-time.After(b.policy.Expiry + time.Second)
		if _, err := o.desk.Approve(b.Context(), r.ID, ballot(r, "dba-2")); approvals.Refused(err) != approvals.CodeExpired {
			b.Errorf("refused with %v", err)
		}
		b.wantState(b.request(r.ID), approvals.Expired)
	})
}

func TestOneOpenRequestPerPair(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		r := o.open(actions.Question{})
		q := actions.Question{Pair: "orders", Requester: "manager", Place: "ops"}
		if _, err := o.desk.Ask(b.Context(), q); approvals.Refused(err) != approvals.CodeOpen {
			b.Errorf("a second request: %v", err)
		}
		if _, err := o.desk.Cancel(b.Context(), r.ID, ballot(r, "dba-1")); approvals.Refused(err) != approvals.CodeNotRequest {
			b.Errorf("cancelled by somebody else: %v", err)
		}
		if _, err := o.desk.Cancel(b.Context(), r.ID, ballot(r, "oncall")); err != nil {
			b.Error(err)
		}
		r = o.open(actions.Question{})
		o.approve(r, "dba-1")
		no := ballot(r, "dba-2")
		no.Why = "not during the sale"
		if _, err := o.desk.Deny(b.Context(), r.ID, no); err != nil {
			b.Error(err)
		}
		if r = b.request(r.ID); r.State != approvals.Denied || r.Why != "not during the sale" || r.EndedBy != "dba-2" {
			b.Errorf("%s by %s: %s", r.State, r.EndedBy, r.Why)
		}
		b.wantServing("dc1")
	})
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		for _, row := range []struct {
			q    actions.Question
			says string
		}{
			{actions.Question{Pair: "billing"}, `There is no pair "billing". There is: orders.`},
			{actions.Question{Pair: "orders", To: "dc9"}, `Pair orders has no node "dc9". Its nodes: dc1, dc2.`},
			{actions.Question{Pair: "orders", To: "dc1"}, "dc1 can't become the primary"},
			{actions.Question{Pair: "orders", Kind: failover}, "it allows a switchover"},
			{actions.Question{Pair: "orders", Kind: actions.KindRejoin}, "there is nothing to rejoin"},
		} {
			_, err := o.desk.Ask(b.Context(), row.q)
			if approvals.Refused(err) != approvals.CodeInput || !strings.Contains(err.Error(), row.says) {
				b.Errorf("%+v: %v, want %q", row.q, err, row.says)
			}
		}
		if open, err := o.desk.Open(b.Context()); err != nil || len(open) > 0 {
			b.Errorf("%d requests are open, %v", len(open), err)
		}
	})
}

// TestLooksWhileItRuns: status and verify may be asked at any time of a
// switchover under load. They disturb nothing, and never claim that writes
// are lost.
func TestLooksWhileItRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		o := b.start(nil)
		stop := make(chan struct{})
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				for !closed(stop) {
					look := o.desk.Status
					if i == 0 {
						look = o.desk.Verify
					}
					rep, err := look(b.Context(), "orders")
					if err != nil || rep.Verdict.Loss == actions.LossCertain {
						b.Errorf("%s, %v", rep.Verdict.Headline, err)
					}
					<-time.After(time.Duration(1+i) * time.Millisecond)
				}
			})
		}
		r := b.awaitEnd(o.ask(actions.Question{}).ID)
		close(stop)
		group.Wait()
		b.wantState(r, approvals.Succeeded)
		if t := b.wantServing("dc2"); !t.whole {
			b.Errorf("%+v", t)
		}
		b.wantOnce(r)
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestRecipes: a test row goes to the primary, and the rows of both nodes compare.
func TestRecipes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		if node, _, err := o.desk.InsertTest(b.Context(), "orders", "dba-1"); err != nil || node != "dc1" {
			b.Errorf("the row went to %q: %v", node, err)
		}
		c, err := o.desk.VerifyData(b.Context(), "orders")
		if err != nil || !c.Identical || c.Primary != "dc1" || c.Standby != "dc2" || !slices.Equal(c.Tables, []actions.TableCompare{{Table: "rows", PrimaryRows: c.Tables[0].PrimaryRows, StandbyRows: c.Tables[0].PrimaryRows, SumsEqual: true}}) {
			b.Errorf("%+v, %v", c, err)
		}
		b.world.mu.Lock()
		b.world.server("dc2").frozen = true
		b.world.mu.Unlock()
		settleIn()
		if c, err := o.desk.VerifyData(b.Context(), "orders"); err != nil || c.Identical {
			b.Errorf("a standby without its stream has the same rows: %+v, %v", c, err)
		}
		b.world.crash("dc1")
		_, _, insert := o.desk.InsertTest(b.Context(), "orders", "dba-1")
		_, verify := o.desk.VerifyData(b.Context(), "orders")
		if approvals.Refused(insert) != approvals.CodeInput || approvals.Refused(verify) != approvals.CodeInput {
			b.Errorf("without a primary: %v; %v", insert, verify)
		}
	})
}
