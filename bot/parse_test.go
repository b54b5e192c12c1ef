package bot_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
)

func TestParse(t *testing.T) {
	t.Parallel()
	one, two := []actions.Pair{ordersPair()}, twoPairs()
	cases := []struct {
		name  string
		text  string
		pairs []actions.Pair
		want  bot.Intent
	}{
		{"nothing is help", "", one, bot.Intent{Verb: "help"}},
		{"white space is help", " \t ", one, bot.Intent{Verb: "help"}},
		{"the pair may be left out when there is one", "status", one, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
		{"status without a pair means all of them", "status", two, bot.Intent{Verb: "status", Pairs: []string{"orders", "billing"}}},
		{"case doesn't matter", "STATUS Orders", two, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
		{"failover lets the evidence decide", "failover orders", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}}},
		{"a node and a reason", "failover orders to dc2 -- disk is failing", two,
			bot.Intent{Verb: "failover", Pairs: []string{"orders"}, To: "dc2", Reason: "disk is failing"}},
		{"a node without a pair", "failover to DC2", one, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, To: "dc2"}},
		{"an em dash is two dashes", "failover orders — it's time", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, Reason: "it's time"}},
		{"an en dash as well", "failover orders – now", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, Reason: "now"}},
		{"a single dash as well", "failover orders - now", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, Reason: "now"}},
		{"the reason stays as it was typed", "failover -- “it’s — > # `x` done”", one,
			bot.Intent{Verb: "failover", Pairs: []string{"orders"}, Reason: "“it’s — > # `x` done”"}},
		{"typographic quotes around a name", "status “orders”", two, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
		{"backticks around a name", "status `orders`", two, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
		{"a dry run", "failover orders --dry-run", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, DryRun: true}},
		{"a dry run with a typographic dash", "failover orders —dry-run", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, DryRun: true}},
		{"a dry run after the reason", "failover orders -- just looking --dry-run", two,
			bot.Intent{Verb: "failover", Pairs: []string{"orders"}, Reason: "just looking", DryRun: true}},
		{"a dry run as the whole reason", "failover orders -- --dry-run", two, bot.Intent{Verb: "failover", Pairs: []string{"orders"}, DryRun: true}},
		{"options before the node", "switchover --dry-run to dc2", one,
			bot.Intent{Verb: "switchover", Kind: actions.KindSwitchover, Pairs: []string{"orders"}, To: "dc2", DryRun: true}},
		{"rejoin", "rejoin billing -- repaired", two, bot.Intent{Verb: "rejoin", Kind: actions.KindRejoin, Pairs: []string{"billing"}, Reason: "repaired"}},
		{"pause with its reason", "pause billing -- disk", two, bot.Intent{Verb: "pause", Pairs: []string{"billing"}, Reason: "disk"}},
		{"resume without one", "resume", one, bot.Intent{Verb: "resume", Pairs: []string{"orders"}}},
		{"resume with one", "resume orders -- done", two, bot.Intent{Verb: "resume", Pairs: []string{"orders"}, Reason: "done"}},
		{"drill", "drill orders -- monthly", two, bot.Intent{Verb: "drill", Kind: actions.KindDrill, Pairs: []string{"orders"}, Reason: "monthly"}},
		{"lag without anything is the last hour", "lag", one, bot.Intent{Verb: "lag", Pairs: []string{"orders"}, Back: time.Hour}},
		{"lag of a pair", "lag billing", two, bot.Intent{Verb: "lag", Pairs: []string{"billing"}, Back: time.Hour}},
		{"lag of a time alone", "lag 7D", one, bot.Intent{Verb: "lag", Pairs: []string{"orders"}, Back: 7 * 24 * time.Hour}},
		{"lag of both, the time first", "lag 24h billing", two, bot.Intent{Verb: "lag", Pairs: []string{"billing"}, Back: 24 * time.Hour}},
		{"lag of both", "lag billing 24h", two, bot.Intent{Verb: "lag", Pairs: []string{"billing"}, Back: 24 * time.Hour}},
		{"history of all", "history", two, bot.Intent{Verb: "history"}},
		{"history of a pair", "history Billing", two, bot.Intent{Verb: "history", Pairs: []string{"billing"}}},
		{"audit", "audit", two, bot.Intent{Verb: "audit"}},
		{"audit of an entry", "audit 42", two, bot.Intent{Verb: "audit", ID: "42"}},
		{"cancel by id", "cancel 01K0", two, bot.Intent{Verb: "cancel", ID: "01K0"}},
		{"cancel", "cancel", two, bot.Intent{Verb: "cancel"}},
		{"approvals", "approvals", two, bot.Intent{Verb: "approvals"}},
		{"insert-test with a dash that isn't one", "insert‑test orders", two, bot.Intent{Verb: "insert-test", Pairs: []string{"orders"}}},
		{"verify-data", "verify–data", one, bot.Intent{Verb: "verify-data", Pairs: []string{"orders"}}},
		{"spaces that don't break", "status\u00a0orders", two, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
		{"characters that can't be seen", "sta\u200btus orders", two, bot.Intent{Verb: "status", Pairs: []string{"orders"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := bot.Parse("/pg", c.text, c.pairs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

func TestParseRefusesWithASuggestionOrAnExample(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"a command that doesn't exist", "reboot", "`/pg help` lists them"},
		{"a misspelt command", "failver orders", "Did you mean `/pg failover`?"},
		{"another misspelt command", "verfy", "Did you mean `/pg verify`?"},
		{"a pair that doesn't exist", "status shipping", "There is: orders, billing"},
		{"a misspelt pair", "status ordrs", "Did you mean orders?"},
		{"a node instead of a pair", "failover dc2", `"dc2" is a node of orders, not a pair`},
		{"which pair", "failover", "Which pair? There is: orders, billing"},
		{"which pair, with a node", "failover to dc2", "Which pair?"},
		{"a node that doesn't exist", "failover orders to paris", "has no node \"paris\". Its nodes: dc1, dc2"},
		{"a misspelt node", "failover orders to dc", "Did you mean dc1?"},
		{"no node", "failover orders to", "needs a node"},
		{"a node twice", "failover orders to dc1 to dc2", "I don't understand \"to\""},
		{"a reason without dashes", "failover orders kernel upgrade", "A reason follows --"},
		{"an option that doesn't exist", "failover orders --force", "There is no option \"--force\""},
		{"a reason where there is none", "status orders -- why", "status takes no reason"},
		{"too much", "status orders billing", "\"billing\" is too much"},
		{"too much for cancel", "cancel a b", "\"b\" is too much"},
		{"a pause without a reason", "pause orders", "pause needs a reason, which follows --"},
		{"a pause with an empty reason", "pause orders -- \u200b", "pause needs a reason"},
		{"a pause with a reason without dashes", "pause orders disk", "A reason follows --"},
		{"a pause of which pair", "pause -- disk", "Which pair?"},
		{"a node for a drill", "drill orders to dc1", "I don't understand"},
		{"a time that is none", "lag orders 3h", "\"3h\" can't be looked back for; there is 1h, 24h and 7d"},
		{"a time without a pair", "lag 24h", "Which pair?"},
		{"a time before a pair that isn't there", "lag 24h nowhere", "There is no pair \"nowhere\""},
		{"too much for audit", "audit 1 2", "\"2\" is too much"},
		{"a node for a rejoin", "rejoin orders to dc1", "I don't understand"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in, err := bot.Parse("/pg", c.text, twoPairs())
			if approvals.Refused(err) != approvals.CodeInput {
				t.Fatalf("%q was read as %+v, error %v", c.text, in, err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "/pg ") {
				t.Errorf("%q lacks %q, or an example", err, c.want)
			}
		})
	}
}

// FuzzParse looks for texts that break the parser, or that make it answer with
// something that isn't configured.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "failover orders to dc2 -- why --dry-run", "status “orders”", "cancel —", "failover — – -- x", "\x00\xff", "to to to", "failover \u2029 to dc2"} {
		f.Add(s)
	}
	pairs := twoPairs()
	f.Fuzz(func(t *testing.T, text string) {
		in, err := bot.Parse("/pg", text, pairs)
		if err != nil {
			if approvals.Refused(err) != approvals.CodeInput {
				t.Fatalf("error %v is no refusal", err)
			}
			m := bot.RenderRefusal(&approvals.Refusal{Message: err.Error()}, "")
			if !utf8.ValidString(m.Text) {
				t.Fatalf("answer %q is no UTF-8", m.Text)
			}
			return
		}
		for _, p := range in.Pairs {
			if p != "orders" && p != "billing" {
				t.Fatalf("pair %q is not configured", p)
			}
		}
		if in.To != "" && in.To != "dc1" && in.To != "dc2" {
			t.Fatalf("node %q is not configured", in.To)
		}
		again, err := bot.Parse("/pg", text, pairs)
		if err != nil || !cmp.Equal(in, again) {
			t.Fatalf("read differently the second time: %+v, %+v, %v", in, again, err)
		}
	})
}
