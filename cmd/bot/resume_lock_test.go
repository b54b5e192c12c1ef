package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

// secondConfig is the configuration of another bot for the same pair, with a
// store of its own.
func (w *world) secondConfig(first string) string {
	w.t.Helper()
	text, err := os.ReadFile(first)
	w.must(err)
	changed := strings.NewReplacer("twokey.db", "second.db", "admin.sock", "second.sock").Replace(string(text))
	path := filepath.Join(w.pair.Dir, "second.yaml")
	w.must(os.WriteFile(path, []byte(changed), 0o600))
	return path
}

// duel is a pair with a first bot that has fallen asleep in the middle of a
// request, and a second one that has a store of its own.
type duel struct {
	*world
	ts            string // of the first one's message
	first, second *program
}

// asleep lets the first bot carry out d until it stops itself at that moment.
func (d drama) asleep(t *testing.T, moment string) *duel {
	t.Helper()
	w := newClosed(t)
	w.timeouts = quickly
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack, w.openLoad} {
		w.must(step(w.ctx()))
	}
	path, err := w.writeConfig()
	w.must(err)
	u := &duel{world: w}
	u.first = w.serve(path, sleepAt+"="+moment, failAt+"="+d.fail)
	w.command(oncall, "verify", "proven")
	w.must(w.load.Until(w.ctx(), 30))
	if d.begin != nil {
		d.begin(w)
	}
	u.ts = w.ask(d.ask)
	w.press(dba1, u.ts, "approve")
	w.message(u.ts, "1 of 2 approvals")
	w.press(dba2, u.ts, "approve")
	if is := w.until(func() (string, bool) { s := stateOfProcess(t, u.first); return s, s == "T" }); is != "" {
		t.Fatalf("the first bot never fell asleep, its process is %s; its message: %s", is, textOf(w.slack.Snapshot(), u.ts))
	}
	u.second = w.serve(w.secondConfig(path))
	return u
}

// stateOfProcess is the letter that the kernel has for it: T is stopped.
func stateOfProcess(t *testing.T, p *program) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

// loseLocks ends the sessions that hold the pair's lock, as the end of their
// connection would.
func (w *world) loseLocks() {
	w.t.Helper()
	for _, n := range w.pair.Nodes {
		if w.serverState(n.Name).up {
			w.exec(n.Name, "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted")
		}
	}
}

// takesOver lets the second bot carry out a request, to its success.
func (u *duel) takesOver(ask string) {
	u.t.Helper()
	ts := u.ask(ask)
	u.press(dba1, ts, "approve")
	u.message(ts, "1 of 2 approvals")
	u.press(dba2, ts, "approve")
	u.follow(ts, u.second.gone)
	if text := textOf(u.slack.Snapshot(), ts); !strings.Contains(text, ": done") {
		u.must(fmt.Errorf("the second bot's request ended with:\n%s", text))
	}
}

// wake lets the first bot go on to the end of its request, and reads that.
func (u *duel) wake() (approvals.Request, actions.Outcome) {
	u.t.Helper()
	u.must(u.first.cmd.Process.Signal(syscall.SIGCONT))
	if u.follow(u.ts, u.first.gone) != stageEnded {
		u.t.Fatalf("the first bot ended:\n%s", u.first.rest())
	}
	u.must(u.first.cmd.Process.Signal(syscall.SIGTERM))
	u.must(u.first.ended())
	s, err := store.Open(filepath.Join(u.pair.Dir, "twokey.db"), store.Options{Log: u.log})
	u.must(err)
	defer func() { u.must(s.Close()) }()
	all, err := s.Requests(u.ctx(), store.Filter{}, 1)
	u.must(err)
	out, err := outcomeOf(all[0])
	u.must(err)
	return all[0], out
}

func needsProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only where the kernel shows in /proc that a process is stopped")
	}
}

// TestTwoBotsOneLock: while one bot works on the pair, what another one is
// asked to do ends aborted, and changes nothing; the first one then finishes.
func TestTwoBotsOneLock(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for _, moment := range []string{"after step lock dc2", "after step prepare dc2"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			u := plannedBlock.asleep(t, moment)
			before := u.serverState("dc2")
			ts := u.ask("switchover orders -- the other bot")
			u.press(dba1, ts, "approve")
			u.message(ts, "1 of 2 approvals")
			u.press(dba2, ts, "approve")
			text := u.message(ts, ": taken back", ": done", ": outcome unknown")
			if !strings.Contains(text, "somebody else works on orders") {
				t.Errorf("the second bot's request says:\n%s", text)
			}
			if after := u.serverState("dc2"); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("the second bot changed dc2 from %+v to %+v", before, after)
			}
			r, out := u.wake()
			if r.State != approvals.Succeeded || len(out.Todo) > 0 {
				t.Errorf("the first bot's request ended %s, left to do %q: %s", r.State, out.Todo, r.Why)
			}
			u.wantWhole("dc2", "dc1")
			u.noLoss()
		})
	}
}

