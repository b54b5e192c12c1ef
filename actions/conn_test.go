package actions_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"twokey/actions"
)

// TestConnReadsAlikeInBothForms: another implementation of libpq's rules reads
// the same out of the URI and out of the keywords, for odd names, too.
func TestConnReadsAlikeInBothForms(t *testing.T) {
	ownEnvironment(t)
	for title, change := range map[string]func(*actions.Pair){
		"as configured":                   func(*actions.Pair) {},
		"without a user":                  func(p *actions.Pair) { p.User = "" },
		"without sslmode":                 func(p *actions.Pair) { p.SSLMode = "" },
		"host names":                      func(p *actions.Pair) { p.Nodes[0].Host, p.Nodes[1].Host = "db-1.example.org", "db-2.example.org" },
		"IPv6":                            func(p *actions.Pair) { p.Nodes[0].Host, p.Nodes[1].Host = "2001:db8::1", "::1" },
		"IPv6 with a zone":                func(p *actions.Pair) { p.Nodes[0].Host = "fe80::1%eth0" },
		"one IPv6, one name":              func(p *actions.Pair) { p.Nodes[0].Host, p.Nodes[1].Host = "2001:db8::1", "db-2" },
		"two ports":                       func(p *actions.Pair) { p.Nodes[1].Port = 6432 },
		"a database with a space":         func(p *actions.Pair) { p.Database = "my orders" },
		"a database with a tab":           func(p *actions.Pair) { p.Database = "my\torders" },
		"a database with a slash":         func(p *actions.Pair) { p.Database = "a/b?c#d%e&f=g+h" },
		"a database with quotes":          func(p *actions.Pair) { p.Database = `it's a \ "db"` },
		"a database in another script":    func(p *actions.Pair) { p.Database = "заказы" },
		"a user with an at and a colon":   func(p *actions.Pair) { p.User = "app@north:x/y" },
		"a user with a quote and a space": func(p *actions.Pair) { p.User = `o'neil \ co` },
		"a user with an equals sign":      func(p *actions.Pair) { p.User = "a=b" },
	} {
		t.Run(title, func(t *testing.T) {
			p := ordersPair()
			p.SSLMode = "prefer"
			change(&p)
			for _, first := range []string{"dc1", "dc2", ""} {
				wantConn(t, p, first)
			}
		})
	}
}

// ownEnvironment keeps what the machine has set for libpq out of the parsing.
func ownEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{"PGPASSWORD", "PGUSER", "PGHOST", "PGPORT", "PGDATABASE", "PGSERVICE", "PGSSLMODE", "PGTARGETSESSIONATTRS"} {
		t.Setenv(name, "")
	}
	t.Setenv("PGPASSFILE", t.TempDir()+"/none")
}

func wantConn(t *testing.T, p actions.Pair, first string) {
	t.Helper()
	c := p.Conn(first)
	nodes := []actions.Node{p.Nodes[0], p.Nodes[1]}
	if first == "dc2" {
		slices.Reverse(nodes)
	}
	for form, text := range map[string]string{"URI": c.URI, "keywords": c.Keywords} {
		got, err := pgconn.ParseConfig(text)
		if err != nil {
			t.Fatalf("the %s %q can't be read: %v", form, text, err)
		}
		if got.Database != p.Database || p.User != "" && got.User != p.User || got.Password != "" || got.ValidateConnect == nil {
			t.Errorf("%s %q reads as database %q, user %q, password %q, only read-write: %t", form, text, got.Database, got.User, got.Password, got.ValidateConnect != nil)
		}
		if hosts := hostsOf(got); !slices.Equal(hosts, []string{address(nodes[0]), address(nodes[1])}) {
			t.Errorf("%s %q reads as hosts %q", form, text, hosts)
		}
		if strings.Contains(text, "password") {
			t.Errorf("%s %q", form, text)
		}
	}
}

// hostsOf lists the servers in order; with sslmode prefer each stands twice.
func hostsOf(c *pgconn.Config) []string {
	hosts := []string{net.JoinHostPort(c.Host, fmt.Sprint(c.Port))}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(f.Host, fmt.Sprint(f.Port)))
	}
	return slices.Compact(hosts)
}

func address(n actions.Node) string { return net.JoinHostPort(n.Host, fmt.Sprint(n.Port)) }

// TestConnOfAnyName: there is no name of a database or a user that would break
// out of its place.
func TestConnOfAnyName(t *testing.T) {
	ownEnvironment(t)
	name := rapid.StringMatching(`[^\x00]{1,20}`)
	rapid.Check(t, func(rt *rapid.T) {
		p := ordersPair()
		p.SSLMode = "prefer"
		p.Database, p.User = name.Draw(rt, "database"), name.Draw(rt, "user")
		for form, text := range map[string]string{"URI": p.Conn("dc1").URI, "keywords": p.Conn("dc1").Keywords} {
			got, err := pgconn.ParseConfig(text)
			if err != nil {
				rt.Fatalf("the %s %q can't be read: %v", form, text, err)
			}
			if got.Database != p.Database || got.User != p.User || got.Password != "" || len(hostsOf(got)) != 2 {
				rt.Fatalf("the %s %q reads as database %q, user %q, password %q, hosts %v", form, text, got.Database, got.User, got.Password, hostsOf(got))
			}
		}
	})
}

func TestConnAsPeopleReadIt(t *testing.T) {
	t.Parallel()
	c := ordersPair().Conn("dc2")
	if want := "postgresql://app@10.2.0.5:5432,10.1.0.5:5432/orders?target_session_attrs=read-write&sslmode=require"; c.URI != want {
		t.Errorf("URI %s, want %s", c.URI, want)
	}
	if want := "host=10.2.0.5,10.1.0.5 port=5432,5432 dbname=orders user=app sslmode=require target_session_attrs=read-write"; c.Keywords != want {
		t.Errorf("keywords %s, want %s", c.Keywords, want)
	}
}
