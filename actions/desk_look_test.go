package actions_test

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
)

func (b *bundle) remembered() actions.Remembered {
	b.Helper()
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	var m actions.Remembered
	if raw := b.ledger.memory["orders"]; raw != nil {
		if err := json.Unmarshal(raw, &m); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

func (w *world) setNames(node, names string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server(node).names, w.server(node).loaded = names, time.Now()
}

// TestVerifyArmsStatusDoesNot: only verify shows the latch, with one
// checkpoint on the primary; where it holds already, with none.
func TestVerifyArmsStatusDoesNot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		rep, err := o.desk.Status(b.Context(), "orders")
		if err != nil || rep.Verdict.Health != actions.HealthArming || b.count("checkpoint dc1") != 0 {
			b.Errorf("status: %s, %v, %d checkpoints", rep.Verdict.Health, err, b.count("checkpoint dc1"))
		}
		for range 3 {
			b.mustVerify(o)
		}
		if n := b.count("checkpoint dc1"); n != 1 {
			b.Errorf("three times verify: %d checkpoints", n)
		}
		b.world.setNames("dc1", "")
		rep, err = o.desk.Verify(b.Context(), "orders")
		if err != nil || rep.Verdict.Health != actions.HealthUnprotected || b.count("checkpoint dc1") != 1 {
			b.Errorf("verify of an unprotected pair: %s, %v, %d checkpoints", rep.Verdict.Health, err, b.count("checkpoint dc1"))
		}
		if rep.Conn != b.pair.Conn("dc1") {
			b.Errorf("connection %s", rep.Conn.URI)
		}
	})
}

// TestVerifyThatCannotArm: what stands in the way of the checkpoint costs the
// latch, not the answer.
func TestVerifyThatCannotArm(t *testing.T) {
	t.Parallel()
	for _, fault := range []func(*bundle){broken("checkpoint", "dc1"), hanging("checkpoint", "dc1")} {
		inBubble(t, func(b *bundle) {
			fault(b)
			rep, err := b.start(nil).desk.Verify(b.Context(), "orders")
			if err != nil || rep.Verdict.Health != actions.HealthArming || rep.Verdict.Primary != "dc1" {
				b.Errorf("%+v, %v", rep.Verdict, err)
			}
		})
	}
}

// TestLatchWhoseCheckpointTakesMinutes: on a large primary nobody waits that
// long, but the latch is shown all the same, with one checkpoint however often
// somebody asks meanwhile.
func TestLatchWhoseCheckpointTakesMinutes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.world.setFault(func(call, node string) error {
			if call == "checkpoint" {
				<-time.After(5 * time.Minute)
			}
			return nil
		})
		o := b.start(nil)
		for range 3 {
			began := time.Now()
			rep, err := o.desk.Verify(b.Context(), "orders")
			if err != nil || rep.Verdict.Health != actions.HealthArming || time.Since(began) > time.Minute {
				b.Errorf("after %s: %+v, %v", time.Since(began), rep.Verdict, err)
			}
		}
		<-time.After(6 * time.Minute)
		b.mustVerify(o)
		if n := b.count("checkpoint dc1"); n != 1 {
			b.Errorf("%d checkpoints", n)
		}
	})
}

// TestHangingNodeCostsOnlyItsOwnAnswer: the other node's is there, and within
// the deadline of one observation.
func TestHangingNodeCostsOnlyItsOwnAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		hanging("observe", "dc1")(b)
		began := time.Now()
		rep, err := b.start(nil).desk.Status(b.Context(), "orders")
		if err != nil || rep.Evidence.Nodes[1].Server == nil || rep.Verdict.Health != actions.HealthPrimaryGone {
			b.Errorf("%+v, %v", rep.Verdict, err)
		}
		if took := time.Since(began); took > actions.DefaultTimeouts().Observe+time.Second {
			b.Errorf("it took %s", took)
		}
	})
}

