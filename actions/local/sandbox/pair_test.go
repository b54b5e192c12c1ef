package sandbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions/local/sandbox"
)

func newPair(t *testing.T, o sandbox.Options) *sandbox.Pair {
	t.Helper()
	began := time.Now()
	p, err := sandbox.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %s", time.Since(began))
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func ask[T any](t *testing.T, url, query string) T {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	var v T
	if err := c.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestPairIsSynchronousFromTheStart(t *testing.T) {
	t.Parallel()
	p := newPair(t, sandbox.Options{Memory: true})
	if _, err := p, error(nil); err != nil {
		t.Fatal(err)
	}
	if !ask[bool](t, p.Nodes[1].AdminURL("postgres"), "SELECT pg_is_in_recovery()") {
		t.Error("dc2 is no standby")
	}
}
