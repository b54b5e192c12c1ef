package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/postgres"
)

// Looking changes nothing, so one pair serves these in turn.
func TestLooking(t *testing.T) {
	t.Parallel()
	inTurn(t, newBundle(t, nil), []step{
		{"an observation of a healthy pair is complete", observationOfAHealthyPairIsComplete},
		{"a write of the bot never changes what its session sees", observationNeverChangesWhatItsSessionSees},
		{"looks at once do not wait for each other", looksAtOnceDoNotWaitForEachOther},
		{"the time of the reload is the server's own whatever the session's age", reloadTimeIsTheServersOwnWhateverTheSessionsAge},
		{"one session is kept", observationKeepsOneSession},
		{"a look survives the loss of its kept session", lookSurvivesTheLossOfItsKeptSession},
	})
}

func observationOfAHealthyPairIsComplete(t *testing.T, p *bundle) {
	a, b := server(t, p.a), server(t, p.b)

	if a.InRecovery || !b.InRecovery {
		t.Fatalf("roles: dc1 in recovery %v, dc2 %v", a.InRecovery, b.InRecovery)
	}
	if a.SystemID == "" || a.SystemID != b.SystemID {
		t.Errorf("system ids %q and %q", a.SystemID, b.SystemID)
	}
	if a.Timeline == 0 || b.Timeline != a.Timeline || b.Receiver == nil || b.Receiver.Timeline != a.Timeline {
		t.Errorf("timelines: %d, %d, receiver %+v", a.Timeline, b.Timeline, b.Receiver)
	}
	if len(a.Standbys) != 1 || a.Standbys[0].Name != "dc2" || a.Standbys[0].SyncState != "sync" ||
		a.Standbys[0].State != "streaming" || a.Standbys[0].ClientAddr != "127.0.0.1" || a.Standbys[0].User != "twokey_replication" {
		t.Errorf("standbys of dc1: %+v", a.Standbys)
	}
	if s := a.Standbys[0]; s.Flush == 0 || s.Flush > a.FlushLSN || s.Sent == 0 || s.ReplyAt == nil {
		t.Errorf("positions of dc2 as dc1 sees them: %+v, dc1 flushed %s", s, a.FlushLSN)
	}
	if b.Receiver.Status != "streaming" || b.Receiver.Slot != "twokey_dc2" || b.Receiver.SenderPort != p.Nodes[0].Port || b.Receiver.LastMsgAt == nil {
		t.Errorf("receiver of dc2: %+v", b.Receiver)
	}
	if b.Receivers != 1 || !b.ConninfoSet || b.ReceiveLSN == 0 || b.ReplayLSN == 0 || b.ReplayPause != "not paused" {
		t.Errorf("dc2: %+v", b)
	}
	if a.Receiver != nil || a.ReceiveLSN != 0 || a.ReplayLSN != 0 || a.ReplayPause != "" {
		t.Errorf("a primary has standby's fields: %+v", a)
	}
	if i := slices.IndexFunc(a.Slots, func(s actions.Slot) bool { return s.Name == "twokey_dc2" }); i < 0 ||
		!a.Slots[i].Active || a.Slots[i].Type != "physical" || a.Slots[i].RestartLSN == 0 || a.Slots[i].WALStatus != "reserved" {
		t.Errorf("slots of dc1: %+v", a.Slots)
	}
	for _, s := range []*actions.Server{a, b} {
		if len(s.Rights) != 0 || len(s.SyncOverrides) != 0 || len(s.PendingRestart) != 0 || s.Unlogged.Count != 0 || s.Archiver.Failing {
			t.Errorf("rights missing %q, overrides %q, pending %q, unlogged %+v, archiver %+v", s.Rights, s.SyncOverrides, s.PendingRestart, s.Unlogged, s.Archiver)
		}
		if s.Settings["synchronous_commit"] != "on" || s.Settings["wal_retrieve_retry_interval"] != "100" || s.Settings["fsync"] == "" {
			t.Errorf("settings: %v", s.Settings)
		}
		if s.VersionNum < 150000 || s.Now.IsZero() || s.StartedAt.IsZero() || s.ConfLoaded.IsZero() || s.Checkpoint.LSN == 0 || s.Checkpoint.Redo == 0 || s.Checkpoint.Time.IsZero() {
			t.Errorf("server: %+v", s)
		}
	}
}

func observationNeverChangesWhatItsSessionSees(t *testing.T, p *bundle) {
	server(t, p.a)
	must(t, p.a.ProbeWrite(t.Context())) // on the same kept session, at synchronous_commit = local
	if got := server(t, p.a).Settings["synchronous_commit"]; got != "on" {
		t.Errorf("after a probe write the session sees synchronous_commit = %s", got)
	}
}

