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
func statusMessage(reports []actions.Report) message {
	p := &page{}
	for i, r := range reports {
		if i > 0 {
			p.divider()
		}
		statusOf(p, r)
	}
	return p.message()
}

func statusOf(p *page, r actions.Report) {
	e, v := r.Evidence, r.Verdict
	p.header("%s: %s", e.Pair.Name, string(v.Health))
	if off := guaranteeOff(e); off != "" {
		p.must(off)
	}
	p.must(verdict(v.Loss, v.Headline, time.Time{}) + whyLine(v))
	p.section(pre(statusTable(e, v), limitSection))
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

func whyLine(v actions.Verdict) markup {
	switch {
	case v.Why == "" || strings.Contains(v.Headline, v.Why):
		return ""
	case v.Possible == actions.KindAuto:
		return say("\n%s", v.Why)
	}
	return say("\nPossible now: %s (%s).", string(v.Possible), v.Why)
}

func guaranteeOff(e actions.Evidence) markup {
	if e.Memory.Unprotected.IsZero() {
		return ""
	}
	return say(":rotating_light: *The zero-loss guarantee is OFF* since %s (%s): the primary acknowledges writes alone.",
		when(e.Memory.Unprotected), apart(e.Memory.Unprotected, e.At))
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

// statusTable has one row for each node. What isn't known is "?", never 0.
func statusTable(e actions.Evidence, v actions.Verdict) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tHOST\tROLE\tSTATE\tSYNC\tTL\tLSN\tFLUSH-LAG\tREPLAY-LAG\tSLOT\tAGE")
	for _, n := range e.Pair.Nodes {
		fmt.Fprintln(w, strings.Join(statusRow(e, v, n), "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

func statusRow(e actions.Evidence, v actions.Verdict, n actions.Node) []string {
	o := e.Observation(n.Name)
	row := []string{n.Name, n.Addr()}
	switch {
	case o.Server == nil:
		reach := "no answer"
		if o.Failure != nil {
			reach = string(o.Failure.Reach)
		}
		row = append(row, unknown, reach, unknown, unknown, unknown, unknown, unknown, unknown)
	case o.Server.InRecovery:
		row = append(row, standbyCells(e, v, n, *o.Server)...)
	default:
		row = append(row, "primary", "running", "-", fmt.Sprint(o.Server.Timeline), lsnCell(o.Server.FlushLSN), "-", "-", "-")
	}
	return append(row, ageCell(o.At, e.At))
}

func standbyCells(e actions.Evidence, v actions.Verdict, n actions.Node, s actions.Server) []string {
	cells := []string{"standby", "no stream", "-", fmt.Sprint(s.Timeline), lsnCell(s.ReceiveLSN), unknown, unknown, unknown}
	if s.Receiver != nil {
		cells[1], cells[3] = s.Receiver.Status, fmt.Sprint(s.Receiver.Timeline)
	}
	primary := e.Observation(v.Primary).Server
	if primary == nil || primary.InRecovery {
		cells[2] = unknown
		return cells
	}
	cells[5] = lagCell(s.ReceiveLSN, primary.FlushLSN, nil)
	cells[6] = lagCell(s.ReplayLSN, primary.FlushLSN, nil)
	for _, row := range primary.Standbys {
		if strings.EqualFold(row.Name, n.Name) {
			cells[1], cells[2] = row.State, row.SyncState
			cells[5] = lagCell(row.Flush, primary.FlushLSN, row.FlushLag)
			cells[6] = lagCell(row.Replay, primary.FlushLSN, row.ReplayLag)
		}
	}
	cells[7] = slotCell(primary.Slots, n.Slot)
	return cells
}

func lsnCell(l actions.LSN) string {
	if l == 0 {
		return unknown
	}
	return l.String()
}

// lagCell is in bytes from the primary; a time is only worth showing beside
// bytes that are behind.
func lagCell(at, primary actions.LSN, lag *time.Duration) string {
	if at == 0 || primary == 0 {
		return unknown
	}
	behind := at.Behind(primary)
	cell := string(bytesOf(behind))
	if behind > 0 && lag != nil {
		cell += " " + string(took(*lag))
	}
	return cell
}

func slotCell(slots []actions.Slot, name string) string {
	for _, s := range slots {
		switch {
		case s.Name != name:
		case s.WALStatus == "unreserved" || s.WALStatus == "lost":
			return s.WALStatus
		case s.Active:
			return "active"
		default:
			return "inactive"
		}
	}
	return "none"
}

func ageCell(seen, now time.Time) string {
	if seen.IsZero() {
		return unknown
	}
	return fmt.Sprintf("%ds", int(max(0, now.Sub(seen)).Seconds()))
}
