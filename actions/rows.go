package actions

import (
	"fmt"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Row is one node's line of a status table, in words that fit a terminal and a
// message alike. What isn't known is "-" or "unknown", never 0.
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

func (rep Report) row(n Node) Row {
	o := rep.Evidence.Observation(n.Name)
	row := Row{Member: n.Name, Host: n.Addr(), Role: "unknown", State: "-", Sync: "-", Timeline: "-", LSN: "-", FlushLag: "-", ReplayLag: "-", Slot: "-"}
	row.Age = age(rep.Evidence.At.Sub(o.At))
	if o.Server == nil {
		row.State = string(o.Failure.Reach)
		row.Age = "-"
	} else if o.Server.InRecovery {
		row.standby(o.Server)
	} else {
		row.primary(o.Server)
	}
	rep.addReplication(n, &row)
	return row
}

func (r *Row) primary(s *Server) {
	r.Role, r.State, r.Timeline, r.LSN = "primary", "running", strconv.Itoa(int(s.Timeline)), s.FlushLSN.String()
}

func (r *Row) standby(s *Server) {
	r.Role, r.State, r.LSN = "standby", "not streaming", s.ReceiveLSN.String()
	r.Timeline = strconv.Itoa(int(s.Timeline))
	if s.Receiver != nil {
		r.State, r.Timeline = s.Receiver.Status, strconv.Itoa(int(s.Receiver.Timeline))
	}
}

// addReplication adds what the partner, as primary, says of this node.
func (rep Report) addReplication(n Node, row *Row) {
	p := rep.Evidence.Observation(rep.Evidence.Pair.Partner(n.Name).Name).Server
	if p == nil || p.InRecovery {
		return
	}
	for _, w := range p.Standbys {
		if w.Name == n.Name {
			row.Sync = w.SyncState
			row.FlushLag, row.ReplayLag = lag(p, w.Flush), lag(p, w.Replay)
		}
	}
	for _, s := range p.Slots {
		if s.Name == n.Slot {
			row.Slot = fmt.Sprintf("%s (%s)", s.Name, s.WALStatus)
		}
	}
}

// lag is bytes behind the primary; times say nothing on an idle pair.
func lag(p *Server, at LSN) string {
	if at == 0 {
		return "unknown"
	}
	return humanize.IBytes(at.Behind(p.FlushLSN))
}
