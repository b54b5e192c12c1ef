package bot

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"twokey/actions"
)

// statusMessage shows each pair as one look found it. Where the guarantee is
// off, that is the first thing said.
func statusMessage(reports []actions.Report) message { return statusPage(reports).message() }

func statusPage(reports []actions.Report) *page {
	p := &page{}
	for i, r := range reports {
		if i > 0 {
			p.divider()
		}
		statusOf(p, r)
	}
	return p
}

func statusOf(p *page, r actions.Report) {
	e, v := r.Evidence, r.Verdict
	p.header("%s: %s", e.Pair.Name, firstWords(r, string(v.Health)))
	p.must(verdict(v.Loss, v.Headline, time.Time{}) + whyLine(v))
	pausedPart(p, r.Evidence.Memory.Paused)
	p.section(pre(statusTable(r), limitSection))
	p.section(failuresOf(e))
	if r.Open != nil {
		p.section(say("Open request: %s of %s, %s, asked by %s.", kindTitle(actions.Kind(r.Open.Subject.Kind)), r.Open.Subject.Pair,
			string(r.Open.State), person(r.Open.Requester)))
	}
	if r.Conn.URI != "" {
		p.section("Connect: " + code(r.Conn.URI))
	}
	p.context(say("Observed at %s.", when(e.At)))
}

// firstWords are a headline's: where the guarantee is off, that comes first.
func firstWords(r actions.Report, otherwise string) markup {
	if off := r.GuaranteeOff(); off != "" {
		return "🚨 " + say("%s", off)
	}
	return esc(otherwise)
}

func whyLine(v actions.Verdict) markup {
	switch {
	case v.Why == "" || strings.Contains(v.Headline, v.Why):
		return ""
	case v.Possible == actions.KindAuto:
		return say("\n%s", v.Why)
	}
	return say("\nPossible now: %s (%s).", string(v.Possible), v.Why)
}

func failuresOf(e actions.Evidence) markup {
	var m markup
	for _, o := range e.Nodes {
		if o.Failure != nil {
			m += say("%s is *%s*: %s\n", o.Node, string(o.Failure.Reach), o.Failure.Text)
		}
	}
	return markup(strings.TrimSuffix(string(m), "\n"))
}

const unknown = "?"

// statusTable has one column for each node: side by side they fit on a telephone,
// while a row for each is wider than Slack shows.
func statusTable(r actions.Report) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	rows := r.Rows()
	for i, title := range actions.RowTitles() {
		line := []string{title}
		for _, row := range rows {
			line = append(line, row.Cells()[i])
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}