func reloadTimeIsTheServersOwnWhateverTheSessionsAge(t *testing.T, p *bundle) {
	before := server(t, p.a).ConfLoaded
	admin := p.adminConn(t, 0, "postgres")
	for range 3 {
		ask[bool](t, admin, "SELECT pg_reload_conf()")
		eventually(t, "the reload shows in new sessions", func() bool {
			return ask[time.Time](t, p.adminConn(t, 0, "postgres"), "SELECT pg_conf_load_time()").After(before)
		})
		fresh := p.node(t, 0)
		want := ask[time.Time](t, p.adminConn(t, 0, "postgres"), "SELECT pg_conf_load_time()")
		if kept, other := server(t, p.a).ConfLoaded, server(t, fresh).ConfLoaded; !kept.Equal(want) || !other.Equal(want) {
			t.Errorf("configuration loaded at %s, but the kept session says %s and a new node %s", want, kept, other)
		}
		if again := server(t, p.a).ConfLoaded; !again.Equal(want) {
			t.Errorf("a second look says %s instead of %s", again, want)
		}
		before = want
	}
}

func observationKeepsOneSession(t *testing.T, p *bundle) {
	for range 5 {
		server(t, p.a)
	}
	admin := p.adminConn(t, 0, "postgres")
	const sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'twokey_bot'"
	eventually(t, "only the kept session is left", func() bool { return ask[int](t, admin, sessions) == 1 })
	started := ask[time.Time](t, admin, "SELECT backend_start FROM pg_stat_activity WHERE usename = 'twokey_bot'")
	server(t, p.a)
	if again := ask[time.Time](t, admin, "SELECT max(backend_start) FROM pg_stat_activity WHERE usename = 'twokey_bot'"); !again.Equal(started) {
		t.Errorf("the look opened another session: %s, then %s", started, again)
	}
}

func looksAtOnceDoNotWaitForEachOther(t *testing.T, p *bundle) {
	done := make(chan actions.Observation)
	for range 8 {
		go func() { done <- p.a.Observe(t.Context()) }()
	}
	for range 8 {
		if o := <-done; o.Server == nil {
			t.Errorf("a look failed: %v", o.Failure)
		}
	}
}