// TestOvertakenLookDoesNotOverwrite: a look that began before a newer one, and
// ends after it, changes nothing of what the newer one has remembered.
func TestOvertakenLookDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		released, waiting := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		b.ledger.refusing(func(call string) error {
			if call == "revise" && first.CompareAndSwap(false, true) {
				close(waiting)
				<-released
			}
			return nil
		})
		old := make(chan error, 1)
		go func() { _, err := o.desk.Status(b.Context(), "orders"); old <- err }()
		<-waiting
		<-time.After(time.Second)
		b.world.setNames("dc1", "")
		if _, err := o.desk.Status(b.Context(), "orders"); err != nil {
			b.Error(err)
		}
		newer := b.remembered()
		close(released)
		if err := <-old; err != nil {
			b.Error(err)
		}
		if m := b.remembered(); m.Latch != nil || m.Unprotected.IsZero() || !m.LookedAt.Equal(newer.LookedAt) {
			b.Errorf("the older look has overwritten the newer one: %+v", m)
		}
	})
}

// TestOvertakenLatchIsNotKept: between the look that closes the latch and its
// record, another look saw the names emptied.
func TestOvertakenLatchIsNotKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		released, waiting := make(chan struct{}), make(chan struct{})
		var revisions atomic.Int32
		b.ledger.refusing(func(call string) error {
			if call != "revise" {
				return nil
			}
			switch revisions.Add(1) {
			case 2: // verify looks, and then records the latch
				close(waiting)
				<-released
			case 4: // and then it looks once more
				return errors.New("disk full")
			}
			return nil
		})
		done := make(chan struct{})
		go func() { defer close(done); _, _ = o.desk.Verify(b.Context(), "orders") }() // the memory is what counts here
		<-waiting
		<-time.After(100 * time.Millisecond)
		b.world.setNames("dc1", "")
		if _, err := o.desk.Status(b.Context(), "orders"); err != nil {
			b.Error(err)
		}
		close(released)
		<-done
		if m := b.remembered(); m.Latch != nil {
			b.Errorf("a latch was kept that a newer look had spoken against: %+v", *m.Latch)
		}
	})
}

// TestClockSetBack: the bot's clock was a day ahead and was set right. What is
// seen from then on counts, and what was seen before proves nothing more.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		var ahead atomic.Int64
		ahead.Store(int64(24 * time.Hour))
		b.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		ahead.Store(0)
		b.world.setNames("dc1", "")
		if _, err := o.desk.Status(b.Context(), "orders"); err != nil {
			b.Error(err)
		}
		settleIn() // the primary acknowledges alone
		b.world.crash("dc1")
		rep, err := o.desk.Status(b.Context(), "orders")
		if err != nil || rep.Verdict.Loss != actions.LossUnproven || b.remembered().Latch != nil {
			b.Errorf("%s, %v", rep.Verdict.Headline, err)
		}
	})
}

// TestLookWithoutMemory: when what was seen can't be remembered, people still see
// how the pair stands, and nothing is proven.
func TestLookWithoutMemory(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		b.ledger.refusing(func(call string) error { return when(call == "revise", errInjected) })
		rep, err := o.desk.Status(b.Context(), "orders")
		if err != nil || rep.Verdict.Health != actions.HealthOK || rep.Verdict.Loss != actions.LossUnproven || rep.Evidence.HasMemory {
			b.Errorf("%s, %s, %v", rep.Verdict.Health, rep.Verdict.Headline, err)
		}
	})
}

// TestRunWithoutItsStore: a bot that can't read what was left says so and ends.
func TestRunWithoutItsStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.ledger.refusing(func(string) error { return errInjected })
		o := b.prepare(nil)
		if err := o.desk.Run(b.Context()); !errors.Is(err, errInjected) {
			b.Errorf("it ended with %v", err)
		}
	})
}

// TestNewDeskRefuses: a desk that could not work is not made.
func TestNewDeskRefuses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := &bot{bundle: b, being: newBeing()}
		for title, spoil := range map[string]func(*actions.Options){
			"too few approvers":         func(x *actions.Options) { x.Policy.Approvers = x.Policy.Approvers[:2] },
			"no expiry":                 func(x *actions.Options) { x.Policy.Expiry = 0 },
			"a node without a database": func(x *actions.Options) { delete(x.Hands["orders"].Databases, "dc2") },
			"a pair without any driver": func(x *actions.Options) { x.Hands = nil },
		} {
			opt := b.options(o, nil)
			spoil(&opt)
			if _, err := actions.NewDesk(opt); err == nil {
				b.Errorf("%s: a desk was made", title)
			}
		}
	})
}
