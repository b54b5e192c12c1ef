package local_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions/local"
	"twokey/actions/local/sandbox"
)

// deadline is generous: it only ends what hangs.
const deadline = 60 * time.Second

// bundle is a fresh pair with what tests do to it.
type bundle struct {
	t    *testing.T
	ctx  context.Context
	pair *sandbox.Pair
	a, b *sandbox.Node // the primary and the standby that it begins with
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	return newBundleWith(t, nil)
}

func newBundleWith(t *testing.T, settings map[string]string) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	pair, err := sandbox.New(ctx, sandbox.Options{Memory: true, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pair.Close(); err != nil {
			t.Errorf("close the pair: %v", err)
		}
	})
	b := &bundle{t: t, ctx: ctx, pair: pair, a: pair.Nodes[0], b: pair.Nodes[1]}
	b.exec(b.a, "CREATE TABLE w (id int PRIMARY KEY, filler text)")
	return b
}

func (b *bundle) exec(n *sandbox.Node, statements ...string) {
	b.t.Helper()
	c := b.connect(n)
	defer func() { _ = c.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := c.Exec(b.ctx, statement); err != nil {
			b.t.Fatalf("%s: %s: %v", n.Name, statement, err)
		}
	}
}

func (b *bundle) connect(n *sandbox.Node) *pgx.Conn {
	b.t.Helper()
	c, err := pgx.Connect(b.ctx, n.AdminURL("orders"))
	if err != nil {
		b.t.Fatalf("%s: %v", n.Name, err)
	}
	return c
}

func ask[T any](b *bundle, n *sandbox.Node, query string) T {
	b.t.Helper()
	c := b.connect(n)
	defer func() { _ = c.Close(context.Background()) }()
	var v T
	if err := c.QueryRow(b.ctx, query).Scan(&v); err != nil {
		b.t.Fatalf("%s: %s: %v", n.Name, query, err)
	}
	return v
}

// until polls a condition.
func (b *bundle) until(what string, ok func() bool) {
	b.t.Helper()
	for !ok() {
		if b.ctx.Err() != nil {
			b.t.Fatalf("still not so: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// promote makes the node a primary and has it checkpoint, as the executor does before a rejoin.
func (b *bundle) promote(n *sandbox.Node) {
	b.t.Helper()
	b.exec(n, "SELECT pg_promote(true, 30)", "CHECKPOINT")
}

// freeze stops the standby's receiver, so that the primary goes on alone.
func (b *bundle) freeze(n *sandbox.Node) {
	b.t.Helper()
	b.exec(n, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	b.until("the receiver is gone", func() bool {
		return ask[int](b, n, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'") == 0
	})
}

// synchronous tells whether the standby is one that commits on the primary wait for, by name.
func (b *bundle) synchronous(primary, standby *sandbox.Node) bool {
	return ask[int](b, primary, "SELECT count(*) FROM pg_stat_replication WHERE application_name = '"+standby.Name+
		"' AND state = 'streaming' AND sync_state = 'sync'") == 1
}

// sameRows compares what both nodes hold, once the standby has replayed all.
func (b *bundle) sameRows(primary, standby *sandbox.Node) {
	b.t.Helper()
	const sum = "SELECT coalesce(md5(string_agg(w::text, '' ORDER BY id)), '') FROM w"
	b.until("the standby has replayed everything", func() bool {
		return ask[bool](b, primary, "SELECT bool_and(replay_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication")
	})
	if p, s := ask[string](b, primary, sum), ask[string](b, standby, sum); p != s {
		b.t.Errorf("rows differ: %s on %s, %s on %s", p, primary.Name, s, standby.Name)
	}
}

func (b *bundle) running(s local.Server) bool {
	b.t.Helper()
	_, running, err := s.Running(b.ctx)
	b.must(err)
	return running
}
