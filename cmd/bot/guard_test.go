package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
	"twokey/approvals"
)

// guarded is a pair whose servers are started by guards, as a supervisor would.
type guarded struct {
	*world
	a, b *sandbox.Node
}

func newGuarded(t *testing.T) guarded {
	t.Helper()
	w := newClosed(t)
	for _, step := range []stepFunc{w.openKeeper, w.openPair} {
		w.must(step(w.ctx()))
	}
	g := guarded{w, w.pair.Node("dc1"), w.pair.Node("dc2")}
	g.exec(g.a, "CREATE TABLE w (id int PRIMARY KEY)", "INSERT INTO w VALUES (1)")
	return g
}

// flags of the guard of one node.
func (g guarded) flags(n *sandbox.Node, more ...string) []string {
	partner := g.a
	if n == g.a {
		partner = g.b
	}
	s, u := n.Server, n.Upstream
	args := []string{
		"guard", "--node", n.Name, "--partner", partner.Name, "--partner-host", u.Host, "--partner-port", strconv.Itoa(u.Port),
		"--data-dir", s.DataDir, "--config-file", s.ConfigFile, "--port", strconv.Itoa(s.Port), "--programs", s.Programs.Folder,
		"--upstream-file", n.Machine().Include, "--passfile", u.Passfile, "--sslmode", "disable", "--every", "100ms",
	}
	if s.User != nil {
		args = append(args, "--os-user", s.User.Name)
	}
	return append(args, more...)
}

func (g guarded) start(n *sandbox.Node, more ...string) *program {
	g.t.Helper()
	s := n.Server
	command := []string{"--", s.Programs.Path("postgres"), "-D", s.DataDir, "-c", "config_file=" + s.ConfigFile, "-p", strconv.Itoa(s.Port)}
	return startProgram(g.t, append(g.flags(n, more...), command...)...)
}

func (g guarded) killAll() {
	g.t.Helper()
	for _, n := range []*sandbox.Node{g.a, g.b} {
		g.must(n.Server.Kill(g.ctx()))
	}
}

func (g guarded) startPlain(n *sandbox.Node) {
	g.t.Helper()
	_, err := n.Server.Start(g.ctx())
	g.must(err)
	g.must(n.Server.WaitReady(g.ctx()))
}

func (g guarded) query(n *sandbox.Node, text string) (string, error) {
	ctx := g.ctx()
	c, err := pgx.Connect(ctx, n.AdminURL("orders"))
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	var answer string
	return answer, c.QueryRow(ctx, text).Scan(&answer)
}

func (g guarded) exec(n *sandbox.Node, texts ...string) {
	g.t.Helper()
	ctx := g.ctx()
	c, err := pgx.Connect(ctx, n.AdminURL("orders"))
	g.must(err)
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	for _, text := range texts {
		_, err := c.Exec(ctx, text)
		g.must(err)
	}
}

// until asks a node again and again until it answers as wanted.
func (g guarded) until(n *sandbox.Node, text, want string) {
	g.t.Helper()
	ctx := g.ctx()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := g.query(n, text)
		if err == nil && got == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			g.t.Fatalf("%s never answered %q with %q, last with %q, %v", n.Name, text, want, got, err)
		}
	}
}

const (
	inRecovery      = "SELECT pg_is_in_recovery()::text"
	rowCount        = "SELECT count(*)::text FROM w"
	timeline        = "SELECT timeline_id::text FROM pg_control_checkpoint()"
	synchronousOnes = "SELECT count(*)::text FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
)

