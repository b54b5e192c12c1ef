package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"twokey/config"
)

// least is a file with nothing in it that may be left out.
const least = `
slack:
  team: T0123ABCD
  channel: C0123ABCD
  token: {env: TOKEN}
  signing_secret: {env: SECRET}
policy:
  approvers:
    - {name: dba-1, slack: U0123AAAA}
    - {name: dba-2, slack: U0123BBBB}
    - {name: manager, slack: U0123CCCC}
pairs:
  - name: orders
    database: orders
    nodes:
      - {name: dc1, host: 192.0.2.11, passfile: /etc/twokey/passfile}
      - {name: DC2, host: "[2001:db8::2]", passfile: /etc/twokey/passfile}
`

func TestParseFillsEveryDefault(t *testing.T) {
	t.Parallel()
	got := parsed(t, least)
	want := config.Default()
	want.Slack.Team, want.Slack.Channel = "T0123ABCD", "C0123ABCD"
	want.Slack.Transport = "http"
	want.Slack.Token, want.Slack.SigningSecret = config.Ref{Env: "TOKEN"}, config.Ref{Env: "SECRET"}
	want.Policy.Approvers = []config.Approver{
		{Name: "dba-1", Slack: "U0123AAAA"}, {Name: "dba-2", Slack: "U0123BBBB"}, {Name: "manager", Slack: "U0123CCCC"},
	}
	node := config.Node{
		Name: "dc1", Site: "dc1", Host: "192.0.2.11", Port: 5432, Slot: "twokey_dc1", Source: "192.0.2.11",
		User: "twokey_bot", Passfile: "/etc/twokey/passfile", SSLMode: "verify-full",
	}
	other := node
	other.Name, other.Site, other.Host = "DC2", "DC2", "[2001:db8::2]"
	other.Slot, other.Source = "twokey_dc2", "2001:db8::2"
	want.Pairs = []config.Pair{{
		Name: "orders", Database: "orders", Schemas: []string{"public"}, SSLMode: "verify-full", AfterSwitchover: "block", AfterFailover: "degrade",
		Nodes: []config.Node{node, other},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// A key that the file sets keeps its value also when that is the zero value of
// its type, and its neighbours keep their defaults.
func TestParseKeepsNeighboursOfSetKeys(t *testing.T) {
	t.Parallel()
	c := parsed(t, least+"timeouts: {stop: 1m30s}\nthresholds: {lag_bytes: 1 GiB}\n")
	if got := c.Timeouts.Stop.Std(); got != 90*time.Second {
		t.Errorf("stop is %s", got)
	}
	if c.Timeouts.Rejoin != config.Default().Timeouts.Rejoin || c.Thresholds.LagTime != config.Default().Thresholds.LagTime {
		t.Errorf("neighbours lost their defaults: %+v %+v", c.Timeouts, c.Thresholds)
	}
	if c.Thresholds.LagBytes != 1<<30 {
		t.Errorf("lag_bytes is %d", c.Thresholds.LagBytes)
	}
}

func TestParseRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text, says string
		line       int
	}{
		"nothing":                       {"", "the file is empty", 1},
		"only comments":                 {"# nothing\n# here\n", "the file is empty", 1},
		"an empty document":             {"---\n", "the file is empty", 1},
		"a list":                        {"\n- slack\n", "must have keys of its own, it is a list", 2},
		"a word":                        {"twokey", `must have keys of its own, it is "twokey"`, 1},
		"null":                          {"null", "has no value", 1},
		"a word where a list belongs":   {"\npairs: none\n", `pairs must be a list, it is "none"`, 2},
		"a word where keys belong":      {"\nslack: none\n", `slack must have keys of its own, it is "none"`, 2},
		"noise":                         {"\x00\xff\xfe\x01", "", 1},
		"deep brackets":                 {"a: " + strings.Repeat("[", 100_000), "nested deeper than", 1},
		"deep dashes":                   {strings.Repeat("- ", 100_000) + "x", "nested deeper than", 1},
		"deep question marks":           {strings.Repeat("? ", 100_000) + "x", "nested deeper than", 1},
		"deep indentation":              {strings.Repeat(" ", 10_000) + "x: 1", "nested deeper than", 1},
		"nine MiB":                      {strings.Repeat("# twokey\n", 1<<20), "larger than 8 MiB", 1},
		"a key that is a list":          {"[a]: 1\n", "", 1},
		"a key that is a number":        {"1: 1\n", "1 is no key that can stand here", 1},
		"an entry with a key of itself": {"? {slack: 1}\n: 2\n", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := refused(t, row.text)
			p := wrong.Problems[0]
			if !strings.Contains(p.String(), row.says) || p.Line != row.line {
				t.Errorf("line %d: %s\nwant line %d: %s", p.Line, p, row.line, row.says)
			}
		})
	}
}

func TestParseReportsAllThatIsWrongInTheFilesOrder(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("team: T0123ABCD", "team: acme", "slack: U0123BBBB", "slack: dba", "192.0.2.11", "a b").Replace(least)
	var keys []string
	for _, p := range refused(t, text).Problems {
		keys = append(keys, fmt.Sprintf("%d %s", p.Line, p.Key))
	}
	want := []string{
		"3 slack.team", "10 policy.approvers[1].slack", "16 pairs[0].nodes[0].source", "16 pairs[0].nodes[0].host",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestErrorShowsTheLineACaretAndAHint(t *testing.T) {
	t.Parallel()
	got := refused(t, strings.Replace(least, "slack: U0123BBBB", "slack: dba", 1)).Error()
	want := `twokey.yaml:10:28: policy.approvers[1].slack must be a member id (U… or W…), not a name or an e-mail address, it is "dba"
   10 |     - {name: dba-2, slack: dba}
      |                            ^
  hint: in Slack: the person's profile, the three dots, Copy member ID`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestErrorKeepsControlCharactersFromTheTerminal(t *testing.T) {
	t.Parallel()
	got := refused(t, "listen: \"\x1b[31mred\x07\"\nsurprise: \x1b]0;title\n").Error()
	if strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("printed as %q", got)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "pairs.yaml")
	if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, err := config.Load(folder); err == nil {
		t.Error("a folder was read as a file")
	}
	write(t, path, "listen: 1\n")
	if _, err := config.Load(path); err == nil || !strings.HasPrefix(err.Error(), "pairs.yaml:1:9: ") {
		t.Errorf("a wrong file: %v", err)
	}
	write(t, path, least)
	if _, err := config.Load(path); err != nil {
		t.Errorf("a good file: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A fleet's file has a thousand pairs.
func TestParseReadsAThousandPairs(t *testing.T) {
	t.Parallel()
	head, _, _ := strings.Cut(least, "pairs:")
	var b strings.Builder
	b.WriteString(head + "pairs:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - name: p%d\n    database: d\n    nodes:\n", i)
		for j := range 2 {
			fmt.Fprintf(&b, "      - name: dc%d\n        host: 10.%d.%d.%d\n        passfile: /etc/twokey/passfile\n", j, j, i/250, i%250+1)
		}
	}
	c := parsed(t, b.String())
	if len(c.Pairs) != 1000 || c.Pairs[999].Nodes[1].Host != "10.1.3.250" {
		t.Errorf("read %d pairs", len(c.Pairs))
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if again := parsed(t, string(text)); !cmp.Equal(c, again) {
		t.Error("written and read again, it is another configuration")
	}
}
