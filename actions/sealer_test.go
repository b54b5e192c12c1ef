package actions_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// sealing is a machine whose platform tells at once that a server which was told
// to stop won't come back, and waits for its end before it starts another one.
type sealing struct{ machine }

func (m sealing) Sealed(ctx context.Context) error {
	return m.waits(ctx, "sealed", func() bool { return !m.s.up || !m.s.stopAt.IsZero() })
}

func (m sealing) Follow(ctx context.Context, name string) error {
	if err := m.waits(ctx, "stopped", func() bool { return !m.s.up }); err != nil {
		return err
	}
	return m.machine.Follow(ctx, name)
}

func (m sealing) waits(ctx context.Context, call string, done func() bool) error {
	if err := m.w.enter(ctx, m.b, call, m.s.name); err != nil {
		return err
	}
	m.w.mu.Unlock()
	return m.w.wait(ctx, m.b, done)
}

// Lingers for what is left, of which nothing ends it sooner.
func (m sealing) Lingers(context.Context) (time.Duration, error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if m.s.stopAt.IsZero() {
		return m.w.stopTakes, nil
	}
	return time.Until(m.s.stopAt), nil
}

// StopHard can't hasten it.
func (m sealing) StopHard(ctx context.Context) error {
	return m.waits(ctx, "stopped", func() bool { return !m.s.up })
}

var (
	_ actions.Sealer   = sealing{}
	_ actions.Lingerer = sealing{}
)

// Nobody waits for a platform to tidy up: the gate is passed with the checkpoint.
func TestSealedServerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.seals, b.world.lingers = true, 3*time.Second
		planned.begin(b)
		r := b.awaitEnd(b.start(nil).ask(planned.question).ID)
		b.wantState(r, approvals.Succeeded)
		if !b.wantServing("dc2").whole {
			b.Error("dc1 is not its standby")
		}
		if out := b.outcome(r); out.WritePause <= 0 || out.WritePause > time.Second || out.Clearance != actions.ClearStopped {
			b.Errorf("writes paused for %s, on clearance %q", out.WritePause, out.Clearance)
		}
	})
}

// That it won't come back is not that it has ended: without the checkpoint the
// gate stays shut, for the time that a stop may take.
func TestSealedServerThatDoesNotStop(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.seals, b.world.stopTakes = true, 2*time.Minute // and nothing ends it sooner
		planned.begin(b)
		r := b.awaitEnd(b.start(nil).ask(planned.question).ID)
		b.wantState(r, approvals.Aborted)
		b.wantServing("dc1")
		if !strings.Contains(r.Why, "the stop of dc1 took longer than 30s") {
			b.Errorf("why: %s", r.Why)
		}
	})
}

// Once it has ended, what it has sent arrives soon or never.
func TestSealedServerThatEndsWithoutItsCheckpoint(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.seals = true
		planned.begin(b)
		changing("stop dc1", 1, func(w *world) { w.server("dc2").frozen = true })(b)
		began := time.Now()
		r := b.awaitEnd(b.start(nil).ask(planned.question).ID)
		b.wantState(r, approvals.Aborted)
		b.wantServing("dc1")
		if took := time.Since(began); !strings.Contains(r.Why, "does not have its shutdown checkpoint") || took > 20*time.Second {
			b.Errorf("after %s: %s", took, r.Why)
		}
	})
}

// A bot that died behind the stop goes on without waiting for the tidying up.
func TestSealedServerAfterARestart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.seals, b.world.lingers = true, 10*time.Second
		planned.begin(b)
		first := b.prepare(nil)
		b.world.after["stop dc1"] = func(*world, *server) { first.being.die() }
		first.run()
		r := first.ask(planned.question)
		<-first.being.dead
		b.start(nil)
		r = b.awaitEnd(r.ID)
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
	})
}

// A rejoin leads clients on, whom a site that was lost leads to the old primary.
func TestRejoinPointsTheEndpoints(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		rejoin.begin(b)
		b.world.mu.Lock()
		b.world.leads = "dc2"
		b.world.mu.Unlock()
		o := b.start(nil)
		r := o.ask(rejoin.question)
		if !strings.Contains(r.Subject.Text, "point clients at dc1: the simulated record") {
			b.Errorf("the plan doesn't say where clients are led:\n%s", r.Subject.Text)
		}
		b.wantState(b.awaitEnd(r.ID), approvals.Succeeded)
		b.wantLedTo("dc1")
	})
}
