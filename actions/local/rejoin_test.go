package local_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
)

// rejoin brings A back behind B, with what the executor would tell it, and returns how, and what was told.
func (b *bundle) rejoin() (actions.RejoinReport, []string, error) {
	b.t.Helper()
	b.exec(b.b, "SELECT 1 FROM pg_drop_replication_slot('twokey_dc1')", "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")
	return b.rejoinOnly(b.a.Machine())
}

func (b *bundle) rejoinOnly(m *local.Machine) (actions.RejoinReport, []string, error) {
	b.t.Helper()
	return b.rejoinAs(m, actions.RejoinOrder{Name: b.a.Name, Timeline: 2})
}

func (b *bundle) rejoinAs(m *local.Machine, order actions.RejoinOrder) (actions.RejoinReport, []string, error) {
	b.t.Helper()
	var told []string
	report, err := m.Rejoin(b.ctx, order, func(text string) { told = append(told, text) })
	b.t.Logf("told: %s", strings.Join(told, "\n      "))
	return report, told, err
}

// diverge lets A commit rows that B never gets, then kills A and promotes B.
func (b *bundle) diverge(rows int) {
	b.t.Helper()
	b.exec(b.a, "INSERT INTO w VALUES (1, 'on both')")
	b.freeze(b.b)
	b.exec(b.a, "SET synchronous_commit = local",
		fmt.Sprintf("INSERT INTO w SELECT g, 'never acknowledged' || repeat('x', 1900) FROM generate_series(1001, %d) g", 1000+rows))
	b.must(b.a.Machine().Off(b.ctx))
	b.promoteAlone()
}

// promoteAlone makes B take writes alone, as the policy degrade does after a failover, and thaws it.
func (b *bundle) promoteAlone() {
	b.t.Helper()
	b.exec(b.b, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	b.promote(b.b)
	b.exec(b.b, "ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()", "INSERT INTO w VALUES (2, 'after the failover')")
}

// checkRejoined asserts that A follows B under its own name, with B's rows and nothing else.
func (b *bundle) checkRejoined() {
	b.t.Helper()
	b.exec(b.b, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	b.until("A is the synchronous standby", func() bool { return b.synchronous(b.b, b.a) })
	b.exec(b.b, "INSERT INTO w VALUES (3, 'synchronous again')")
	b.sameRows(b.b, b.a)
	if n := ask[int](b, b.a, "SELECT count(*) FROM w WHERE filler LIKE 'never acknowledged%'"); n != 0 {
		b.t.Errorf("%d rows are on A that never were on B", n)
	}
	if names := ask[string](b, b.a, "SHOW synchronous_standby_names"); names != b.b.Name {
		b.t.Errorf("A names %q as its standby, want %q", names, b.b.Name)
	}
	if port := ask[string](b, b.a, "SHOW cluster_name"); port != b.a.Name {
		b.t.Errorf("A calls itself %q", port)
	}
}

func TestKilledPrimaryRejoinsAsItWas(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(b.a, "INSERT INTO w SELECT g, repeat('x', 300) FROM generate_series(100, 900) g")
	b.must(b.a.Machine().Off(b.ctx))
	b.promoteAlone()

	report, _, err := b.rejoin()
	b.must(err)
	if report.How != actions.RejoinedAsIs || report.Kept != "" || report.EndOfWA == 0 {
		t.Errorf("report %+v, want as it was, with its end and nothing kept", report)
	}
	b.checkRejoined()
}

func TestDivergedPrimaryIsRewound(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"in the fork's WAL file": 3, "over several WAL files": 12_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.diverge(rows)

			report, _, err := b.rejoin()
			b.must(err)
			if report.How != actions.RejoinedRewound {
				t.Errorf("rejoined %q, want %q", report.How, actions.RejoinedRewound)
			}
			if report.Diverged == nil || report.Diverged.Count != 1 || report.Kept != "" {
				t.Errorf("report %+v, want the one transaction that diverged", report)
			}
			b.checkRejoined()
		})
	}
}

