package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/approvals"
)

// TestWhatOnlyTheOldPrimaryHadIsTold: its standby was cut off, it committed on,
// and then it was lost. Approvers accept the doubt before anything is fenced;
// the result names every transaction that is gone, and where they are listed.
func TestWhatOnlyTheOldPrimaryHadIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	w.must(w.load.Until(w.ctx(), 50))
	w.exec("dc2", "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	w.health(actions.HealthBlocked)
	alone := w.commitAlone("dc1", 3)
	w.loses("dc1")

	ts := w.ask("failover orders -- dc1 is gone")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	held := w.request(in(approvals.Held))
	_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: "dba-1", Place: held.Place}, approvals.Accept, "orders")
	w.must(err)

	r, out := w.ended()
	if r.State != approvals.Succeeded || out.Rejoin == nil || out.Rejoin.Diverged == nil {
		t.Fatalf("ended %s, rejoin %+v: %s", r.State, out.Rejoin, r.Why)
	}
	d := *out.Rejoin.Diverged // the load's own commits, which nobody acknowledged, are among them
	for _, xid := range alone {
		if !slices.Contains(d.XIDs, xid) {
			t.Errorf("transaction %d was committed on dc1 alone, listed are %v", xid, d.XIDs)
		}
	}
	if d.Count < len(alone) || d.Count != len(d.XIDs) {
		t.Errorf("%d counted, %d named", d.Count, len(d.XIDs))
	}
	if info, err := os.Stat(d.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the list %s: %v", d.File, err)
	}
	w.shown("failover of orders: done", strconv.FormatUint(alone[0], 10), d.File, "dba-1 typed")
	w.health(actions.HealthOK)
	w.noLoss()
}

func (w *world) admin(node string) *pgx.Conn {
	w.t.Helper()
	c, err := pgx.Connect(w.ctx(), w.pair.Node(node).AdminURL(w.pair.Database))
	w.must(err)
	w.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (w *world) exec(node string, statements ...string) {
	w.t.Helper()
	c := w.admin(node)
	for _, s := range statements {
		_, err := c.Exec(w.ctx(), s)
		w.must(err)
	}
}

// commitAlone commits without waiting for a standby, and gives the transactions' ids.
func (w *world) commitAlone(node string, n int) []uint64 {
	w.t.Helper()
	c := w.admin(node)
	_, err := c.Exec(w.ctx(), "SET synchronous_commit = local")
	w.must(err)
	ids := make([]uint64, n)
	for i := range ids {
		w.must(pgx.BeginFunc(w.ctx(), c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(w.ctx(), fmt.Sprintf("CREATE TABLE alone_%d ()", i)); err != nil {
				return err
			}
			return tx.QueryRow(w.ctx(), "SELECT pg_current_xact_id()::text::bigint").Scan(&ids[i])
		}))
	}
	return ids
}
