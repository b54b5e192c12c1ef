package main

import (
	"strings"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

// TestSubscriberGoesOnAfterASwitchover (17): a logical slot that is kept on the
// standby as well survives, and its reader gets what was written before and
// after, although it waits for the standby's slot: the one of the new standby.
func TestSubscriberGoesOnAfterASwitchover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) {
		d.sandbox.Settings = map[string]string{"wal_level": "logical", "hot_standby_feedback": "on"}
	})
	if w.pair.Nodes[0].Server.Programs.Major < 17 {
		t.Skip("PostgreSQL 17 is the first that keeps logical slots on a standby")
	}
	w.exec("dc1", "ALTER SYSTEM SET synchronized_standby_slots = 'twokey_dc2'", "SELECT pg_reload_conf()")
	w.exec("dc1", "SELECT pg_create_logical_replication_slot('reader', 'test_decoding', failover => true)")
	w.exec("dc1", "CREATE TABLE told (word text)")
	w.exec("dc1", "INSERT INTO told VALUES ('before')")
	w.command(oncall, "verify", "reader")
	w.keepsCopy("dc1", "dc2")
	w.exec("dc1", "INSERT INTO told VALUES ('unread')")
	w.health(actions.HealthOK)

	r, out := w.switches()
	if r.State != approvals.Succeeded || len(out.Todo) != 1 || !strings.Contains(out.Todo[0], "Drop slot reader on dc1") {
		t.Fatalf("ended %s, left to do %q: %s", r.State, out.Todo, r.Why)
	}
	w.exec("dc2", "INSERT INTO told VALUES ('after')")
	const read = "SELECT count(*)::text FROM pg_logical_slot_get_changes('reader', NULL, NULL) WHERE data LIKE '%told: INSERT%'"
	w.answers("dc2", read, "2")
	w.health(actions.HealthOK)
	w.exec("dc1", "SELECT pg_drop_replication_slot('reader')") // as it says
	w.keepsCopy("dc2", "dc1")
	w.noLoss()
}

// keepsCopy reads the slot's changes, so that it moves on, until the standby has
// a copy of it: one that nobody reads can't be copied.
func (w *world) keepsCopy(primary, standby string) {
	w.t.Helper()
	w.exec(standby, "ALTER SYSTEM SET sync_replication_slots = on", "SELECT pg_reload_conf()")
	from, to := w.admin(primary), w.admin(standby)
	is := w.until(func() (is string, ok bool) {
		for _, text := range []string{"SELECT pg_log_standby_snapshot()", "SELECT count(*) FROM pg_logical_slot_get_changes('reader', NULL, NULL)"} {
			_, err := from.Exec(w.ctx(), text)
			w.must(err)
		}
		const copies = "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'reader' AND synced AND NOT temporary"
		w.must(to.QueryRow(w.ctx(), copies).Scan(&is))
		return is, is == "1"
	})
	if is != "" {
		w.t.Fatalf("%s never had a copy of the slot", standby)
	}
}

// answers asks a node's application database for some seconds.
func (w *world) answers(node, query, want string) {
	w.t.Helper()
	c := w.admin(node)
	is := w.until(func() (is string, ok bool) {
		w.must(c.QueryRow(w.ctx(), query).Scan(&is))
		return is, is == want
	})
	if is != "" {
		w.t.Errorf("%s answers %q with %q, not %q", node, query, is, want)
	}
}