// TestDivergedTransactionsAreListedEach: what was committed on the old primary alone is counted and named, and
// kept in a private file that holds no rows.
func TestDivergedTransactionsAreListedEach(t *testing.T) {
	t.Parallel()
	b := newBundleWith(t, map[string]string{"autovacuum": "off", "max_prepared_transactions": "2"})
	b.exec(b.a, "INSERT INTO w VALUES (1, 'on both')")
	b.freeze(b.b)
	want := b.aloneOnA()
	b.must(b.a.Machine().Off(b.ctx))
	b.promoteAlone()

	report, _, err := b.rejoin()
	b.must(err)
	d := report.Diverged
	if d == nil || d.Count != len(want) || !slices.Equal(d.XIDs, want) {
		t.Fatalf("diverged %+v, want the transactions %v", d, want)
	}
	if fork := ask[string](b, b.b, "SELECT split_part(pg_read_file('pg_wal/00000002.history'), E'\\t', 2)"); d.From.String() != fork || d.To != report.EndOfWA || d.To <= d.From {
		t.Errorf("from %s to %s; B left at %s, A's log ended at %s", d.From, d.To, fork, report.EndOfWA)
	}
	info, err := os.Stat(d.File)
	b.must(err)
	text, err := os.ReadFile(d.File)
	b.must(err)
	if info.Mode().Perm() != 0o600 || bytes.Count(text, []byte("desc: COMMIT")) != len(want) {
		t.Errorf("%s has mode %s and %d commits", d.File, info.Mode(), bytes.Count(text, []byte("desc: COMMIT")))
	}
	for _, private := range []string{"confidential", hex.EncodeToString([]byte("confidential")), "63 6F 6E 66 69 64"} {
		if bytes.Contains(text, []byte(private)) {
			t.Errorf("%s holds what an application wrote: %q", d.File, private)
		}
	}
	b.checkRejoined()
	again, _, err := b.rejoinOnly(b.a.Machine()) // as after a bot that was killed before it stored the report
	b.must(err)
	if again.Diverged == nil || !slices.Equal(again.Diverged.XIDs, want) || again.Diverged.File != d.File {
		t.Errorf("a second attempt tells %+v", again.Diverged)
	}
}

// aloneOnA commits on A what B never gets, in each way that writes a commit of its own, and gives their ids.
func (b *bundle) aloneOnA() []uint64 {
	b.t.Helper()
	c := b.connect(b.a)
	defer func() { _ = c.Close(context.Background()) }()
	run := func(query string) {
		b.t.Helper()
		_, err := c.Exec(b.ctx, query)
		b.must(err)
	}
	var committed []uint64
	xid := func() (id uint64) {
		b.must(c.QueryRow(b.ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&id))
		return id
	}
	run("SET synchronous_commit = local")
	for _, way := range [][2]string{
		{"INSERT INTO w VALUES (1001, 'never acknowledged, confidential')", "COMMIT"},
		{"INSERT INTO w VALUES (1002, 'never acknowledged')", "ROLLBACK"}, // not committed: not listed
		{"SELECT pg_logical_emit_message(true, 'app', 'confidential'); SAVEPOINT s; INSERT INTO w VALUES (1003, 'never acknowledged')", "COMMIT"},
		{"INSERT INTO w VALUES (1004, 'never acknowledged')", "PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'"},
	} {
		run("BEGIN")
		id := xid()
		for _, statement := range strings.Split(way[0]+"; "+way[1], "; ") {
			run(statement)
		}
		if way[1] != "ROLLBACK" {
			committed = append(committed, id)
		}
	}
	return committed
}

func TestDivergedPrimaryThatWasStoppedCleanIsRewound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.freeze(b.b)
	b.exec(b.a, "SET synchronous_commit = local", "INSERT INTO w VALUES (1000, 'never acknowledged')")
	b.must(b.a.Server.StopFast(b.ctx))
	b.promoteAlone()
	report, _, err := b.rejoin()
	b.must(err)
	if report.How != actions.RejoinedRewound {
		t.Errorf("rejoined %q, want %q", report.How, actions.RejoinedRewound)
	}
	b.checkRejoined()
}

