package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/sandbox"
	"twokey/approvals"
)

// impatient makes what hangs end within a test.
const impatient = "timeouts: {observe: 2s, effect: 5s, stop: 8s, promote: 3s, fence: 5s, rejoin: 30s}\n"

// newHurt is a world in which something happens once, at one point of a switchover.
func newHurt(t *testing.T, at actions.Point, hurt func(*world) error) *world {
	t.Helper()
	return newHurtPair(t, sandbox.Options{}, at, hurt)
}

// newHurtPair is newHurt with a pair that is set up otherwise.
func newHurtPair(t *testing.T, pair sandbox.Options, at actions.Point, hurt func(*world) error) *world {
	t.Helper()
	var w *world
	hit := false
	w = newWorld(t, func(d *demo) {
		d.timeouts, d.sandbox = impatient, pair
		d.at = func(_ context.Context, p actions.Point) error {
			if p != at || hit {
				return nil
			}
			hit = true
			return hurt(&world{d, t})
		}
	})
	w.health(actions.HealthOK)
	w.must(w.load.Until(w.ctx(), 50))
	return w
}

// switches asks for a switchover, lets two approve it, and waits for its end.
func (w *world) switches() (approvals.Request, actions.Outcome) {
	w.t.Helper()
	ts := w.ask("switchover orders -- something will hang")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	return w.ended()
}

// signalServer sends a signal to every process of a server.
func (w *world) signalServer(node string, sig syscall.Signal) error {
	pids, err := w.pair.Node(node).Server.Processes(w.ctx())
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, sig))
	}
	return err
}

// TestStandbyThatHangsDuringTheStop: it is frozen when the primary was told to
// stop, so the gate is never passed and the stop itself hangs. The old primary
// is stopped hard and started again, and what couldn't be tidied up is named.
func TestStandbyThatHangsDuringTheStop(t *testing.T) {
	t.Parallel()
	w := newHurt(t, actions.Point{Op: actions.OpStop, Node: "dc1", After: true}, func(w *world) error {
		return w.signalServer("dc2", syscall.SIGSTOP)
	})
	r, out := w.switches()
	s := w.serverState("dc1")
	w.must(w.signalServer("dc2", syscall.SIGCONT))
	if r.State != approvals.Aborted || out.Serving != "dc1" || !s.up || s.standby {
		t.Errorf("ended %s, serving %q, dc1 is %+v: %s", r.State, out.Serving, s, r.Why)
	}
	if todo := strings.Join(out.Todo, " "); !strings.Contains(todo, "Drop slot twokey_dc1 on dc2") {
		t.Errorf("left to do %q", todo)
	}
	w.exec("dc2", "SELECT pg_drop_replication_slot('twokey_dc1')") // as it says
	w.wantWhole("dc1", "dc2")
	w.noLoss()
}

// TestArchiverThatHangsDuringTheStop: the standby holds the shutdown checkpoint,
// but the primary's processes wait for the archiver, so it isn't gone for good.
// It is stopped hard and serves again.
func TestArchiverThatHangsDuringTheStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hang := filepath.Join(dir, "hang")
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // the servers' user looks for it
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := newHurtPair(t, sandbox.Options{Settings: map[string]string{
		"archive_mode": "on", "archive_command": "while [ -e " + hang + " ]; do sleep 0.1; done",
	}}, actions.Point{Op: actions.OpStop, Node: "dc1"}, func(*world) error { return os.WriteFile(hang, nil, 0o644) })
	r, out := w.switches()
	s := w.serverState("dc1")
	w.must(os.Remove(hang))
	if r.State != approvals.Aborted || out.Serving != "dc1" || !s.up || s.standby {
		t.Errorf("ended %s, serving %q, dc1 is %+v: %s", r.State, out.Serving, s, r.Why)
	}
	w.wantWhole("dc1", "dc2")
	w.noLoss()
}