// TestGuardWaitsForASilentPartner: a primary whose partner doesn't answer comes
// up in recovery, where it can't acknowledge anything; once the partner is seen
// as a standby it is the primary again, on the same timeline.
func TestGuardWaitsForASilentPartner(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.killAll()
	guard := g.start(g.a)
	guard.await("start in recovery until the partner was seen: .*may have been promoted")
	g.until(g.a, inRecovery, "true")
	if _, err := g.query(g.a, "INSERT INTO w VALUES (2) RETURNING id::text"); err == nil {
		t.Error("it took a write without having seen its partner")
	}
	g.startPlain(g.b)
	guard.await("start as it is: it is the primary of timeline 1")
	g.until(g.a, inRecovery, "false")
	g.until(g.a, synchronousOnes, "1")
	g.exec(g.a, "INSERT INTO w VALUES (3)", "CHECKPOINT")
	g.until(g.a, rowCount, "2")
	g.until(g.a, timeline, "1")
	g.until(g.b, rowCount, "2")
	note, err := os.ReadFile(g.a.Server.DataDir + ".held")
	if err != nil || string(note) != "released, timeline 1\n" {
		t.Errorf("the note of the hold says %q, %v", note, err)
	}
}

// TestGuardKeepsAStandbyOneThatLostItsSignal: without standby.signal the server
// would come up as a second primary of the same timeline.
func TestGuardKeepsAStandbyOneThatLostItsSignal(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.b.Server.StopFast(g.ctx()))
	g.must(os.Remove(filepath.Join(g.b.Server.DataDir, "standby.signal")))
	guard := g.start(g.b)
	guard.await("start as it is: it is a standby")
	g.until(g.b, inRecovery, "true")
	g.until(g.a, synchronousOnes, "1")
	g.exec(g.a, "INSERT INTO w VALUES (2)")
	g.until(g.b, rowCount, "2")
}

// TestGuardStopsWhatAnEarlierOneLeft: a server in recovery that outlived its guard
// is not let run unsupervised.
func TestGuardStopsWhatAnEarlierOneLeft(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	guard := g.start(g.b)
	guard.await("stopping the server in recovery that an earlier guard has left")
	guard.await("start as it is: it is a standby")
	g.until(g.a, synchronousOnes, "1")
	p, _, err := g.b.Server.Running(g.ctx())
	g.must(err)
	if p.PID != guard.cmd.Process.Pid {
		t.Errorf("the server is process %d, the guard was %d", p.PID, guard.cmd.Process.Pid)
	}
}

// TestGuardFillsAnEmptyFolder: a new standby begins as a copy of the primary, by
// order alone; and what it copies is a whole standby before anybody waits for it.
func TestGuardFillsAnEmptyFolder(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.b.Server.StopFast(g.ctx()))
	g.must(os.RemoveAll(g.b.Server.DataDir))
	order := filepath.Join(g.b.Dir, "order")
	guard := g.start(g.b, "--order-file", order)
	guard.await("stay down and ask again: there is no cluster in dc2's data folder, and dc1 is the primary")
	g.must(os.WriteFile(order, []byte(`{"order":"copy"}`), 0o644))
	guard.await("rejoin first: a copy of dc1 is asked for")
	guard.await("rejoined: base backup")
	guard.await("start as it is: it is a standby")
	g.until(g.a, synchronousOnes, "1")
	g.exec(g.a, "INSERT INTO w VALUES (2)")
	g.until(g.b, rowCount, "2")
	g.must(g.b.Server.StopFast(g.ctx()))
	again := g.start(g.b, "--order-file", order) // the order that nobody has removed does nothing more
	again.await("start as it is: it is a standby")
	g.until(g.a, synchronousOnes, "1")
}

// TestBothGuardsAtOnce: after a power cut of both sites each sees the other in
// recovery; the one that was the primary is it again, the other follows it
// under its own name.
func TestBothGuardsAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.killAll()
	one, two := g.start(g.b), g.start(g.a)
	one.await("start in recovery")
	two.await("start as it is: it is the primary")
	g.until(g.a, synchronousOnes, "1")
	g.exec(g.a, "INSERT INTO w VALUES (2)")
	g.until(g.b, rowCount, "2")
}

