package actions

import (
	"encoding/json"
	"time"

	"twokey/approvals"
)

// The kinds of events that are news of their own, besides those of requests.
const (
	NewsAlert     = "alert"        // data: Alert
	NewsRecovered = "recovered"    // data: Alert
	NewsReport    = "report"       // data: HealthReport
	NewsPaused    = "paused"       // data: PauseChange
	NewsResumed   = "resumed"      // data: PauseChange
	NewsPolicy    = "policy"       // data: PolicyChange; requests of before are void
	NewsEnrolled  = "otp-enrolled" // data: FactorChange
	NewsRemoved   = "otp-removed"  // data: FactorChange
	NewsApprovers = "approvers"    // data: PolicyChange; of a group's members, requests of before stand
)

// Alert is what an alert or a recovery tells: a change of an incident.
type Alert struct {
	Pair     string    `json:"pair"`
	Health   Health    `json:"health"`
	Was      Health    `json:"was"`
	Severity int       `json:"severity"` // see Health.Severity
	Text     string    `json:"text"`     // what it means, in one sentence
	Since    time.Time `json:"since"`    // of the incident: a recovery tells with it how long that took

	Incident Incident `json:"incident,omitzero"` // as it is after the change
	Opened   bool     `json:"opened,omitempty"`  // people hear of it for the first time
	Loud     bool     `json:"loud,omitempty"`    // worth a message; else its incident's message is brought up to date
	Call     bool     `json:"call,omitempty"`    // people are to be called
	Quiet    bool     `json:"quiet,omitempty"`   // nobody is told: it is mild, and they are asleep
	Paused   *Paused  `json:"paused,omitempty"`  // who paused the pair, and why
}

// HealthReport is the scheduled report on all pairs.
type HealthReport struct {
	Rows []HealthRow `json:"rows"`
}

// HealthRow is one pair's line of the report.
type HealthRow struct {
	Pair    string    `json:"pair"`
	Health  Health    `json:"health"`
	Since   time.Time `json:"since"`
	Primary string    `json:"primary"`
	Standby string    `json:"standby"`
	Replay  *uint64   `json:"replay"` // bytes behind, nil when not known
	Text    string    `json:"text"`

	Lag      []*uint64 `json:"lag,omitempty"`      // replay, the highest of each hour of the last day, oldest first; nil where not known
	Incident *Incident `json:"incident,omitempty"` // one that lasts, or has ended within the last day
	Paused   *Paused   `json:"paused,omitempty"`
}

// FactorChange is a second factor that somebody got or lost, over the admin
// socket.
type FactorChange struct {
	Person   approvals.Person `json:"person"`
	By       string           `json:"by"` // the system's account that asked for it
	Replaced bool             `json:"replaced,omitempty"`
}

// PolicyChange is a changed list of approvers or policy, in words.
type PolicyChange struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// PauseChange is a pair that was paused, or resumed. Its event's actor is who
// ordered it.
type PauseChange struct {
	Pair   string `json:"pair"`
	Paused Paused `json:"paused"`          // of a resumed pair: how it had been paused
	Why    string `json:"why,omitempty"`   // of the resume
	Via    string `json:"via"`             // channel of the order's proof
	Proof  string `json:"proof,omitempty"` // what that can show for it later
}

// alertWords is an alert in a few words; "alert" when it can't be read.
func alertWords(e approvals.Event) string {
	var a Alert
	if json.Unmarshal(e.Data, &a) != nil {
		return "alert"
	}
	if t := a.Incident.Lasting(); len(t) > 0 {
		return t[0].Code
	}
	if a.Health == "" {
		return "alert"
	}
	return string(a.Health)
}
