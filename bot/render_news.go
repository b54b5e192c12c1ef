package bot

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// The kinds of events that are posted besides those of requests. Their data is
// JSON of a news.
const (
	newsAlert     = "alert"
	newsRecovered = "recovered"
	newsReport    = "report"
	newsPolicy    = "policy"
)

// news is the data of an event that is posted once.
type news struct {
	Pair     string            `json:"pair"`
	Health   actions.Health    `json:"health"`
	Was      actions.Health    `json:"was"`
	Severity json.RawMessage   `json:"severity"` // a number, or one in quotes
	Text     string            `json:"text"`
	Since    time.Time         `json:"since"`
	Old      string            `json:"old"` // of a policy
	New      string            `json:"new"`
	Rows     []json.RawMessage `json:"rows"` // of a report: objects or lists
}

// posted says whether an event is a message of its own.
func posted(kind string) bool {
	switch kind {
	case newsAlert, newsRecovered, newsReport, newsPolicy:
		return true
	}
	return false
}

func newsMessage(e approvals.Event) message {
	var n news
	p := &page{}
	if err := json.Unmarshal(e.Data, &n); err != nil {
		p.header("News of kind %s", e.Kind)
		p.must(pre(string(e.Data), limitSection))
		return p.message()
	}
	switch e.Kind {
	case newsAlert:
		n.alert(p)
	case newsRecovered:
		n.recovered(p, e.At)
	case newsPolicy:
		p.header("The approval policy changed")
		p.must(say("%s\n%s → %s", n.Text, orElse(n.Old, "nothing"), orElse(n.New, "nothing")))
	default:
		n.report(p)
	}
	p.context(say("%s · audit entry %d", when(e.At), e.Seq))
	return p.message()
}

func (n news) alert(p *page) {
	p.header("%s %s: %s", n.sign(), n.Pair, string(n.Health))
	p.must(say("%s", orElse(n.Text, "The state changed.")))
	m := say("Since %s.", when(n.Since))
	if n.Was != "" {
		m += say(" Before: %s.", string(n.Was))
	}
	p.section(m)
}

// sign is in letters of its own: a header knows no markup.
func (n news) sign() markup {
	switch strings.Trim(string(n.Severity), `"`) {
	case "0", "1":
		return "ℹ️"
	case "2":
		return "⚠️"
	}
	return "🚨"
}

func (n news) recovered(p *page, at time.Time) {
	p.header("✅ %s: %s again", n.Pair, string(n.Health))
	m := say("%s", orElse(n.Text, "All is well again."))
	if !n.Since.IsZero() {
		m += say(" It lasted %s, since %s", apart(n.Since, at), when(n.Since))
		if n.Was != "" {
			m += say(" (%s)", string(n.Was))
		}
		m += "."
	}
	p.must(m)
}

func (n news) report(p *page) {
	p.header("Daily health report")
	if n.Text != "" {
		p.must(say("%s", n.Text))
	}
	if len(n.Rows) > 0 {
		p.section(pre(reportTable(n.Rows), limitSection))
	}
}

// reportTable lays rows out in columns: lists as they are, objects by name.
func reportTable(rows []json.RawMessage) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	var columns []string
	for _, raw := range rows {
		var list []any
		if json.Unmarshal(raw, &list) == nil {
			fmt.Fprintln(w, cells(list))
			continue
		}
		var object map[string]any
		if json.Unmarshal(raw, &object) != nil {
			fmt.Fprintln(w, oneLine(string(raw)))
			continue
		}
		if columns == nil {
			columns = columnsOf(object)
			fmt.Fprintln(w, strings.ToUpper(strings.Join(columns, "\t")))
		}
		list = nil
		for _, c := range columns {
			list = append(list, object[c])
		}
		fmt.Fprintln(w, cells(list))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// columnsOf puts the pair first and the rest in order.
func columnsOf(object map[string]any) []string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if (names[i] == "pair") != (names[j] == "pair") {
			return names[i] == "pair"
		}
		return names[i] < names[j]
	})
	return names
}

func cells(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = unknown
		if v != nil {
			words[i] = oneLine(fmt.Sprint(v))
		}
	}
	return strings.Join(words, "\t")
}