// TestGuardAfterAFailover: an old primary with rows of its own stays down until
// it may be rewound, and then follows the new one without them.
func TestGuardAfterAFailover(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.exec(g.b, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	g.until(g.b, "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'walreceiver'", "0")
	g.exec(g.a, "SET synchronous_commit = local", "INSERT INTO w VALUES (99)")
	g.must(g.a.Server.Kill(g.ctx()))

	frozen := g.start(g.a)
	frozen.await("stay down and ask again: dc2 is in recovery on timeline 1, frozen: a failover is under way")

	g.exec(g.b, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "SELECT pg_promote()", "CHECKPOINT",
		"ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()", "SELECT pg_drop_replication_slot('twokey_dc1')")
	frozen.await("stay down and ask again: .*goes on past that: ask the bot for a rejoin")
	if _, err := g.query(g.a, inRecovery); err == nil {
		t.Error("it runs although it must stay down")
	}
	g.must(frozen.cmd.Process.Signal(syscall.SIGTERM))
	if err := frozen.ended(); err != nil {
		t.Errorf("told to stop it ended with %v", err)
	}
	rejoining := g.start(g.a, "--rejoin", "ordered")
	rejoining.await("stay down and ask again: .*goes on past that")
	g.must(os.WriteFile(g.a.Server.DataDir+".order", []byte(`{"order":"rejoin","timeline":2}`), 0o600))
	rejoining.await("rejoin first: the bot has ordered it")
	rejoining.await("rejoined: pg_rewind")
	rejoining.await("start as it is: it is a standby")
	g.until(g.a, inRecovery, "true")
	g.until(g.a, "SELECT count(*)::text FROM w WHERE id = 99", "0")
	g.until(g.b, "SELECT application_name FROM pg_stat_replication", "dc1")
}

// guardLine leads to a node once it is opened; before, it refuses.
type guardLine struct {
	net.Listener
	to     string
	opened atomic.Bool
}

func newGuardLine(t *testing.T, to *sandbox.Node) *guardLine {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &guardLine{Listener: listener, to: fmt.Sprintf("127.0.0.1:%d", to.Port)}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { l.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); served.Wait() }) // the servers have ended: nobody holds a connection
	return l
}

func (l *guardLine) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	if !l.opened.Load() {
		return
	}
	to, err := net.Dial("tcp4", l.to)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(c, to); _ = c.Close() })
	_, _ = io.Copy(to, c) // either side's end ends the other's
	_ = to.Close()
	back.Wait()
}

// TestGuardedNodeNeverAcknowledgesForItsPartner: an old primary with rows of its
// own waits in recovery while its partner is promoted behind a cut line. When the
// line is back it must not be taken for the synchronous standby: a commit over
// there waits until it was rewound.
func TestGuardedNodeNeverAcknowledgesForItsPartner(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	line := newGuardLine(t, g.b)
	g.exec(g.b, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	g.until(g.b, "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'walreceiver'", "0")
	g.exec(g.a, "SET synchronous_commit = local", "INSERT INTO w SELECT generate_series(1000, 9000)") // further than dc2 will come
	g.must(g.a.Server.Kill(g.ctx()))
	cut := []string{"--partner-port", strconv.Itoa(line.Addr().(*net.TCPAddr).Port)}
	g.must(os.WriteFile(g.a.Upstream.Passfile, []byte("*:*:*:*:"+g.pair.ReplicationPassword.Reveal()+"\n"), 0o600))

	guard := g.start(g.a, cut...)
	guard.await("start in recovery until the partner was seen: .*may have been promoted")
	g.until(g.a, inRecovery, "true")
	g.exec(g.b, "SELECT pg_promote()", "CHECKPOINT")
	committed := g.commitBeside(g.b, "INSERT INTO w VALUES (100)")
	g.until(g.b, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "1")

	line.opened.Store(true)
	guard.await("stay down and ask again: dc2 is the primary on timeline 2.*goes on past that")
	select {
	case err := <-committed:
		t.Fatalf("a commit on dc2 returned (%v) although dc1 doesn't have it", err)
	default:
	}
	g.must(guard.cmd.Process.Kill())
	g.start(g.a, append(cut, "--rejoin", "always")...).await("start as it is: it is a standby")
	g.must(<-committed)
	g.until(g.a, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM w", "1 100")
}

// commitBeside runs a statement that has to wait.
func (g guarded) commitBeside(n *sandbox.Node, text string) <-chan error {
	g.t.Helper()
	ctx := g.ctx()
	c, err := pgx.Connect(ctx, n.AdminURL("orders"))
	g.must(err)
	committed := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, text)
		committed <- errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}()
	return committed
}

