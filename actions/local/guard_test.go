package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
)

// guard of one of the pair's nodes, without a command: it only looks.
func (b *bundle) guard(n *sandbox.Node) *local.Guard {
	partner := b.a
	if n == b.a {
		partner = b.b
	}
	return &local.Guard{Machine: *n.Machine(), Node: n.Name, Partner: partner.Name, Rejoins: actions.RejoinFitting, Command: []string{"/no/such/command"}}
}

// decides looks and compares.
func (b *bundle) decides(g *local.Guard, want actions.StartKind, primary bool, why string) {
	b.t.Helper()
	d, err := g.Look(b.ctx)
	b.must(err)
	if d.Kind != want || d.Primary != primary || !strings.Contains(d.Why, why) {
		b.t.Errorf("%s, as a primary: %t; want %s, %t, because %q", d, d.Primary, want, primary, why)
	}
}

func (b *bundle) note(n *sandbox.Node, kind, text string) {
	b.t.Helper()
	path := n.Server.DataDir + "." + kind
	b.must(os.WriteFile(path, []byte(text), 0o600))
}

// TestHoldThatIsOverSaysNothingOfAStandby: a node that was held in recovery, was
// the primary again and was then made a standby by a switchover must not take
// itself for the primary while its partner is about to be promoted.
func TestHoldThatIsOverSaysNothingOfAStandby(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	g := b.guard(b.a)
	b.note(b.a, "held", "released, timeline 1\n")
	b.must(errors.Join(g.Machine.Stop(b.ctx), g.Machine.Stopped(b.ctx)))
	b.decides(g, actions.StartAsIs, true, "the primary of timeline 1")
	b.must(g.Machine.Follow(b.ctx, b.a.Name))
	b.must(b.a.Server.Kill(b.ctx))
	b.decides(g, actions.StartRecovery, false, "both are standbys")
	b.note(b.a, "held", "released, timeline 1\n") // as one that could not be removed
	b.decides(g, actions.StartRecovery, false, "both are standbys")
}

// TestHoldIsForgottenByARejoin, and one that is not over outlives kill -9.
func TestHoldIsForgottenByARejoin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	g := b.guard(b.a)
	b.must(b.a.Server.Kill(b.ctx))
	b.note(b.a, "held", "held, timeline 1\n")
	b.must(os.WriteFile(filepath.Join(b.a.Server.DataDir, "standby.signal"), nil, 0o600))
	b.decides(g, actions.StartAsIs, true, "the primary of timeline 1")
	b.promoteAlone()
	_, _, err := b.rejoin()
	b.must(err)
	b.must(b.a.Server.StopFast(b.ctx))
	b.decides(g, actions.StartAsIs, false, "it is a standby")
	if _, err := os.Stat(b.a.Server.DataDir + ".held"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note is still there: %v", err)
	}
}

// TestNewPrimaryIsKnownBeforeItsFirstCheckpoint: its control file still speaks of
// the old timeline, held in recovery or not.
func TestNewPrimaryIsKnownBeforeItsFirstCheckpoint(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.must(b.a.Server.Kill(b.ctx))
	checkpointer := ask[int](b, b.b, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
	stopped, err := os.FindProcess(checkpointer)
	b.must(err)
	b.must(stopped.Signal(syscall.SIGSTOP)) // so that no checkpoint is made
	b.exec(b.b, "SELECT pg_promote(true, 30)")
	b.must(b.b.Server.Kill(b.ctx))
	control, err := b.b.Server.Control(b.ctx)
	b.must(err)
	if control.Timeline != 1 {
		t.Fatalf("its control file speaks of timeline %d already", control.Timeline)
	}
	g := b.guard(b.b)
	e, err := local.Evidence(g, b.ctx)
	b.must(err)
	if e.Own.Timeline != 2 || !e.Own.WasPrimary() {
		t.Errorf("own evidence %+v, want a primary on timeline 2", e.Own)
	}
	b.note(b.b, "held", "held, timeline 2\n")
	signal := filepath.Join(b.b.Server.DataDir, "standby.signal")
	b.must(errors.Join(os.WriteFile(signal, nil, 0o600), b.b.Server.User.Own(signal)))
	_, err = b.b.Server.Start(b.ctx)
	b.must(errors.Join(err, b.b.Server.WaitReady(b.ctx)))
	if e, err = local.Evidence(g, b.ctx); err != nil || e.Own.Timeline != 2 || !e.Own.Held {
		t.Errorf("held: own evidence %+v, %v, want timeline 2", e.Own, err)
	}
}

// TestHoldOfAnotherFolderCountsForNothing: a backup of an earlier timeline lies in
// the folder now.
func TestHoldOfAnotherFolderCountsForNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.must(b.b.Server.StopFast(b.ctx))
	b.note(b.b, "held", "held, timeline 7\n")
	b.decides(b.guard(b.b), actions.StartAsIs, false, "it is a standby")
	b.note(b.b, "held", "held, timeline one\n")
	b.decides(b.guard(b.b), actions.StartAsIs, false, "it is a standby")
}

// TestRunningPrimaryIsNotGuarded: it is left alone, and said so.
func TestRunningPrimaryIsNotGuarded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	before, _, err := b.a.Server.Running(b.ctx)
	b.must(err)
	if err := b.guard(b.a).Run(b.ctx, nil); !errors.Is(err, local.ErrRuns) {
		t.Errorf("got %v, want ErrRuns", err)
	}
	if after, running, err := b.a.Server.Running(b.ctx); err != nil || !running || after.PID != before.PID {
		t.Errorf("process %d, then %d, %v", before.PID, after.PID, err)
	}
}

// TestForeignConninfoIsRefused: with it the server would stream under a name that
// the guard didn't choose, perhaps its sync name.
func TestForeignConninfoIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(b.b, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 application_name=dc2'")
	b.must(b.b.Server.StopFast(b.ctx))
	b.must(b.a.Server.StopFast(b.ctx))
	err := b.guard(b.b).Run(b.ctx, nil)
	if err == nil || !strings.Contains(err.Error(), "take it out of postgresql.auto.conf") {
		t.Errorf("got %v", err)
	}
	if b.running(b.b.Server) {
		t.Error("it was started all the same")
	}
}

// TestHalfASwapIsMended before anything is decided: the old folder goes back.
func TestHalfASwapIsMended(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.must(b.b.Server.StopFast(b.ctx))
	b.must(os.Rename(b.b.Server.DataDir, b.b.Server.DataDir+".old"))
	g := b.guard(b.b)
	b.decides(g, actions.StartNot, false, "no cluster")
	_ = g.Run(b.ctx, nil) // there is no such command, as meant
	b.decides(g, actions.StartAsIs, false, "it is a standby")
}
