package sandbox_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions/local"
	"twokey/actions/local/sandbox"
)

// newPair makes a pair for one test.
func newPair(t *testing.T, o sandbox.Options) *sandbox.Pair {
	t.Helper()
	o.Memory = true
	began := time.Now()
	p, err := sandbox.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %s", time.Since(began).Round(time.Millisecond))
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

func TestPairIsWhatTheDocumentationAsksFor(t *testing.T) {
	t.Parallel()
	p := newPair(t, sandbox.Options{Settings: map[string]string{"work_mem": "3MB"}})
	for i, n := range p.Nodes {
		partner := p.Nodes[1-i]
		for query, want := range map[string]string{
			"SELECT pg_is_in_recovery()::text": strconv.FormatBool(i == 1),
			"SHOW synchronous_standby_names":   partner.Name,
			"SHOW cluster_name":                n.Name,
			"SHOW listen_addresses":            "127.0.0.1",
			"SHOW unix_socket_directories":     "",
			"SHOW data_checksums":              "on",
			"SHOW wal_log_hints":               "on",
			"SHOW fsync":                       "on",
			"SHOW wal_retrieve_retry_interval": "100ms",
			"SHOW work_mem":                    "3MB",
			"SELECT string_agg(slot_name, ',') FROM pg_replication_slots":                             partner.Slot(),
			"SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'":       "0",
			"SELECT count(*)::text FROM pg_hba_file_rules WHERE address IS DISTINCT FROM '127.0.0.1'": "0",
			"SELECT count(*)::text FROM pg_file_settings WHERE error IS NOT NULL":                     "0",
		} {
			if got := ask[string](t, n.AdminURL("postgres"), query); got != want {
				t.Errorf("%s: %s: got %q, want %q", n.Name, query, got, want)
			}
		}
		if conninfo := ask[string](t, n.AdminURL("postgres"), "SHOW primary_conninfo"); strings.Contains(conninfo, "password") {
			t.Errorf("%s: a password stands in primary_conninfo", n.Name)
		}
		if files := ask[string](t, n.AdminURL("postgres"), "SHOW config_file"); strings.HasPrefix(files, n.Server.DataDir) {
			t.Errorf("%s: the configuration lies in the data folder", n.Name)
		}
	}
	if n := ask[int](t, p.Nodes[0].BotURL("orders"), "SELECT count(*) FROM users"); n == 0 {
		t.Error("there is no sample data")
	}
	if super := ask[bool](t, p.Nodes[0].BotURL("twokey"), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"); super {
		t.Error("the bot is a superuser")
	}
}

func TestApplicationWritesToThePrimaryAndTheStandbyHasIt(t *testing.T) {
	t.Parallel()
	p := newPair(t, sandbox.Options{Nodes: [2]string{"left", "right"}, Pair: "other", Database: "shop"})
	const insert = "INSERT INTO users (name) VALUES ('a customer') RETURNING current_setting('cluster_name')"
	if where := ask[string](t, p.AppURL(), insert); where != "left" {
		t.Errorf("written on %q", where)
	}
	c, err := pgx.Connect(t.Context(), p.Nodes[1].AdminURL("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := c.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE name = 'a customer'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the row is not on the standby")
		}
	}
	described := p.Actions()
	if described.Name != "other" || described.Nodes[1].Name != "right" || int(described.Nodes[1].Port) != p.Nodes[1].Port {
		t.Errorf("described as %+v", described)
	}
}

func TestTwoPairsAreStrangers(t *testing.T) {
	t.Parallel()
	first, second := newPair(t, sandbox.Options{}), newPair(t, sandbox.Options{})
	const id = "SELECT system_identifier::text FROM pg_control_system()"
	systems := map[string]bool{}
	for _, p := range []*sandbox.Pair{first, second} {
		a, b := ask[string](t, p.Nodes[0].AdminURL("postgres"), id), ask[string](t, p.Nodes[1].AdminURL("postgres"), id)
		if a != b {
			t.Errorf("one pair, two systems: %s and %s", a, b)
		}
		systems[a] = true
	}
	if len(systems) != 2 {
		t.Error("two pairs are one system")
	}
	if first.BotPassword.Reveal() == second.BotPassword.Reveal() {
		t.Error("two pairs share a password")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]func(context.Context, local.Server) error{
		"running": func(context.Context, local.Server) error { return nil },
		"frozen":  func(ctx context.Context, s local.Server) error { return s.Freeze(ctx) },
		"killed":  func(ctx context.Context, s local.Server) error { return s.Kill(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := sandbox.New(t.Context(), sandbox.Options{Memory: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(state(t.Context(), p.Nodes[0].Server), p.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(p.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder is still there: %v", err)
			}
			for _, n := range p.Nodes {
				l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(n.Port))
				if err != nil {
					t.Errorf("port %d is still taken: %v", n.Port, err)
					continue
				}
				_ = l.Close()
			}
		})
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]sandbox.Options{
		"a name that needs quoting":   {Nodes: [2]string{"dc-1", "dc2"}},
		"one name for both":           {Nodes: [2]string{"dc1", "dc1"}},
		"a folder that isn't there":   {Dir: "/nowhere/at/all"},
		"a setting that isn't one":    {Settings: map[string]string{"no_such_setting": "1"}},
		"an application database bot": {Database: "twokey"},
	} {
		if p, err := sandbox.New(t.Context(), o); err == nil {
			t.Errorf("%s: was accepted", name)
			_ = p.Close()
		}
	}
}

func TestBrokenOffPairLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "twokey-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		p, err := sandbox.New(ctx, sandbox.Options{Dir: dir})
		cancel()
		if err == nil { // it was quicker
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("broken off after %s it left %v", after, left)
		}
	}
}

// BenchmarkNew is what a test pays for a pair of its own.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		p, err := sandbox.New(b.Context(), sandbox.Options{Memory: true})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
