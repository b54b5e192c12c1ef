package actions

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// Row is one node's line of a status table, in words that fit a terminal and a
// message alike. What isn't known is "?", what a node doesn't have is "-"; never 0.
type Row struct {
	Member    string `json:"member"`
	Host      string `json:"host"`
	Role      string `json:"role"`
	State     string `json:"state"`
	Sync      string `json:"sync"`
	Timeline  string `json:"tl"`
	LSN       string `json:"lsn"`
	FlushLag  string `json:"flush_lag"`
	ReplayLag string `json:"replay_lag"`
	Slot      string `json:"slot"`
	Age       string `json:"age"` // of the newest word about it
}

// RowTitles are the columns, in Cells' order.
func RowTitles() []string {
	return []string{"MEMBER", "HOST", "ROLE", "STATE", "SYNC", "TL", "LSN", "FLUSH-LAG", "REPLAY-LAG", "SLOT", "AGE"}
}

// Cells are the row's values in RowTitles' order.
func (r Row) Cells() []string {
	return []string{r.Member, r.Host, r.Role, r.State, r.Sync, r.Timeline, r.LSN, r.FlushLag, r.ReplayLag, r.Slot, r.Age}
}

// Rows describes both nodes.
func (rep Report) Rows() []Row {
	rows := make([]Row, 0, len(rep.Evidence.Pair.Nodes))
	for _, n := range rep.Evidence.Pair.Nodes {
		rows = append(rows, rep.row(n))
	}
	return rows
}

const notKnown = "?" // what a cell shows that should have a value

func (rep Report) row(n Node) Row {
	o := rep.Evidence.Observation(n.Name)
	row := Row{
		Member: n.Name, Host: n.Addr(), Role: notKnown, Sync: notKnown, Timeline: notKnown, LSN: notKnown,
		FlushLag: notKnown, ReplayLag: notKnown, Slot: notKnown, Age: age(rep.Evidence.At.Sub(o.At)),
	}
	switch {
	case o.Server == nil:
		row.State, row.Age = "no answer", notKnown
		if o.Failure != nil {
			row.State = string(o.Failure.Reach)
		}
	case o.Server.InRecovery:
		row.standby(o.Server)
	default:
		row.primary(o.Server)
		return row
	}
	rep.addReplication(n, o.Server, &row)
	return row
}

func (r *Row) primary(s *Server) {
	r.Role, r.State, r.Timeline, r.LSN = "primary", "running", strconv.Itoa(int(s.Timeline)), position(s.FlushLSN)
	r.Sync, r.FlushLag, r.ReplayLag, r.Slot = "-", "-", "-", "-"
}

func (r *Row) standby(s *Server) {
	r.Role, r.State, r.LSN = "standby", "no stream", position(s.ReceiveLSN)
	r.Timeline = strconv.Itoa(int(s.Timeline))
	if s.Receiver != nil {
		r.State, r.Timeline = s.Receiver.Status, strconv.Itoa(int(s.Receiver.Timeline))
	}
}

func position(l LSN) string {
	if l == 0 {
		return notKnown
	}
	return l.String()
}

// addReplication adds what the partner, as primary, says of this node; what the
// node says itself fills in where that one knows nothing.
func (rep Report) addReplication(n Node, own *Server, row *Row) {
	p := rep.Evidence.Observation(rep.Evidence.Pair.Partner(n.Name).Name).Server
	if p == nil || p.InRecovery {
		return
	}
	row.Sync, row.Slot = "-", slotCell(p.Slots, n.Slot)
	if own != nil {
		row.FlushLag, row.ReplayLag = lag(p, own.ReceiveLSN, nil), lag(p, own.ReplayLSN, nil)
	}
	for _, w := range claimants(p, n.Name) {
		row.Sync = w.SyncState
		if own != nil {
			row.State = w.State
		}
		row.FlushLag, row.ReplayLag = lag(p, w.Flush, w.FlushLag), lag(p, w.Replay, w.ReplayLag)
	}
}

func slotCell(slots []Slot, name string) string {
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

// lag is bytes behind the primary. A time says nothing on an idle pair, so it
// stands only beside bytes.
func lag(p *Server, at LSN, took *time.Duration) string {
	if at == 0 || p.FlushLSN == 0 {
		return notKnown
	}
	behind := at.Behind(p.FlushLSN)
	cell := humanize.IBytes(behind)
	if behind > 0 && took != nil {
		cell += fmt.Sprintf(" %d ms", took.Milliseconds())
	}
	return cell
}
