package bot

import (
	"fmt"
	"strings"
	"time"

	"twokey/actions"
)

// lagMessage says in words what the chart shows. trouble says why there is none.
func lagMessage(h actions.LagHistory, trouble markup) message { return lagPage(h, trouble).message() }

func lagPage(h actions.LagHistory, trouble markup) *page {
	p := &page{}
	p.must(say("*Replication lag of %s, last %s*", h.Pair, windowWord(h.To.Sub(h.From))))
	if len(h.Samples) == 0 {
		p.must("Nothing is known of this time: nobody looked.")
		return p
	}
	p.must(lagHighest(h) + "\n" + lagNow(h))
	if gaps := h.Unknown(); len(gaps) > 0 {
		p.section(lagGaps(gaps))
	}
	p.lines("*What happened*", lagMarks(h.Marks))
	if trouble != "" {
		p.context(trouble)
	}
	return p
}

// highest is the greatest known value and when it was first seen.
func highest(h actions.LagHistory, value func(actions.Sample) *uint64) (most *uint64, at time.Time) {
	for _, s := range h.Samples {
		if v := value(s); v != nil && (most == nil || *v > *most) {
			most, at = v, s.At
		}
	}
	return most, at
}

func ofWrite(s actions.Sample) *uint64  { return s.Write }
func ofFlush(s actions.Sample) *uint64  { return s.Flush }
func ofReplay(s actions.Sample) *uint64 { return s.Replay }

// lateMost is the longest known time behind; nil where none is.
func lateMost(h actions.LagHistory) *time.Duration {
	var most *time.Duration
	for _, s := range h.Samples {
		if s.Behind != nil && (most == nil || *s.Behind > *most) {
			most = s.Behind
		}
	}
	return most
}

func lagHighest(h actions.LagHistory) markup {
	replay, at := highest(h, ofReplay)
	switch {
	case replay == nil:
		return "How far the standby was behind was not known at any look."
	case *replay == 0:
		return "At every look of which it is known, the standby had replayed everything."
	}
	m := say("Highest: replay *%s* behind at %s", bytesOf(*replay), when(at))
	for _, l := range []struct {
		name  string
		value func(actions.Sample) *uint64
	}{{"flush", ofFlush}, {"write", ofWrite}} {
		if v, _ := highest(h, l.value); v != nil {
			m += say(", %s %s", l.name, bytesOf(*v))
		}
	}
	if late := lateMost(h); late != nil {
		m += say("; late by *%s* at most", took(*late))
	}
	return m + "."
}

// lagNow is the newest look.
func lagNow(h actions.LagHistory) markup {
	last := h.Samples[len(h.Samples)-1]
	m := say("Last look, %s: ", when(last.At))
	switch {
	case last.Replay == nil:
		return m + say("not known (%s).", orElse(last.State, "no state"))
	case *last.Replay == 0:
		return m + "everything is replayed."
	case last.Behind != nil:
		return m + say("replay %s behind, late by %s.", bytesOf(*last.Replay), took(*last.Behind))
	}
	return m + say("replay %s behind.", bytesOf(*last.Replay))
}

func lagGaps(gaps []actions.Span) markup {
	var all time.Duration
	longest := gaps[0]
	for _, g := range gaps {
		all += g.To.Sub(g.From)
		if g.To.Sub(g.From) > longest.To.Sub(longest.From) {
			longest = g
		}
	}
	if len(gaps) == 1 {
		return say("Not known for %s of it, from %s on.", took(all), when(longest.From))
	}
	return say("Not known for %s of it; the longest time for %s, from %s on.", took(all), apart(longest.From, longest.To), when(longest.From))
}

const maxMarks = 12

func lagMarks(marks []actions.Mark) []markup {
	var lines []markup
	if more := len(marks) - maxMarks; more > 0 {
		lines, marks = append(lines, say("… %d earlier ones", more)), marks[more:]
	}
	for _, m := range marks {
		lines = append(lines, say("• %s: %s", when(m.At), markWords(m)))
	}
	return lines
}

func markWords(m actions.Mark) string {
	if m.Kind == actions.MarkAlert {
		return "alert, " + m.Text
	}
	return m.Text
}

// lagAlt is the chart for those who can't see it, in plain words and in UTC.
func lagAlt(h actions.LagHistory) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Line chart: replication lag of %s from %s to %s UTC.", h.Pair, clockUTC(h.From), clockUTC(h.To))
	if replay, at := highest(h, ofReplay); replay == nil {
		b.WriteString(" How far the standby was behind was never known.")
	} else {
		fmt.Fprintf(&b, " Replay was at most %s behind, at %s.", bytesOf(*replay), clockUTC(at))
	}
	if late := lateMost(h); late != nil {
		fmt.Fprintf(&b, " It was late by %s at most.", took(*late))
	}
	if last := h.Samples[len(h.Samples)-1]; last.Replay != nil {
		fmt.Fprintf(&b, " At the end it is %s behind.", bytesOf(*last.Replay))
	}
	for _, g := range h.Unknown() {
		fmt.Fprintf(&b, " Not known from %s to %s.", clockUTC(g.From), clockUTC(g.To))
	}
	for _, m := range h.Marks {
		fmt.Fprintf(&b, " %s: %s.", clockUTC(m.At), markWords(m))
	}
	return b.String()
}

func clockUTC(t time.Time) string { return t.UTC().Format("2 Jan 15:04") }
