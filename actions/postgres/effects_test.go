package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
	"twokey/actions/postgres"
	"twokey/sql"
)

func TestNamesAreTakenOnlyWhereOneStandbyIsMeant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ names, want string }{
		{"", ""},
		{"  ", ""},
		{"nb", "nb"},
		{" nb ", "nb"},
		{`"nb"`, `"nb"`},
		{"FIRST 1 (nb)", "FIRST 1 (nb)"},
		{"first  1 ( nb )", "FIRST 1 (nb)"},
		{`FIRST 1 ("n b")`, `FIRST 1 ("n b")`},
		{"node-1", `"node-1"`},
		{"FIRST 1 (node-1)", `FIRST 1 ("node-1")`},
		{"1", `"1"`},
		{"any", `"any"`},
		{"First", `"First"`},
		{"größe", `"größe"`},
		{`"a""b"`, `"a""b"`},
	} {
		if got, err := postgres.SyncNames(c.names); err != nil || got != c.want {
			t.Errorf("names %q become %q, %v; want %q", c.names, got, err, c.want)
		}
	}
	for _, names := range []string{
		"*", `"*"`, "FIRST 1 (*)", `FIRST 1 ("*")`, "nb, nc", "FIRST 2 (nb, nc)", "FIRST 1 (nb, nc)", "ANY 1 (nb)",
		"1 (nb)", "FIRST 1 nb", "n b", `n"b`, "nb'; DROP TABLE x; --", "nb)", strings.Repeat("x", 64), "n\x00b",
	} {
		if got, err := postgres.SyncNames(names); err == nil {
			t.Errorf("names %q are taken, as %q", names, got)
		}
	}
}

func FuzzSyncNames(f *testing.F) {
	for _, s := range []string{"", "nb", `"n""b"`, "FIRST 1 (nb)", "*", "a, b", "ANY 1 (x)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, names string) {
		got, err := postgres.SyncNames(names)
		if err != nil || got == "" {
			return
		}
		again, err := postgres.SyncNames(got)
		if err != nil || again != got {
			t.Errorf("%q becomes %q, and that %q, %v", names, got, again, err)
		}
		inside := strings.NewReplacer(`""`, "").Replace(got)
		if strings.Count(inside, `"`)%2 != 0 || strings.Contains(got, "*") && !strings.Contains(strings.Trim(got, `"`), "*") {
			t.Errorf("%q becomes %q", names, got)
		}
	})
}

func syncNamesHoldForCommitsOnceSet(t *testing.T, p *bundle) {
	for _, want := range []string{"", "dc2", "FIRST 1 (dc2)", "node-1"} {
		must(t, p.a.SetSyncNames(t.Context(), want))
		got := strings.Trim(server(t, p.a).Settings["synchronous_standby_names"], `"`)
		if got != want {
			t.Errorf("names are %q, set were %q", got, want)
		}
	}
	// No standby is called node-1, so every commit must wait from now on.
	writer := p.adminConn(t, 0, p.Database)
	if _, err := writer.Exec(timeout(t, 300*time.Millisecond), testRow); err == nil {
		t.Error("a commit returned although its standby doesn't exist")
	}
	must(t, p.a.SetSyncNames(t.Context(), "dc2"))
	must(t, p.b.SetSyncNames(t.Context(), "dc1")) // a standby takes them as well, for later
	if got := server(t, p.b).Settings["synchronous_standby_names"]; got != "dc1" {
		t.Errorf("names on the standby: %q", got)
	}
	if err := p.a.SetSyncNames(t.Context(), "*"); err == nil {
		t.Error("the star was taken")
	}
}

