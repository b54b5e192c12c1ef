package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
	"twokey/actions/postgres"
)

// platform is a folder as a mounted ConfigMap is one.
func (g guarded) platform(files map[string]string) (dir string, write func(name, text string)) {
	g.t.Helper()
	dir = filepath.Join(g.a.Dir, "platform")
	g.must(os.MkdirAll(dir, 0o755))
	write = func(name, text string) {
		g.t.Helper()
		path := filepath.Join(dir, name)
		if text == "" {
			g.must(os.RemoveAll(path))
			return
		}
		g.must(os.WriteFile(path+".new", []byte(text), 0o644))
		g.must(os.Rename(path+".new", path))
	}
	for name, text := range files {
		write(name, text)
	}
	return dir, write
}

// report asks a node what its guard has left, as the bot does.
func (g guarded) report(n *sandbox.Node) actions.GuardReport {
	g.t.Helper()
	db, err := postgres.New(postgres.Options{
		Node: nodeOf(g, n), AppDatabase: g.pair.Database, User: "twokey_bot", Password: g.pair.BotPassword, SSLMode: "disable", Timeouts: actions.DefaultTimeouts(),
	})
	g.must(err)
	defer db.Close()
	g.until(n, "SELECT 1::text", "1") // it streams before it lets sessions in
	left, err := db.GuardReport(g.ctx())
	g.must(err)
	return left
}

func nodeOf(g guarded, n *sandbox.Node) actions.Node {
	node, _ := g.pair.Actions().Node(n.Name)
	return node
}

// TestGuardFollowsByOrder: a cleanly stopped primary comes up as a standby while
// its partner is still to be promoted, and follows through the promotion; the
// order counts once, and says so.
func TestGuardFollowsByOrder(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	dir, _ := g.platform(map[string]string{"order": `{"order":"follow","id":"one"}`})
	guard := g.start(g.a, "--platform-dir", dir)
	guard.await("start as a standby from now on: the bot has ordered it")
	g.until(g.a, inRecovery, "true")
	g.until(g.b, "SELECT application_name FROM pg_stat_replication", "dc1")
	if left := g.report(g.a); left.Order != "one" || !strings.Contains(left.Decision, "start as a standby from now on") || left.Rejoin != nil {
		t.Errorf("it left %+v", left)
	}
	g.exec(g.b, "SELECT pg_promote()")
	g.until(g.b, inRecovery, "false")
	g.until(g.b, synchronousOnes, "1")
	g.exec(g.b, "INSERT INTO w VALUES (2)", "CHECKPOINT")
	g.until(g.a, rowCount, "2")

	g.must(g.a.Server.Kill(g.ctx()))
	again := g.start(g.a, "--platform-dir", dir)
	again.await("start as it is: it is a standby")
	g.until(g.b, synchronousOnes, "1")
	if left := g.report(g.a); left.Order != "one" || !strings.Contains(left.Decision, "start as it is") {
		t.Errorf("it left %+v", left)
	}
}

