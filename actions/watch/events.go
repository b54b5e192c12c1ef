package watch

import (
	"encoding/json"
	"time"

	"twokey/approvals"
)

// event makes one of the news: subject "pair/NAME" for an alert or a recovery,
// "bot" for the report.
func event(at time.Time, subject, kind string, data any) (approvals.Event, error) {
	raw, err := json.Marshal(data)
	return approvals.Event{At: at, Subject: subject, Kind: kind, Data: raw}, err
}