// TestGuardLetsANodeAlone: what was left to take writes alone may start without
// its partner, and only on the timeline that the note is about.
func TestGuardLetsANodeAlone(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.exec(g.a, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT")
	g.killAll()
	dry := func() (int, string) {
		code, out, errOut := runMain(t, g.flags(g.a, "--dry-run")...)
		return code, out + errOut
	}
	if code, out := dry(); code != 0 || !strings.Contains(out, "no note says that dc1 was left alone") {
		t.Errorf("without a note: %d %s", code, out)
	}
	m := g.a.Machine()
	g.must(m.NoteAlone(g.ctx(), 7))
	if code, out := dry(); code != 0 || !strings.Contains(out, "is about timeline 7, not 1") {
		t.Errorf("with a note about another timeline: %d %s", code, out)
	}
	g.must(m.NoteAlone(g.ctx(), 1))
	g.start(g.a).await("start as a primary, alone: a note says that it takes writes alone on timeline 1")
	g.until(g.a, inRecovery, "false")
	g.exec(g.a, "INSERT INTO w VALUES (2)")
	g.must(m.ForgetAlone(g.ctx()))
	g.must(m.ForgetAlone(g.ctx())) // once more: nothing to do
}

// TestGuardsAfterAFailover: what a failover leaves behind may start alone by the
// note that the bot has written; the old primary, power cut and back, stays down or
// joins it, and never takes a write by itself.
func TestGuardsAfterAFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.noDriver = "dc1" })
	w.health(actions.HealthOK)
	g := guarded{w, w.pair.Node("dc1"), w.pair.Node("dc2")}
	g.must(g.a.Server.Kill(g.ctx()))
	ts := w.ask("failover")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	if r := w.acceptAll("dba-1"); r.State != approvals.Succeeded {
		t.Fatalf("ended %s: %s", r.State, r.Why)
	}

	old := g.start(g.a, "--rejoin", "ordered")
	old.await("stay down and ask again: dc2 is the primary on timeline 2.*ask the bot for a rejoin")
	if _, err := g.query(g.a, inRecovery); err == nil {
		t.Error("the old primary runs")
	}
	g.must(old.cmd.Process.Kill())
	g.must(g.b.Server.Kill(g.ctx()))
	g.start(g.b).await("start as a primary, alone: a note says that it takes writes alone on timeline 2")
	g.until(g.b, inRecovery, "false")
	w.noLoss()
	// Whether it was killed with a commit on its way is chance, so whether something is taken back, too.
	g.must(os.WriteFile(g.a.Server.DataDir+".order", []byte(`{"order":"rejoin","timeline":2}`), 0o600))
	ordered := g.start(g.a)
	ordered.await("rejoin first: the bot has ordered it, and dc2 is the primary on timeline 2")
	ordered.await("start as it is: it is a standby")
	g.until(g.b, "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'", "dc1")
}