// The names count once SetSyncNames is back, however late the checkpointer is:
// it is held here while they change.
func TestSyncNamesWaitForTheCheckpointer(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	must(t, p.a.SetSyncNames(t.Context(), ""))
	release := holdCheckpointer(t, p, 0)
	done := make(chan error, 1)
	go func() { done <- p.a.SetSyncNames(t.Context(), "nobody") }()
	eventually(t, "the names show", func() bool {
		return server(t, p.a).Settings["synchronous_standby_names"] == "nobody"
	})
	select {
	case err := <-done:
		t.Errorf("it returned (%v) before the checkpointer knew", err)
	default:
	}
	release()
	must(t, <-done)
	writer := p.adminConn(t, 0, p.Database)
	if _, err := writer.Exec(timeout(t, 300*time.Millisecond), testRow); err == nil {
		t.Error("a commit returned although its standby doesn't exist")
	}
}

const testRow = "INSERT INTO twokey.insert_test (by) VALUES ('test')"

func TestSlots(t *testing.T) {
	t.Parallel()
	inTurn(t, newBundle(t, nil), []step{
		{"they keep WAL from the start, and go away", slotsKeepWALFromTheStartAndGoAway},
		{"those of others are out of reach", slotsOfOthersAreOutOfReach},
	})
}

func slotsKeepWALFromTheStartAndGoAway(t *testing.T, p *bundle) {
	for _, n := range []struct {
		what string
		node *postgres.Node
	}{{"primary", p.a}, {"standby", p.b}} {
		must(t, n.node.EnsureSlot(t.Context(), "twokey_new"))
		must(t, n.node.EnsureSlot(t.Context(), "twokey_new"))
		if i := slices.IndexFunc(server(t, n.node).Slots, func(s actions.Slot) bool { return s.Name == "twokey_new" && s.RestartLSN != 0 }); i < 0 {
			t.Errorf("%s: the slot keeps no WAL: %+v", n.what, server(t, n.node).Slots)
		}
		must(t, n.node.DropSlot(t.Context(), "twokey_new"))
		must(t, n.node.DropSlot(t.Context(), "twokey_new"))
		if slices.ContainsFunc(server(t, n.node).Slots, func(s actions.Slot) bool { return s.Name == "twokey_new" }) {
			t.Errorf("%s: the slot is still there", n.what)
		}
	}
	// dc2 has a slot for dc1 that was never reserved: it must keep WAL from now on.
	must(t, p.b.EnsureSlot(t.Context(), "twokey_dc1"))
	if i := slices.IndexFunc(server(t, p.b).Slots, func(s actions.Slot) bool { return s.Name == "twokey_dc1" && s.RestartLSN != 0 }); i < 0 {
		t.Errorf("the slot for the way back keeps no WAL: %+v", server(t, p.b).Slots)
	}
}

func slotsOfOthersAreOutOfReach(t *testing.T, p *bundle) {
	p.admin(t, 0, "postgres", "SELECT pg_create_physical_replication_slot('theirs')")
	for _, name := range []string{"theirs", "twokey_", "twokey_X", "twokey_a;b", ""} {
		if err := p.a.DropSlot(t.Context(), name); err == nil {
			t.Errorf("slot %q could be dropped", name)
		}
		if err := p.a.EnsureSlot(t.Context(), name); err == nil {
			t.Errorf("slot %q could be made", name)
		}
	}
	var refused *pgconn.PgError
	if err := p.a.DropSlot(t.Context(), "twokey_dc2"); !errors.As(err, &refused) || refused.Code != "55006" {
		t.Errorf("the slot in use: %v", err)
	}
	if i := slices.IndexFunc(server(t, p.a).Slots, func(s actions.Slot) bool { return s.Name == "theirs" }); i < 0 {
		t.Error("somebody else's slot is gone")
	}
}

func probeWriteNeverWaitsForAStandby(t *testing.T, p *bundle) {
	must(t, p.a.SetSyncNames(t.Context(), "nobody"))
	must(t, p.a.ProbeWrite(timeout(t, 20*time.Second)))
	must(t, p.a.ProbeWrite(timeout(t, 20*time.Second)))
	if n := ask[int](t, p.adminConn(t, 0, "twokey"), "SELECT writes FROM twokey.probe"); n != 2 {
		t.Errorf("%d writes are there instead of 2", n)
	}
	if err := p.b.ProbeWrite(t.Context()); err == nil || isUncertain(err) {
		t.Errorf("a write on the standby: %v", err)
	}
	server(t, p.b) // its session is as good as before
}

