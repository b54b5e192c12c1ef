package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/local"
)

// TestPlannedSwitchover does by hand what the executor does, in its order.
func TestPlannedSwitchover(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(b.a, "INSERT INTO w VALUES (1, 'before')")
	m := b.a.Machine()
	b.must(m.Stop(b.ctx))
	b.must(m.Stopped(b.ctx))
	c, err := b.a.Server.Control(b.ctx)
	b.must(err)
	if c.State != local.ShutDown {
		t.Fatalf("A is %q, want shut down", c.State)
	}
	b.exec(b.b, "SELECT pg_drop_replication_slot('twokey_dc1')", "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")
	b.must(m.Follow(b.ctx, b.a.Name)) // beside the promotion, by cascade
	b.promote(b.b)
	b.until("A is the synchronous standby", func() bool { return b.synchronous(b.b, b.a) })
	b.exec(b.b, "INSERT INTO w VALUES (2, 'after, under block')")
	b.sameRows(b.b, b.a)

	process, _, err := b.a.Server.Running(b.ctx)
	b.must(err)
	b.must(m.Follow(b.ctx, b.a.Name)) // again is fine
	if again, _, err := b.a.Server.Running(b.ctx); err != nil || again.PID != process.PID {
		t.Errorf("process %d, then %d, %v", process.PID, again.PID, err)
	}
}

func TestSwitchoverIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	for name, stop := range map[string]func() error{
		"after a fast stop": func() error {
			return errors.Join(m.Stop(b.ctx), m.Stopped(b.ctx))
		},
		"after a stop that hangs": func() error {
			return errors.Join(b.a.Server.Freeze(b.ctx), m.Stop(b.ctx), m.StopHard(b.ctx))
		},
		"without any stop": func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b.must(stop())
			b.must(m.Start(b.ctx))
			b.until("B streams again", func() bool { return b.synchronous(b.a, b.b) })
			b.exec(b.a, "INSERT INTO w SELECT count(*) + 1, 'as before' FROM w")
			b.sameRows(b.a, b.b)
		})
	}
}

func TestFollowRefuses(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	if err := m.Follow(b.ctx, b.a.Name); !errors.Is(err, local.ErrStillPrimary) {
		t.Errorf("while it runs as a primary: got %v, want ErrStillPrimary", err)
	}
	b.must(m.Off(b.ctx))
	if err := m.Follow(b.ctx, b.a.Name); !errors.Is(err, local.ErrNotClean) {
		t.Errorf("after a crash: got %v, want ErrNotClean", err)
	}
	if b.running(b.a.Server) {
		t.Error("it was started all the same")
	}
}

// TestControlFileIsReadWithoutAProgram: only a whole file that says so counts as
// a clean end; of everything else pg_controldata is asked.
func TestControlFileIsReadWithoutAProgram(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if local.SeenClean(b.a.Server) || local.SeenClean(b.b.Server) {
		t.Error("a server that runs was taken for one that ended")
	}
	b.must(b.b.Server.StopFast(b.ctx))
	b.must(b.a.Server.StopFast(b.ctx))
	if !local.SeenClean(b.a.Server) || !local.SeenClean(b.b.Server) {
		t.Error("the clean end of a primary or a standby was not seen")
	}
	raw, err := os.ReadFile(filepath.Join(b.a.Server.DataDir, "global", "pg_control"))
	b.must(err)
	for at := range 200 {
		raw[at] ^= 1
		if local.CleanControl(raw) {
			t.Errorf("a file that is damaged at byte %d counts", at)
		}
		raw[at] ^= 1
	}
	for _, short := range []int{0, 16, 199, 200, 240} {
		if local.CleanControl(raw[:short]) {
			t.Errorf("the first %d bytes count as a whole file", short)
		}
	}
	_, err = b.a.Server.Start(b.ctx)
	b.must(err)
	b.must(b.a.Server.WaitReady(b.ctx))
	b.must(b.a.Server.Kill(b.ctx))
	if local.SeenClean(b.a.Server) {
		t.Error("a crash was taken for a clean end")
	}
}

func TestFollowTakesAFreezeAndADegradationBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(b.a, "ALTER SYSTEM SET primary_conninfo = ''", "ALTER SYSTEM SET work_mem = '8MB'",
		"ALTER SYSTEM SET synchronous_standby_names = ''")
	m := b.a.Machine()
	b.must(b.a.Server.StopFast(b.ctx))
	b.promote(b.b)
	b.must(m.Follow(b.ctx, b.a.Name))
	b.until("A is the synchronous standby", func() bool { return b.synchronous(b.b, b.a) })
	if names := ask[string](b, b.a, "SHOW synchronous_standby_names"); names != b.b.Name {
		t.Errorf("A names %q as its standby", names)
	}
	if mem := ask[string](b, b.a, "SHOW work_mem"); mem != "8MB" {
		t.Errorf("an own setting was lost: work_mem is %s", mem)
	}
}

func TestFenceIsConfirmedByReadingBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	if !strings.Contains(m.Describe(), b.a.Server.DataDir) {
		t.Errorf("%q does not name the server", m.Describe())
	}
	if power, err := m.Read(b.ctx); err != nil || power != actions.PowerOn {
		t.Errorf("before: %q, %v", power, err)
	}
	c := b.connect(b.a)
	b.must(m.Off(b.ctx))
	b.must(m.Off(b.ctx)) // again is fine
	if power, err := m.Read(b.ctx); err != nil || power != actions.PowerOff {
		t.Errorf("after: %q, %v", power, err)
	}
	if _, err := c.Exec(b.ctx, "INSERT INTO w VALUES (1, 'after the fence')"); err == nil {
		t.Error("a session outlived the fence")
	}
	_ = c.Close(context.Background())
	b.must(m.Stopped(b.ctx))
}

// TestStoppedNoticesTheEndAtOnce: the wait is inside of the write pause.
func TestStoppedNoticesTheEndAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	b.exec(b.a, "CHECKPOINT")
	short, cancel := context.WithTimeout(b.ctx, 20*time.Millisecond)
	defer cancel()
	if err := m.Stopped(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it runs: got %v, want the deadline", err)
	}
	began := time.Now()
	b.must(m.Stop(b.ctx))
	b.must(m.Stopped(b.ctx))
	stopped := time.Now()
	removed, err := os.Stat(b.a.Server.DataDir) // postmaster.pid was removed from it last
	b.must(err)
	t.Logf("stop took %s, noticed %s after its last sign", stopped.Sub(began), stopped.Sub(removed.ModTime()))
}

// TestStartRefusesBesideAPromotedPartner: whoever takes a stop back may be too
// late; then the old primary must not come up beside the new one.
func TestStartRefusesBesideAPromotedPartner(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	b.must(b.a.Server.StopFast(b.ctx))
	b.must(m.Start(b.ctx)) // the partner is a standby: it may
	b.must(b.a.Server.StopFast(b.ctx))
	b.promote(b.b)
	if err := m.Start(b.ctx); !errors.Is(err, local.ErrMayNot) || b.running(b.a.Server) {
		t.Errorf("started beside a primary: %v", err)
	}
}