// TestDivergedOnOneTimelineIsCopied: both wrote on a timeline of the same number, where pg_rewind finds nothing
// to do. Only a copy takes that back.
func TestDivergedOnOneTimelineIsCopied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		part     func(*bundle)
		timeline uint32
	}{
		"a standby that was started without its signal": {(*bundle).startWithoutSignal, 1},
		"both were promoted":                            {(*bundle).promoteBoth, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.exec(b.a, "INSERT INTO w VALUES (1, 'on both')")
			c.part(b)
			b.exec(b.b, "SELECT 1 FROM pg_drop_replication_slot('twokey_dc1')", "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")

			report, told, err := b.rejoinAs(b.a.Machine(), actions.RejoinOrder{Name: b.a.Name, Timeline: c.timeline})
			b.must(err)
			if report.How != actions.RejoinedFromCopy || !strings.Contains(strings.Join(told, "\n"), "pg_rewind sees no difference") {
				t.Errorf("rejoined %q, want %q, for what pg_rewind can't see", report.How, actions.RejoinedFromCopy)
			}
			b.checkRejoined()
		})
	}
}

// startWithoutSignal leaves two primaries on the timeline that they shared, and stops A.
func (b *bundle) startWithoutSignal() {
	b.t.Helper()
	b.exec(b.b, "ALTER SYSTEM SET synchronous_standby_names = ''")
	b.must(b.b.Server.StopFast(b.ctx))
	b.must(os.Remove(filepath.Join(b.b.Server.DataDir, "standby.signal")))
	b.exec(b.a, "SET synchronous_commit = local", "INSERT INTO w VALUES (1000, 'never acknowledged')")
	b.must(b.a.Server.StopFast(b.ctx))
	b.start(b.b)
	b.exec(b.b, "INSERT INTO w VALUES (2, 'after the failover')")
}

// promoteBoth leaves each with a timeline of its own, of the same number, and stops A.
func (b *bundle) promoteBoth() {
	b.t.Helper()
	b.freeze(b.b)
	b.must(b.a.Server.StopFast(b.ctx))
	b.promoteAlone()
	b.must(b.b.Server.StopFast(b.ctx)) // A would take a number after B's, if it heard of that
	signal := filepath.Join(b.a.Server.DataDir, "standby.signal")
	b.must(os.WriteFile(signal, nil, 0o600))
	b.must(b.a.Server.User.Own(signal))
	b.start(b.a)
	b.exec(b.a, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
	b.promote(b.a)
	b.exec(b.a, "INSERT INTO w VALUES (1000, 'never acknowledged')")
	b.must(b.a.Server.StopFast(b.ctx))
	b.start(b.b)
}

func (b *bundle) start(n *sandbox.Node) {
	b.t.Helper()
	_, err := n.Server.Start(b.ctx)
	b.must(err)
	b.must(n.Server.WaitReady(b.ctx))
}

// TestDivergedPrimaryThatSomebodyStartedAsStandby is the case that acknowledges falsely: started as it is, the
// server reports its own position, receives the partner's WAL files, and looks like a standby.
func TestDivergedPrimaryThatSomebodyStartedAsStandby(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.diverge(3)
	b.exec(b.b, "SELECT pg_drop_replication_slot('twokey_dc1')", "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")
	signal := filepath.Join(b.a.Server.DataDir, "standby.signal")
	b.must(os.WriteFile(signal, nil, 0o600))
	b.must(b.a.Server.User.Own(signal))
	_, err := b.a.Server.Start(b.ctx)
	b.must(err)
	b.until("A streams what it can of the partner's history", func() bool {
		_, err := os.Stat(filepath.Join(b.a.Server.DataDir, "pg_wal", "00000002.history"))
		return err == nil
	})

	report, _, err := b.rejoinOnly(b.a.Machine()) // its slot is in use, now and then
	b.must(err)
	if report.How == actions.RejoinedAsIs {
		t.Error("a diverged server was taken for one that follows")
	}
	b.checkRejoined()
}

func TestPartnerIsCopiedWhereRewindingFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.diverge(3)
	m := b.a.Machine()
	m.Server.Programs.Folder = withFailingRewind(t, m.Server.Programs.Folder)

	b.exec(b.b, "SELECT pg_drop_replication_slot('twokey_dc1')", "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")
	report, _, err := b.rejoinOnly(m)
	b.must(err)
	if report.How != actions.RejoinedFromCopy {
		t.Errorf("rejoined %q, want %q", report.How, actions.RejoinedFromCopy)
	}
	b.checkRejoined()
	left, _ := filepath.Glob(b.a.Server.DataDir + ".[^d]*")
	if len(left) > 0 {
		t.Errorf("left beside the data folder: %v", left)
	}
}