// acceptAll types the pair's name whenever it is asked for, until the request has
// ended. How often that is hangs on what the last look before the failure saw.
func (w *world) acceptAll(who approvals.Person) approvals.Request {
	w.t.Helper()
	for asked := 0; ; {
		r := w.request(func(r approvals.Request) bool {
			return r.State.Ended() || r.State == approvals.Held && len(r.Pauses) > asked
		})
		if r.State.Ended() {
			return r
		}
		asked = len(r.Pauses)
		_, err := w.service.desk.Answer(w.ctx(), r.ID, approvals.Ballot{Person: who, Place: r.Place}, approvals.Accept, "orders")
		w.must(err)
	}
}

// TestGuardThatIsKilledTakesItsServerAlong, and one that is told to stop stops
// it in good order.
func TestGuardThatIsKilledTakesItsServerAlong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal syscall.Signal
		clean  bool
	}{"kill -9": {syscall.SIGKILL, false}, "SIGTERM": {syscall.SIGTERM, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.killAll()
			guard := g.start(g.a)
			g.until(g.a, inRecovery, "true")
			g.must(guard.cmd.Process.Signal(c.signal))
			if err := guard.ended(); (err == nil) != c.clean {
				t.Errorf("the guard ended with %v", err)
			}
			g.must(g.a.Server.Gone(g.ctx()))
			control, err := g.a.Server.Control(g.ctx())
			g.must(err)
			if control.State != local.ShutDownInRecovery {
				t.Errorf("its server was left %s", control.State)
			}
			g.startPlain(g.b)
			g.start(g.a).await("start as it is: it is the primary of timeline 1")
			g.until(g.a, synchronousOnes, "1")
		})
	}
}

// TestGuardObeysAnOrderToStayDown, and starts nothing when it can't read one.
func TestGuardObeysAnOrderToStayDown(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.Kill(g.ctx()))
	order := g.a.Server.DataDir + ".order"
	for _, c := range []struct {
		text, want string
		code       int
	}{
		{`{"order":"stay down"}`, "the bot has ordered dc1 to stay down", 3},
		{`{"order":"resume"}`, "mend or remove it", 1},
		{`{"order":`, "mend or remove it", 1},
		{"", "it is the primary of timeline 1", 0},
	} {
		g.must(os.WriteFile(order, []byte(c.text), 0o600))
		code, out, errOut := runMain(t, g.flags(g.a, "--dry-run")...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("order %s: %d %s%s, want %d %s", c.text, code, out, errOut, c.code, c.want)
		}
	}
}

func TestGuardRefusesWrongFlags(t *testing.T) {
	t.Parallel()
	whole := []string{"guard", "--node", "dc1", "--partner", "dc2", "--partner-host", "127.0.0.1", "--data-dir", t.TempDir()}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no node":              {[]string{"guard", "--", "postgres"}, "--node is missing"},
		"no command":           {whole, "the command that starts the server is missing"},
		"unknown policy":       {append(slices.Clip(whole), "--rejoin", "sometimes", "--", "postgres"), "ordered, fitting or always"},
		"a stranger's account": {append(slices.Clip(whole), "--os-user", "no such user", "--", "postgres"), "no such user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code, _, errOut := runMain(t, c.args...); code != 1 || !strings.Contains(errOut, c.want) {
				t.Errorf("%d %s", code, errOut)
			}
		})
	}
}

func TestGuardFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"TWOKEY_GUARD_NODE": "dc1", "TWOKEY_GUARD_PARTNER_PORT": "6432", "TWOKEY_GUARD_SLOT": "other"}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	cmd := newGuard()
	if err := cmd.Flags().Set("slot", "mine"); err != nil {
		t.Fatal(err)
	}
	if err := fromEnvironment(cmd.Flags(), lookup); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"node": "dc1", "partner-port": "6432", "slot": "mine"} {
		if got := cmd.Flags().Lookup(flag).Value.String(); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
	variables["TWOKEY_GUARD_EVERY"] = "soon"
	if err := fromEnvironment(newGuard().Flags(), lookup); err == nil || !strings.Contains(err.Error(), "TWOKEY_GUARD_EVERY") {
		t.Errorf("a wrong duration: %v", err)
	}
}