// TestGuardDoesNotFollowTwice: the node is the primary again, and is restarted
// with the old order still mounted.
func TestGuardDoesNotFollowTwice(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	dir, _ := g.platform(map[string]string{"order": `{"order":"follow","id":"one"}`})
	g.start(g.a, "--platform-dir", dir).await("start as a standby from now on")
	g.until(g.a, inRecovery, "true")
	g.must(g.b.Server.StopFast(g.ctx())) // nothing was promoted: it is taken back by hand
	g.exec(g.a, "SELECT pg_promote()", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT")
	g.must(g.a.Server.StopFast(g.ctx()))
	g.must(os.WriteFile(g.a.Server.DataDir+".alone", []byte("alone, timeline 2"), 0o600))
	g.start(g.a, "--platform-dir", dir).await("start as a primary, alone")
	g.until(g.a, inRecovery, "false")
}

// TestGuardResumesOnce: a stop is taken back without an answer where commits wait
// for the partner, and so acknowledges nothing; once.
func TestGuardResumesOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	g.must(g.b.Server.Kill(g.ctx()))
	dir, _ := g.platform(map[string]string{"order": `{"order":"resume","id":"one"}`})
	g.start(g.a, "--platform-dir", dir).await("start as it is: its stop is taken back")
	g.until(g.a, inRecovery, "false")
	committed := g.commitBeside(g.a, "INSERT INTO w VALUES (2)")
	g.until(g.a, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'", "1")
	select {
	case err := <-committed:
		t.Errorf("it acknowledged a commit alone: %v", err)
	default:
	}
	g.must(g.a.Server.Kill(g.ctx()))
	<-committed
	g.start(g.a, "--platform-dir", dir).await("start in recovery until the partner was seen")
	g.until(g.a, inRecovery, "true")
}

// TestGuardForgetsToResume: the partner was seen to have gone on; the order is
// over, even when it falls silent again.
func TestGuardForgetsToResume(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	g.exec(g.b, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "SELECT pg_promote()", "CHECKPOINT")
	g.until(g.b, inRecovery, "false")
	dir, _ := g.platform(map[string]string{"order": `{"order":"resume","id":"one"}`})
	guard := g.start(g.a, "--platform-dir", dir, "--rejoin", "ordered")
	guard.await("stay down and ask again: dc2 is the primary on timeline 2")
	g.must(g.b.Server.Kill(g.ctx()))
	guard.await("start in recovery until the partner was seen")
	g.until(g.a, inRecovery, "true")
}

// TestGuardReportsTheRejoin: what the guard did for an order of the platform is
// told by the server.
func TestGuardReportsTheRejoin(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.parts()
	dir, write := g.platform(nil)
	guard := g.start(g.a, "--platform-dir", dir, "--rejoin", "ordered")
	guard.await("stay down and ask again")
	write("order", `{"order":"rejoin","id":"seven","timeline":2}`)
	guard.await("rejoined: pg_rewind")
	guard.await("start as it is: it is a standby")
	g.until(g.b, "SELECT application_name FROM pg_stat_replication", "dc1")
	left := g.report(g.a)
	if left.Order != "seven" || left.Rejoin == nil || left.Rejoin.How != actions.RejoinedRewound || left.Rejoin.Diverged == nil || left.Rejoin.Diverged.Count != 1 {
		t.Errorf("it left %+v, %+v", left, left.Rejoin)
	}
	if done, err := os.ReadFile(g.a.Server.DataDir + ".ordered"); err != nil || string(done) != "carried out: seven\n" {
		t.Errorf("noted %q, %v", done, err)
	}
}

// TestGuardGoesByThePlatformsNote: that a node was left to take writes alone.
func TestGuardGoesByThePlatformsNote(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.exec(g.a, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT")
	g.killAll()
	dir, write := g.platform(map[string]string{"alone": "alone, timeline 9"})
	guard := g.start(g.a, "--platform-dir", dir)
	guard.await("start in recovery until the partner was seen: .*about timeline 9, not 1")
	write("alone", "alone, timeline 1")
	guard.await("start as a primary, alone")
	g.until(g.a, inRecovery, "false")
}

// Whoever orders at the data folder itself outweighs the platform, but not its
// order to stay down; and what can't be read starts nothing.
func TestGuardsTwoSourcesOfOrders(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	dir, write := g.platform(map[string]string{"order": `{"order":"follow","id":"one"}`})
	beside := g.a.Server.DataDir + ".order"
	for _, row := range []struct{ beside, platform, says string }{
		{`{"order":"stay down"}`, `{"order":"follow","id":"one"}`, "the bot has ordered dc1 to stay down"},
		{`{"order":"rejoin","timeline":2}`, `{"order":"stay down"}`, "the bot has ordered dc1 to stay down"},
		{`{"order":"rejoin","timeline":2}`, `{"order":"follow","id":"one"}`, "ordered to rejoin, and there is no primary yet"},
		{"", `{"order":"follow","id":"one"}`, "start as a standby from now on"},
		{"", `{"order":"follow"}`, "is no order"},
		{"", `{"order":`, "can't be read, so nothing is started"},
		{"", " \n", "start as it is: it is the primary of timeline 1"},
	} {
		write("order", row.platform)
		g.must(os.RemoveAll(beside))
		if row.beside != "" {
			g.must(os.WriteFile(beside, []byte(row.beside), 0o644))
		}
		if out := g.dryRun(g.a, "--platform-dir", dir); !strings.Contains(out, row.says) {
			t.Errorf("%+v: %s", row, out)
		}
	}
	g.must(os.WriteFile(g.a.Server.DataDir+".ordered", []byte("carried out: one\n"), 0o600))
	for _, more := range [][]string{{"--platform-dir", dir}, {"--order-file", filepath.Join(dir, "order")}} { // over, wherever it stands
		write("order", `{"order":"follow","id":"one"}`)
		if out := g.dryRun(g.a, more...); !strings.Contains(out, "start as it is: it is the primary of timeline 1") {
			t.Errorf("%q, carried out: %s", more, out)
		}
		write("order", `{"order":"follow","id":"two"}`)
		if out := g.dryRun(g.a, more...); !strings.Contains(out, "start as a standby from now on") {
			t.Errorf("%q, another one: %s", more, out)
		}
	}
	g.must(os.Remove(g.a.Server.DataDir + ".ordered"))
	if out := g.dryRun(g.a, "--platform-dir", dir+"-not-mounted"); !strings.Contains(out, "the platform's orders can't be seen") {
		t.Errorf("without its folder: %s", out)
	}
	if left, err := os.ReadFile(g.a.Server.DataDir + ".ordered"); err == nil {
		t.Errorf("looking has noted %q", left)
	}
}

// dryRun is all that it says.
func (g guarded) dryRun(n *sandbox.Node, more ...string) string {
	g.t.Helper()
	_, out, errs := runMain(g.t, append(g.flags(n, more...), "--dry-run")...)
	return out + errs
}

// TestGuardLeavesItsLastWords: why it ended, for whoever may not read its log.
func TestGuardLeavesItsLastWords(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.must(g.a.Server.StopFast(g.ctx()))
	words := filepath.Join(t.TempDir(), "words")
	g.must(os.WriteFile(g.a.Server.DataDir+".order", []byte("{"), 0o644))
	guard := g.start(g.a, "--termination-log", words)
	if err := guard.ended(); err == nil {
		t.Error("it went on")
	}
	if said, err := os.ReadFile(words); err != nil || !strings.Contains(string(said), "can't be read, so nothing is started") {
		t.Errorf("it left %q, %v", said, err)
	}
	g.must(os.WriteFile(g.a.Server.DataDir+".order", []byte(`{"order":"stay down"}`), 0o644))
	guard = g.start(g.a, "--termination-log", words)
	guard.await("stay down and ask again")
	g.must(guard.cmd.Process.Signal(syscall.SIGTERM))
	g.must(guard.ended())
	if said, err := os.ReadFile(words); err != nil || !strings.Contains(string(said), "ordered dc1 to stay down") {
		t.Errorf("it left %q, %v", said, err)
	}
}

// TestGuardLeavesAPromotedServerAlone: one that waited for its partner follows
// where it runs, below the guard; a promotion must not have it started anew.
func TestGuardLeavesAPromotedServerAlone(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.killAll()
	guard := g.start(g.b)
	guard.await("start in recovery until the partner was seen")
	g.startPlain(g.a)
	guard.await("start as it is: it is a standby")
	g.until(g.a, synchronousOnes, "1")
	started, err := g.query(g.b, "SELECT pg_postmaster_start_time()::text")
	g.must(err)
	g.must(g.a.Server.StopFast(g.ctx()))
	g.exec(g.b, "SELECT pg_promote()", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	guard.await("the server was promoted: it runs on")
	g.startPlain(g.a) // what it would be bounced by
	g.exec(g.b, "INSERT INTO w VALUES (2)")
	g.until(g.b, "SELECT pg_postmaster_start_time()::text", started)
	g.must(guard.cmd.Process.Signal(syscall.SIGINT))
	g.must(guard.ended())
	if c, err := g.b.Server.Control(g.ctx()); err != nil || c.State != local.ShutDown {
		t.Errorf("told to stop, its server ended %q, %v", c.State, err)
	}
}