func TestPartnerIsCopiedWhereItHasRemovedTheLog(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*bundle){
		"for a server that could follow": func(b *bundle) {
			b.must(b.a.Machine().Off(b.ctx))
			b.promoteAlone()
		},
		"for a server that was rewound": func(b *bundle) { b.diverge(3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundleWith(t, map[string]string{"max_wal_size": "32MB"})
			lose(b)
			b.exec(b.b, "ALTER SYSTEM SET wal_keep_size = 0", "SELECT pg_reload_conf()")
			b.exec(b.b, "SELECT pg_drop_replication_slot('twokey_dc1')")
			for i := range 6 {
				b.exec(b.b, fmt.Sprintf("INSERT INTO w VALUES (%d, 'more')", 100+i), "SELECT pg_switch_wal()", "CHECKPOINT")
			}
			b.exec(b.b, "SELECT pg_create_physical_replication_slot('twokey_dc1', true)")
			report, told, err := b.rejoinOnly(b.a.Machine())
			b.must(err)
			if report.How != actions.RejoinedFromCopy || !strings.Contains(strings.Join(told, "\n"), "no longer has the log") {
				t.Errorf("rejoined %q, want %q because of the log", report.How, actions.RejoinedFromCopy)
			}
			b.checkRejoined()
		})
	}
}

// withFailingRewind is a folder of the same programs in which pg_rewind spoils the target, then fails.
func withFailingRewind(t *testing.T, real string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "twokey-programs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(real, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Symlink(name, filepath.Join(folder, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	rewind := filepath.Join(folder, "pg_rewind")
	spoil := "#!/bin/sh\nfor a; do case $a in --target-pgdata=*) rm -r \"${a#*=}/base\";; esac; done\necho out of order >&2\nexit 1\n"
	if err := errors.Join(os.Remove(rewind), os.WriteFile(rewind, []byte(spoil), 0o755)); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestUnfinishedRewindIsNeverStarted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.diverge(3)
	b.must(os.WriteFile(b.a.Server.DataDir+".rewind-unfinished", nil, 0o600)) // as a killed bot leaves it
	m := b.a.Machine()
	for name, start := range map[string]func() error{
		"Start":  func() error { return m.Start(b.ctx) },
		"Server": func() error { _, err := m.Server.Start(b.ctx); return err },
	} {
		if err := start(); !errors.Is(err, local.ErrUnfit) {
			t.Errorf("%s: got %v, want ErrUnfit", name, err)
		}
	}
	report, _, err := b.rejoin()
	b.must(err)
	if report.How != actions.RejoinedFromCopy {
		t.Errorf("rejoined %q, want %q", report.How, actions.RejoinedFromCopy)
	}
	b.checkRejoined()
}

func TestRejoinTwiceLeavesAFollowingServerAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.diverge(3)
	_, _, err := b.rejoin()
	b.must(err)
	before, _, err := b.a.Server.Running(b.ctx)
	b.must(err)
	report, _, err := b.rejoinOnly(b.a.Machine())
	b.must(err)
	after, _, err := b.a.Server.Running(b.ctx)
	b.must(err)
	if report.How != actions.RejoinedAsIs || before.PID != after.PID {
		t.Errorf("report %+v, process %d then %d: want the same process, untouched", report, before.PID, after.PID)
	}
}

