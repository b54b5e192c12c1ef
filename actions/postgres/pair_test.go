package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"twokey/actions"
	"twokey/actions/local/sandbox"
	"twokey/actions/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is a fresh pair with a Node for each server: a is the primary, b the standby.
type bundle struct {
	*sandbox.Pair
	a, b *postgres.Node
}

func newBundle(t testing.TB, settings map[string]string, change ...func(*postgres.Options)) *bundle {
	t.Helper()
	p, err := sandbox.New(t.Context(), sandbox.Options{Memory: true, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bundle{Pair: p}
	b.a, b.b = b.node(t, 0, change...), b.node(t, 1, change...)
	return b
}

func (p *bundle) options(i int) postgres.Options {
	return postgres.Options{
		Node: p.Actions().Nodes[i], AppDatabase: p.Database, Password: p.BotPassword, SSLMode: "disable",
		Timeouts: actions.Timeouts{Observe: 10 * time.Second, Effect: 20 * time.Second},
	}
}

func (p *bundle) node(t testing.TB, i int, change ...func(*postgres.Options)) *postgres.Node {
	t.Helper()
	opt := p.options(i)
	for _, c := range change {
		c(&opt)
	}
	n, err := postgres.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// admin runs statements as superuser, one by one.
func (p *bundle) admin(t testing.TB, i int, database string, statements ...string) {
	t.Helper()
	c := p.adminConn(t, i, database)
	for _, s := range statements {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func (p *bundle) adminConn(t testing.TB, i int, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), p.Nodes[i].AdminURL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func ask[T any](t testing.TB, c *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	if err := c.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// server observes and fails the test where there is no answer.
func server(t testing.TB, n *postgres.Node) *actions.Server {
	t.Helper()
	o := n.Observe(t.Context())
	if o.Server == nil {
		t.Fatalf("no observation of %s: %v", o.Node, o.Failure)
	}
	return o.Server
}

// eventually polls until done, with a generous deadline.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func timeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// step is one of several tests that share a pair.
type step struct {
	what string
	do   func(*testing.T, *bundle)
}

// inTurn runs tests on one pair, one after the other. Each gets nodes of its
// own, finds the pair streaming, and may leave its standby frozen.
func inTurn(t *testing.T, p *bundle, steps []step) {
	t.Helper()
	for _, s := range steps {
		t.Run(s.what, func(t *testing.T) {
			own := &bundle{Pair: p.Pair, a: p.node(t, 0), b: p.node(t, 1)}
			session, err := own.b.Lock(t.Context(), 1)
			must(t, err)
			must(t, session.Thaw(timeout(t, 20*time.Second)))
			session.Close()
			eventually(t, "the pair streams", func() bool {
				a := server(t, own.a)
				return len(a.Standbys) == 1 && a.Standbys[0].State == "streaming"
			})
			s.do(t, own)
		})
	}
}