// TestPrimaryThatCannotBeStartedAgain: a switchover has to be taken back, and
// the old primary's configuration is broken by then. Nobody is promoted, people
// are told what to do, and doing it works.
func TestPrimaryThatCannotBeStartedAgain(t *testing.T) {
	t.Parallel()
	broken := func(w *world) string { return w.pair.Node("dc1").Server.ConfigFile }
	var sound []byte
	w := newHurt(t, actions.Point{Op: actions.OpGate, Node: "dc2", After: true}, func(w *world) (err error) {
		if sound, err = os.ReadFile(broken(w)); err == nil {
			err = os.WriteFile(broken(w), append(sound, "\nmax_connections = lots\n"...), 0o600)
		}
		return errors.Join(err, errInjected)
	})
	r, out := w.switches()
	if r.State != approvals.Unknown || out.Serving != "" || !strings.Contains(strings.Join(out.Todo, " "), "Start dc1 by hand as it is, as the primary that it was; dc2 was not promoted and must not be.") {
		t.Errorf("ended %s, serving %q, left to do %q: %s", r.State, out.Serving, out.Todo, r.Why)
	}
	if s := w.serverState("dc2"); !s.standby {
		t.Errorf("dc2 is %+v", s)
	}
	w.shown("outcome unknown", "Start dc1 by hand")
	w.must(os.WriteFile(broken(w), sound, 0o600))
	_, err := w.pair.Node("dc1").Server.Start(w.ctx())
	w.must(err)
	w.health(actions.HealthOK)
	if s := w.serverState("dc1"); s.standby {
		t.Errorf("dc1 is %+v", s)
	}
	w.noLoss()
}

// haltPromotion stops dc2's startup process, so that a promotion that is asked
// for takes effect only once that goes on.
func haltPromotion(w *world) (pid int, err error) {
	conn, err := pgx.Connect(w.ctx(), w.pair.Node("dc2").AdminURL("postgres"))
	if err != nil {
		return 0, err
	}
	err = conn.QueryRow(w.ctx(), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'").Scan(&pid)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return pid, errors.Join(err, conn.Close(w.ctx()))
}

// TestPromotionThatAnswersLate: it was asked for, and takes effect after
// everybody stopped waiting; in one case its session dies in between. There is
// no way back: the old primary never serves again, and what people are told to
// do leads to a whole pair.
func TestPromotionThatAnswersLate(t *testing.T) {
	t.Parallel()
	for name, sessionDies := range map[string]bool{"nobody waits any more": false, "its session dies": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			halted := 0
			cut := make(chan struct{})
			w := newHurt(t, actions.Point{Op: actions.OpPromote, Node: "dc2"}, func(w *world) (err error) {
				halted, err = haltPromotion(w)
				go func() {
					defer close(cut)
					if err == nil && sessionDies {
						w.cutOncePromoting()
					}
				}()
				return err
			})
			r, out := w.switches()
			<-cut
			if old := w.serverState("dc1"); old.up && !old.standby {
				t.Errorf("dc1 was taken back although the promotion was sent: %+v", old)
			}
			if todo := strings.Join(out.Todo, " "); r.State != approvals.Unknown || !strings.Contains(todo, "dc2 was told to promote and may still do so. Don't start dc1 as a primary.") {
				t.Errorf("ended %s, left to do %q: %s", r.State, todo, r.Why)
			}
			w.must(syscall.Kill(halted, syscall.SIGCONT))
			if is := w.until(func() (string, bool) { s := w.serverState("dc2"); return "in recovery", s.up && !s.standby }); is != "" {
				t.Fatalf("dc2 is still %s", is)
			}
			w.rejoins()
			w.health(actions.HealthOK)
			w.noLoss()
		})
	}
}

// cutOncePromoting ends the locking session once the server has the order.
func (w *world) cutOncePromoting() {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx := w.ctx(); ; {
		if _, err := os.Stat(filepath.Join(w.pair.Node("dc2").Server.DataDir, "promote")); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Error("the promotion was never asked for")
			return
		}
	}
	conn, err := pgx.Connect(w.ctx(), w.pair.Node("dc2").AdminURL("postgres"))
	if err == nil {
		_, err = conn.Exec(w.ctx(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
		err = errors.Join(err, conn.Close(w.ctx()))
	}
	if err != nil {
		w.t.Error(err)
	}
}

// rejoins asks for the rejoin that people were told to ask for, unless the old
// primary follows already.
func (w *world) rejoins() {
	w.t.Helper()
	before, _ := w.ended()
	is := w.until(func() (string, bool) {
		s := w.serverState("dc2")
		return strings.Join(s.streams, " "), strings.Join(s.streams, " ") == "dc1/streaming/sync"
	})
	if is == "" {
		return
	}
	ts := w.ask("rejoin orders")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	r := w.request(func(r approvals.Request) bool { return r.ID != before.ID && r.State.Ended() })
	if r.State != approvals.Succeeded {
		w.t.Errorf("the rejoin ended %s: %s", r.State, r.Why)
	}
}