// TestRejoinedServerRejoinsAgain: a standby of the new timeline that was killed has followed before, and follows
// again without being rewound.
func TestRejoinedServerRejoinsAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.diverge(3)
	_, _, err := b.rejoin()
	b.must(err)
	b.exec(b.b, "CHECKPOINT")
	b.until("A replayed the checkpoint", func() bool {
		return ask[bool](b, b.b, "SELECT bool_and(replay_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication")
	})
	b.exec(b.a, "CHECKPOINT")
	b.must(b.a.Server.Kill(b.ctx))
	report, _, err := b.rejoinOnly(b.a.Machine())
	b.must(err)
	if report.How != actions.RejoinedAsIs {
		t.Errorf("rejoined %q, want %q", report.How, actions.RejoinedAsIs)
	}
	b.checkRejoined()
}

func TestRejoinTouchesNothingBeforeItHasReachedThePartner(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.a.Machine()
	passwords, err := os.ReadFile(m.Upstream.Passfile)
	b.must(err)
	var checkpointer int
	first, order := actions.RejoinOrder{Name: b.a.Name, Timeline: 1}, actions.RejoinOrder{Name: b.a.Name, Timeline: 2}
	steps := []struct {
		name    string
		order   actions.RejoinOrder
		prepare func()
		want    error
	}{
		{"the server still runs as a primary", order, func() {}, local.ErrStillPrimary},
		{"the partner is still in recovery", first, func() { b.must(m.Off(b.ctx)) }, local.ErrNotReached},
		{"the partner does not let the node log in", first, func() {
			b.must(os.WriteFile(m.Upstream.Passfile, nil, 0o600))
		}, local.ErrNotReached},
		{"the partner has not made its first checkpoint yet", order, func() {
			b.must(os.WriteFile(m.Upstream.Passfile, passwords, 0o600))
			checkpointer = ask[int](b, b.b, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
			b.must(syscall.Kill(checkpointer, syscall.SIGSTOP))
			b.exec(b.b, "SELECT pg_promote(true, 30)")
		}, local.ErrNotReached},
		{"the partner forked elsewhere", actions.RejoinOrder{Name: b.a.Name, Timeline: 2, Fork: 1}, func() {
			b.must(syscall.Kill(checkpointer, syscall.SIGCONT))
			b.exec(b.b, "CHECKPOINT")
		}, local.ErrNotReached},
		{"the partner is on another timeline", first, func() {}, local.ErrNotReached},
		{"the partner is down", order, func() {
			b.must(b.b.Server.StopFast(b.ctx))
		}, local.ErrNotReached},
	}
	for _, step := range steps {
		step.prepare()
		before := b.fingerprint()
		_, _, err := b.rejoinAs(m, step.order)
		if !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
		if after := b.fingerprint(); after != before && !b.running(m.Server) {
			t.Errorf("%s: the data folder was touched:\n%s\n%s", step.name, before, after)
		}
	}
}

// fingerprint tells whether anything was changed in A's folder: what is there, and when it was changed.
func (b *bundle) fingerprint() string {
	b.t.Helper()
	var lines []string
	for _, pattern := range []string{"", "/data", "/data/*", "/data/pg_wal/*"} {
		found, err := filepath.Glob(b.a.Dir + pattern)
		b.must(err)
		for _, path := range found {
			info, err := os.Stat(path)
			b.must(err)
			lines = append(lines, fmt.Sprint(path, info.ModTime().UnixNano(), info.Size()))
		}
	}
	return strings.Join(lines, "\n")
}

func TestRejoinRefusesAStrangersServer(t *testing.T) {
	t.Parallel()
	b, stranger := newBundle(t), newBundle(t)
	m := b.a.Machine()
	m.Upstream = stranger.b.Upstream // leads to the stranger's primary
	b.must(os.WriteFile(m.Upstream.Passfile, []byte("*:*:*:*:"+stranger.pair.ReplicationPassword.Reveal()+"\n"), 0o600))
	b.must(m.Off(b.ctx))
	_, err := m.Rejoin(b.ctx, actions.RejoinOrder{Name: b.a.Name, Timeline: 1}, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "they are no pair") {
		t.Errorf("got %v, want that they are no pair", err)
	}
}