func lookSurvivesTheLossOfItsKeptSession(t *testing.T, p *bundle) {
	server(t, p.a)
	p.admin(t, 0, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'twokey_bot'")
	server(t, p.a)
}

func TestObservationNamesWhatWeakensAPair(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	p.admin(t, 0, p.Database,
		"CREATE UNLOGGED TABLE scratch (id int)",
		"ALTER ROLE app SET synchronous_commit = off",
		"ALTER ROLE twokey_replication SET synchronous_commit = on", // as strong as needed: no override
		"ALTER DATABASE postgres SET synchronous_commit = local",
		"ALTER ROLE app IN DATABASE orders SET synchronous_commit = off",
		"ALTER ROLE ALL SET synchronous_commit = remote_write",
		"ALTER SYSTEM SET max_connections = 61", "SELECT pg_reload_conf()",
		"SELECT pg_create_physical_replication_slot('loose')")
	want := []string{"all roles", "database postgres", "role app", "role app in database orders"}
	var s *actions.Server
	eventually(t, "the reload is seen", func() bool {
		s = server(t, p.node(t, 0))
		return len(s.PendingRestart) > 0
	})
	if !slices.Equal(s.SyncOverrides, want) {
		t.Errorf("overrides %q, want %q", s.SyncOverrides, want)
	}
	if !slices.Equal(s.PendingRestart, []string{"max_connections"}) {
		t.Errorf("pending restart: %q", s.PendingRestart)
	}
	if u := s.Unlogged; u.Count != 1 || !slices.Equal(u.Names, []string{"public.scratch"}) || u.At.IsZero() {
		t.Errorf("unlogged tables: %+v", u)
	}
	if i := slices.IndexFunc(s.Slots, func(s actions.Slot) bool { return s.Name == "loose" }); i < 0 || s.Slots[i].Active || s.Slots[i].RestartLSN != 0 {
		t.Errorf("slots: %+v", s.Slots)
	}
}

func TestMissingRightsAreListedEach(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	p.admin(t, 0, "twokey",
		"REVOKE pg_checkpoint FROM twokey_bot",
		"REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo FROM twokey_bot",
		"REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM twokey_bot",
		"REVOKE EXECUTE ON FUNCTION twokey.resume_replay() FROM twokey_bot",
		"DROP FUNCTION twokey.drop_slot(text)",
		"REVOKE UPDATE ON twokey.probe FROM twokey_bot",
		"REVOKE CONNECT ON DATABASE orders FROM twokey_bot, PUBLIC")
	got := server(t, p.a).Rights
	for _, want := range []string{
		"membership in pg_checkpoint", "ALTER SYSTEM on primary_conninfo", "EXECUTE on pg_promote",
		"EXECUTE on twokey.resume_replay", "EXECUTE on twokey.drop_slot", "UPDATE on twokey.probe", "CONNECT on database orders",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d rights are missing, listed are %q", 7, got)
	}
	if n := server(t, p.node(t, 0)).Unlogged.Count; n != -1 {
		t.Errorf("unlogged tables can't be counted, but are given as %d", n)
	}
}

func TestMissingSchemaIsAListOfRightsNotAFailure(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	p.admin(t, 0, "twokey", "DROP SCHEMA twokey CASCADE")
	if got := server(t, p.a).Rights; len(got) != 8 {
		t.Errorf("missing rights: %q", got)
	}
}

func TestWaitingAndPreparedTransactionsAreCounted(t *testing.T) {
	t.Parallel()
	p := newBundle(t, map[string]string{"max_prepared_transactions": "2"})
	p.admin(t, 0, p.Database, "CREATE TABLE w (id int)", "BEGIN", "INSERT INTO w VALUES (1)", "PREPARE TRANSACTION 'p1'")
	session := locked(t, p.b)
	must(t, session.Freeze(t.Context()))
	writer := p.adminConn(t, 0, p.Database)
	wrote := make(chan error, 1)
	go func() {
		_, err := writer.Exec(t.Context(), "INSERT INTO w VALUES (2)")
		wrote <- err
	}()
	eventually(t, "the commit waits", func() bool { return server(t, p.a).SyncWaiters == 1 })
	if s := server(t, p.a); s.Prepared != 1 {
		t.Errorf("prepared transactions: %d", s.Prepared)
	}
	must(t, session.Thaw(t.Context()))
	must(t, <-wrote)
}

func locked(t testing.TB, n *postgres.Node) actions.Session {
	t.Helper()
	var s actions.Session
	eventually(t, "whoever had the lock before is gone", func() bool {
		var err error
		s, err = n.Lock(t.Context(), 77)
		if !errors.Is(err, actions.ErrLocked) {
			must(t, err)
		}
		return err == nil
	})
	t.Cleanup(s.Close)
	return s
}

// TestWhatWaitsToBeArchivedIsCounted: an archiver that fails leaves WAL files
// behind, and the primary's stop would wait for them.
func TestWhatWaitsToBeArchivedIsCounted(t *testing.T) {
	t.Parallel()
	p := newBundle(t, map[string]string{"archive_mode": "on", "archive_command": "exit 1", "max_prepared_transactions": "2"})
	p.admin(t, 0, p.Database, "CREATE TABLE w (id int)", "BEGIN", "INSERT INTO w VALUES (1)", "PREPARE TRANSACTION 'p1'", "SELECT pg_switch_wal()")
	eventually(t, "the file waits", func() bool { return server(t, p.a).Archiver.Waiting > 0 })
	s := server(t, p.a)
	if age := s.Now.Sub(s.Archiver.Oldest); age < 0 || age > time.Minute {
		t.Errorf("the oldest file waits for %s", age)
	}
	if age := s.Now.Sub(s.PreparedAt); s.Prepared != 1 || age < 0 || age > time.Minute {
		t.Errorf("%d transactions prepared, the oldest for %s", s.Prepared, age)
	}
	if b := server(t, p.b).Archiver; b.Waiting != 0 {
		t.Errorf("a standby archives nothing, but has %d files that wait", b.Waiting)
	}
	p.admin(t, 0, "twokey", "REVOKE EXECUTE ON FUNCTION pg_ls_archive_statusdir() FROM pg_monitor")
	if w := server(t, p.a).Archiver.Waiting; w != -1 {
		t.Errorf("nobody may count them, but they are given as %d", w)
	}
}

// TestLogicalSubscribersWaitForTheNewStandby: the setting exists from 17 on.
func TestLogicalSubscribersWaitForTheNewStandby(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	if server(t, p.b).VersionNum < 170000 {
		if err := p.b.SetSyncedSlots(timeout(t, 10*time.Second), ""); err == nil {
			t.Error("set before there was such a setting")
		}
		return
	}
	must(t, p.b.EnsureSlot(t.Context(), "twokey_dc1"))
	for _, slots := range []string{"twokey_dc1", ""} {
		must(t, p.b.SetSyncedSlots(timeout(t, 10*time.Second), slots))
		if is := server(t, p.b).Settings["synchronized_standby_slots"]; is != slots {
			t.Errorf("set to %q, seen as %q", slots, is)
		}
	}
}