// sleeper is where a bot sleeps while it loses the lock and another bot, or a
// person, goes on.
type sleeper struct {
	drama
	moment  string
	then    func(*duel)
	primary string // at the end, with the other as its standby
	ends    approvals.State
}

// comesBack lets somebody start the old primary by hand, as the primary that it
// was: beside the promotion it may have been started as a standby already.
func comesBack(u *duel) {
	u.t.Helper()
	dc1 := u.pair.Node("dc1").Server
	u.must(dc1.StopFast(u.ctx()))
	if err := os.Remove(filepath.Join(dc1.DataDir, "standby.signal")); !errors.Is(err, fs.ErrNotExist) {
		u.must(err)
	}
	_, err := dc1.Start(u.ctx())
	u.must(err)
	u.must(u.load.Until(u.ctx(), 20))
}

// dies is for a moment at which the old primary may have been started as a
// standby already, or not yet.
func dies(u *duel) {
	u.t.Helper()
	u.must(u.pair.Node("dc1").Server.Kill(u.ctx()))
	fails(u)
}

func fails(u *duel)    { u.takesOver("failover orders -- the other bot") }
func switches(u *duel) { u.takesOver("switchover orders -- the other bot") }

// TestBotThatSlept: it stops itself in the middle, its sessions end, and
// somebody else works on the pair. When it wakes it must not promote, freeze,
// stop, start or drop anything: the pair stays as the others left it.
func TestBotThatSlept(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for i, s := range []sleeper{ // a plain run takes the first few
		{plannedBlock, "before step stop dc1", switches, "dc2", approvals.Unknown},
		{plannedBlock, "before sql dc2 SELECT pg_promote", dies, "dc2", approvals.Unknown},
		{plannedBlock, "before step promote dc2", comesBack, "dc1", approvals.Unknown},
		{takenBack, "before step undo dc1", fails, "dc2", approvals.Unknown},
		{disaster, "before step fence dc1", fails, "dc2", approvals.Unknown},
		{plannedBlock, "before step prepare dc2", switches, "dc2", approvals.Aborted},
		{plannedBlock, "before machine dc1 stop", switches, "dc2", approvals.Unknown},
		{plannedBlock, "before step promote dc2", fails, "dc2", approvals.Unknown},
		{plannedBlock, "before step tidy dc1", switches, "dc1", approvals.Unknown},
		{disaster, "before sql dc2 ALTER SYSTEM SET primary_conninfo", fails, "dc2", approvals.Unknown},
		{disaster, "before step prepare dc2", fails, "dc2", approvals.Unknown},
		{disaster, "before sql dc2 SELECT pg_promote", fails, "dc2", approvals.Unknown},
	} {
		if i >= 5 && !*resumeAll {
			break
		}
		t.Run(s.name+" "+s.moment+" "+s.primary, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s sleeper) run(t *testing.T) {
	t.Helper()
	u := s.drama.asleep(t, s.moment)
	u.loseLocks()
	s.then(u)
	other := map[string]string{"dc1": "dc2", "dc2": "dc1"}[s.primary]
	started := u.startTimes()
	r, out := u.wake()
	if r.State != s.ends {
		t.Errorf("the woken bot's request ended %s, left to do %q: %s", r.State, out.Todo, r.Why)
	}
	if r.State == approvals.Unknown && len(out.Todo) == 0 {
		t.Error("nobody is told what to do")
	}
	if now := u.startTimes(); now != started {
		t.Errorf("the woken bot stopped or started a server: %s, before it woke %s", now, started)
	}
	if todo := strings.Join(out.Todo, " "); s.primary == "dc1" && strings.Contains(todo, "Drop slot twokey_dc1 on dc2 unless dc1 streams through it") {
		u.exec("dc2", "SELECT pg_drop_replication_slot('twokey_dc1') WHERE EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'twokey_dc1' AND NOT active)")
	}
	u.wantWhole(s.primary, other)
	u.noLoss()
	if t.Failed() {
		t.Logf("the first bot:\n%s", u.first.rest())
	}
}

// startTimes says of both servers when they were started.
func (w *world) startTimes() string {
	w.t.Helper()
	var all []string
	for _, n := range w.pair.Nodes {
		p, running, err := n.Server.Running(w.ctx())
		w.must(err)
		all = append(all, fmt.Sprintf("%s %t %d", n.Name, running, p.PID))
	}
	return strings.Join(all, ", ")
}
