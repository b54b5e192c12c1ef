package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestPauseOutlivesTheBot: a paused pair stays paused through a bot that is
// killed, whoever looks reads it, and nothing runs until an approver resumes it.
func TestPauseOutlivesTheBot(t *testing.T) {
	t.Parallel()
	w, restart := newServed(t)
	w.command(oncall, "verify", "proven")
	w.command(guest, "pause -- I say so", "Only an approver may do that")
	ts := w.ask("failover orders -- will be void")
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	w.command(dba1, "pause orders -- disk of dc2 is being replaced", "orders is paused")
	w.message(ts, "stale, nothing was done")
	restart()
	w.command(oncall, "failover orders -- now", "is paused: disk of dc2 is being replaced")
	w.command(oncall, "status", "Paused by dba-1")
	code, out, errOut := runMain(t, "status", "-c", filepath.Join(w.pair.Dir, "twokey.yaml"))
	if code != 0 || !strings.Contains(out, "PAUSED by dba-1 since") || !strings.Contains(out, ": disk of dc2 is being replaced") {
		t.Errorf("bot status exits with %d and prints\n%s%s", code, out, errOut)
	}
	w.command(dba2, "resume -- disk is replaced", "orders is resumed")
	w.ask("failover orders -- now it may")
	w.noLoss()
}

// TestDrillOnARealPair: two people approve it, and the servers are as before:
// one run, one timeline, no session of the load was ended.
func TestDrillOnARealPair(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.command(oncall, "verify", "proven")
	w.must(w.load.Until(w.ctx(), 50))
	before := w.marks()
	ts := w.ask("drill orders -- monthly rehearsal")
	w.message(ts, "🧪 DRILL, nothing is changed: switchover of orders: 0 of 2 approvals")
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	w.press(dba2, ts, "approve")
	w.message(ts, "The drill is done. Nothing was changed. dc1 (127.0.0.1:")
	w.shown("DRILL, nothing is changed", "ready to begin after", "stop dc1 cleanly")
	if after := w.marks(); after != before {
		t.Errorf("the servers were\n%s\nand are\n%s", before, after)
	}
	if tally := w.load.Tally(); tally.Unknown > 0 {
		t.Errorf("the load lost %d answers in a drill", tally.Unknown)
	}
	w.noLoss()
}

// marks are what any step of a real one would change.
func (w *world) marks() string {
	w.t.Helper()
	var all []string
	for _, n := range w.pair.Nodes {
		conn, err := pgx.Connect(w.ctx(), n.AdminURL("postgres"))
		w.must(err)
		var mark string
		err = conn.QueryRow(w.ctx(), `SELECT concat_ws(' ', pg_is_in_recovery(), pg_postmaster_start_time(), pg_conf_load_time(),
			(SELECT timeline_id FROM pg_control_checkpoint()), current_setting('synchronous_standby_names'),
			(SELECT string_agg(slot_name || active, ',' ORDER BY slot_name) FROM pg_replication_slots),
			(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))`).Scan(&mark)
		_ = conn.Close(context.WithoutCancel(w.ctx()))
		w.must(err)
		all = append(all, n.Name+" "+mark)
	}
	return strings.Join(all, "\n")
}
