package actions

import (
	"time"

	"twokey/approvals"
)

// Question is what somebody wants planned.
type Question struct {
	Pair      string
	Kind      Kind
	To        string // node; "" lets the evidence say
	Reason    string
	Requester approvals.Person
	Place     string
}

// Report is one look at a pair.
type Report struct {
	Evidence Evidence
	Verdict  Verdict
	Open     *approvals.Request // the pair's open request
	Conn     ConnString
}

// Comparison is the recipe verify-data: the same rows on both nodes.
type Comparison struct {
	Pair      string
	Primary   string
	Standby   string
	Tables    []TableCompare
	Identical bool
	CheckedAt time.Time
}

// TableCompare is one table on both nodes.
type TableCompare struct {
	Table       string
	PrimaryRows int64
	StandbyRows int64
	SumsEqual   bool
}