func TestWrites(t *testing.T) {
	t.Parallel()
	inTurn(t, newBundle(t, nil), []step{
		{"a test row is committed on both nodes", testRowIsCommittedOnBothNodes},
		{"fingerprints are equal exactly when the rows are", fingerprintsAreEqualExactlyWhenTheRowsAre},
		{"a fingerprint with holes is refused", fingerprintWithHolesIsRefused},
		{"the progress of a running base backup shows", backupProgressOfARunningBackup},
		{"names hold for commits once they are set", syncNamesHoldForCommitsOnceSet},
		{"a probe never waits for a standby", probeWriteNeverWaitsForAStandby},
	})
}

func testRowIsCommittedOnBothNodes(t *testing.T, p *bundle) {
	row, err := p.a.InsertTest(t.Context(), strings.Repeat("ü", 300))
	must(t, err)
	if row.ID == 0 || row.At.IsZero() || row.Took <= 0 {
		t.Errorf("row %+v", row)
	}
	standby := p.adminConn(t, 1, p.Database)
	eventually(t, "the row is replayed", func() bool {
		return ask[int](t, standby, "SELECT count(*) FROM twokey.insert_test WHERE id = $1 AND length(by) = 200", row.ID) == 1
	})
}

func TestTestRowThatIsNotReplicatedIsUncertain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		end   func(t *testing.T, p *bundle)
		limit time.Duration
	}{
		{"its wait is canceled", func(t *testing.T, p *bundle) { signalWaiter(t, p, "pg_cancel_backend") }, 20 * time.Second},
		{"its session is ended", func(t *testing.T, p *bundle) { signalWaiter(t, p, "pg_terminate_backend") }, 20 * time.Second},
		{"its time is over", func(*testing.T, *bundle) {}, 300 * time.Millisecond},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			p := newBundle(t, nil)
			must(t, p.a.SetSyncNames(t.Context(), "nobody"))
			done := make(chan error, 1)
			go func() {
				_, err := p.a.InsertTest(timeout(t, c.limit), "test")
				done <- err
			}()
			c.end(t, p)
			if err := <-done; !isUncertain(err) {
				t.Errorf("the row is reported as %v", err)
			}
		})
	}
}

func signalWaiter(t *testing.T, p *bundle, function string) {
	t.Helper()
	admin := p.adminConn(t, 0, "postgres")
	eventually(t, "the commit waits", func() bool {
		return ask[int](t, admin, "SELECT count("+function+"(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1
	})
}

func isUncertain(err error) bool {
	var u *actions.Uncertain
	return errors.As(err, &u)
}

func fingerprintsAreEqualExactlyWhenTheRowsAre(t *testing.T, p *bundle) {
	p.admin(t, 0, p.Database,
		`CREATE TABLE "odd name" (r int, "T" text, f float8, at timestamptz)`,
		`INSERT INTO "odd name" SELECT i, 'row ' || i, i / 3.0, now() FROM generate_series(1, 1000) i`,
		`CREATE TABLE empty (id int)`, `CREATE UNLOGGED TABLE scratch (id int)`, `INSERT INTO scratch VALUES (1)`,
		`CREATE TABLE parts (id int) PARTITION BY RANGE (id)`, `CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)`,
		`INSERT INTO parts VALUES (1), (1)`)
	settled := func() (a, b actions.Fingerprint) {
		t.Helper()
		eventually(t, "the standby has replayed all", func() bool {
			sa, sb := server(t, p.a), server(t, p.b)
			return sb.ReplayLSN >= sa.FlushLSN
		})
		a, err := p.a.Fingerprint(t.Context())
		must(t, err)
		b, err = p.b.Fingerprint(t.Context())
		must(t, err)
		return a, b
	}
	first, b := settled()
	if !slices.Equal(first.Tables, b.Tables) {
		t.Errorf("dc1 %v, dc2 %v", first.Tables, b.Tables)
	}
	names := []string{}
	for _, s := range first.Tables {
		names = append(names, fmt.Sprintf("%s %d", s.Table, s.Rows))
	}
	for _, want := range []string{"public.empty 0", "public.odd name 1000", "public.parts_1 2", "twokey.insert_test 1"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is not among the tables %q", want, names)
		}
	}
	for _, not := range []string{"public.scratch", "public.parts "} {
		if strings.Contains(strings.Join(names, ","), not) {
			t.Errorf("%q is among the tables %q", not, names)
		}
	}
	sums := map[string]bool{oddSum(t, first): true}
	for _, change := range []string{
		`UPDATE "odd name" SET "T" = "T" || ' ' WHERE r = 500`,
		`DELETE FROM "odd name" WHERE r = 1`,
		`INSERT INTO "odd name" SELECT * FROM "odd name" WHERE r = 7`, // a second row like one that is there
		`UPDATE "odd name" SET f = NULL WHERE r = 9`,
	} {
		p.admin(t, 0, p.Database, change)
		now, same := settled()
		if sum := oddSum(t, now); sums[sum] || oddSum(t, same) != sum {
			t.Errorf("after %s the sum is %s, on the standby %s, before were %v", change, sum, oddSum(t, same), sums)
		}
		sums[oddSum(t, now)] = true
	}
}

