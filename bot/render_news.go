package bot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// news is the data of an event that is posted once, of whichever kind.
type news struct {
	actions.Alert
	actions.HealthReport
	actions.PolicyChange
}

const limitPolicy = 1200 // of either description of a policy

// posted says whether an event is a message of its own.
func posted(kind string) bool {
	switch kind {
	case actions.NewsAlert, actions.NewsRecovered, actions.NewsReport, actions.NewsPolicy, actions.NewsApprovers,
		actions.NewsEnrolled, actions.NewsRemoved, approvals.EventCodeLocked, actions.NewsPaused, actions.NewsResumed:
		return true
	}
	return false
}

func newsMessage(e approvals.Event, people People) message {
	if m, ok := factorMessage(e, people); ok {
		return m
	}
	if e.Kind == actions.NewsPaused || e.Kind == actions.NewsResumed {
		return pauseMessage(e)
	}
	var n news
	p := &page{}
	if err := json.Unmarshal(e.Data, &n); err != nil {
		return rawNews(e)
	}
	switch e.Kind {
	case actions.NewsAlert:
		n.alert(p)
	case actions.NewsRecovered:
		n.recovered(p, e.At)
	case actions.NewsPolicy:
		n.changed(p, "The approval policy changed")
		p.section("Requests that were made before are void; ask again.")
	case actions.NewsApprovers:
		n.changed(p, "The approvers changed")
		p.section("Who is new decides on what is asked from now on; who is gone decides on nothing any more.")
	default:
		n.report(p)
	}
	p.context(when(e.At) + " · " + newsHead(e).markup())
	return p.message()
}

// newsHead leaves the hash out of what comes often.
func newsHead(e approvals.Event) auditHead {
	h := headOf(e)
	if e.Kind == actions.NewsAlert || e.Kind == actions.NewsRecovered {
		h.hash = ""
	}
	return h
}

// rawNews shows data that can't be read as it stands.
func rawNews(e approvals.Event) message {
	p := &page{}
	p.header("News of kind %s", e.Kind)
	p.must(pre(string(e.Data), limitSection))
	return p.message()
}

// changed says what was, and what is.
func (n news) changed(p *page, title string) {
	p.header("%s", title)
	p.must(named(say("*Was:* %s\n*Is:* %s", escUpTo(orElse(n.Old, "nothing"), limitPolicy), escUpTo(orElse(n.New, "nothing"), limitPolicy))))
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
	switch n.Severity {
	case 0, 1:
		return "ℹ️"
	case 2:
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
			m += say(" (last: %s)", string(n.Was))
		}
		m += "."
	}
	p.must(m)
}

// report says first how many are well, then explains the rest, then shows all.
func (n news) report(p *page) {
	var unwell, notes []markup
	for _, r := range n.Rows {
		if r.Health.Severity() > 0 {
			unwell = append(unwell, say("• *%s*: %s. %s", r.Pair, orElse(string(r.Health), "not known"), r.Text))
		}
		if r.Paused != nil {
			notes = append(notes, say("• *%s*: ", r.Pair)+pausedLine(*r.Paused))
		}
		if r.Incident != nil {
			notes = append(notes, incidentNote(r))
		}
	}
	p.header("Health report: %d of %d pairs are well", len(n.Rows)-len(unwell), len(n.Rows))
	p.lines("", unwell)
	p.section(pre(reportTable(n.Rows), limitSection))
	p.lines("*In the last day*", notes)
	p.context("24H is replay lag hour by hour up to MOST, · where it is not known.")
}

// incidentNote is an incident that lasts or has ended within the last day; also
// a mild one that nobody was told of in quiet hours.
func incidentNote(r actions.HealthRow) markup {
	i := *r.Incident
	var codes []string
	for _, t := range i.Troubles {
		if title := troubleTitle(t.Code); !slices.Contains(codes, title) {
			codes = append(codes, title)
		}
	}
	m := say("• *%s*: %s, since %s", r.Pair, strings.Join(codes, ", "), when(i.Since))
	if i.Over() {
		m = say("• *%s*: %s, from %s on, for %s", r.Pair, strings.Join(codes, ", "), when(i.Since), apart(i.Since, i.Ended))
	}
	if i.Told == actions.LevelNone {
		m += " (not told, in quiet hours)"
	}
	return m
}

func reportTable(rows []actions.HealthRow) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PAIR\tHEALTH\tPRIMARY\tSTANDBY\tREPLAY-LAG\t24H\tMOST\tSINCE")
	for _, r := range rows {
		lag, since := unknown, unknown
		if r.Replay != nil {
			lag = string(bytesOf(*r.Replay))
		}
		if !r.Since.IsZero() {
			since = r.Since.UTC().Format("2006-01-02 15:04 UTC")
		}
		cells := []string{r.Pair, string(r.Health), r.Primary, r.Standby, lag, sparkline(r.Lag), mostOf(r.Lag), since}
		for i := range cells {
			cells[i] = orElse(oneLine(cells[i]), unknown)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}
