package watch

import (
	"encoding/json"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// The kinds of event that watch appends, with subject "pair/NAME" for the first
// two and "bot" for the report.
const (
	KindAlert     = "alert"
	KindRecovered = "recovered"
	KindReport    = "report"
)

// Alert is the data of an alert or recovered event.
type Alert struct {
	Pair     string         `json:"pair"`
	Health   actions.Health `json:"health"`
	Was      actions.Health `json:"was"`
	Severity int            `json:"severity"`
	Text     string         `json:"text"`  // what it means, in one sentence
	Since    time.Time      `json:"since"` // of the incident: a recovery tells with it how long that took
}

// Row is one pair's line of the report.
type Row struct {
	Pair    string         `json:"pair"`
	Health  actions.Health `json:"health"`
	Since   time.Time      `json:"since"`
	Primary string         `json:"primary"`
	Standby string         `json:"standby"`
	Replay  *uint64        `json:"replay"` // bytes behind, nil when not known
	Text    string         `json:"text"`
}

// Report is the data of a report event.
type Report struct {
	Rows []Row `json:"rows"`
}

func event(at time.Time, subject, kind string, data any) (approvals.Event, error) {
	raw, err := json.Marshal(data)
	return approvals.Event{At: at, Subject: subject, Kind: kind, Data: raw}, err
}