func oddSum(t *testing.T, f actions.Fingerprint) string {
	t.Helper()
	i := slices.IndexFunc(f.Tables, func(s actions.TableSum) bool { return s.Table == "public.odd name" })
	if i < 0 {
		t.Fatalf("no such table in %v", f.Tables)
	}
	return f.Tables[i].Sum
}

func fingerprintWithHolesIsRefused(t *testing.T, p *bundle) {
	p.admin(t, 0, p.Database, "CREATE TABLE secret (id int)", "REVOKE SELECT ON secret FROM twokey_bot")
	if _, err := p.a.Fingerprint(t.Context()); err == nil || !strings.Contains(err.Error(), "public.secret") {
		t.Errorf("a table that can't be read: %v", err)
	}
	p.admin(t, 0, p.Database, "GRANT SELECT ON secret TO twokey_bot", "ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY nothing ON secret USING (false)")
	if _, err := p.a.Fingerprint(t.Context()); err == nil {
		t.Error("a table whose rows are hidden was compared")
	}
}

func TestBackupProgressInWords(t *testing.T) {
	t.Parallel()
	total := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		phase    string
		streamed int64
		total    *int64
		want     string
	}{
		{"initializing", 0, nil, "initializing, 0 B"},
		{"streaming database files", 5 << 20, total(20 << 20), "streaming database files, 5.0 MiB of 20 MiB (25 %)"},
		{"streaming database files", 30 << 20, total(20 << 20), "streaming database files, 30 MiB of 20 MiB (100 %)"},
		{"transferring wal files", 1 << 10, total(0), "transferring wal files, 1.0 KiB"},
	} {
		if got := postgres.ProgressText(c.phase, c.streamed, c.total); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func backupProgressOfARunningBackup(t *testing.T, p *bundle) {
	if text, err := p.a.BackupProgress(t.Context()); err != nil || text != "" {
		t.Errorf("without a backup: %q, %v", text, err)
	}
	url := strings.NewReplacer("twokey_bot", sql.ReplicationRole, p.BotPassword.Reveal(), p.ReplicationPassword.Reveal()).
		Replace(p.Nodes[0].BotURL("replication"))
	conn, err := pgconn.Connect(t.Context(), url+"&replication=true")
	must(t, err)
	defer conn.Close(context.Background())
	// The answer isn't read, so the backup stops when the buffers between are full.
	conn.Exec(t.Context(), "BASE_BACKUP (LABEL 'twokey', CHECKPOINT 'fast', PROGRESS true)")
	eventually(t, "the backup shows", func() bool {
		text, err := p.a.BackupProgress(t.Context())
		must(t, err)
		return strings.Contains(text, " of ")
	})
	if n := server(t, p.a).BaseBackups; n != 1 {
		t.Errorf("base backups: %d", n)
	}
}
