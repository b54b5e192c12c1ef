package actions

import "time"

// Level says how much something matters to whoever depends on a pair.
type Level int

// The levels. Only a critical one calls people; a warning may wait for the
// morning.
const (
	LevelNone Level = iota
	LevelWarning
	LevelCritical
)

// The codes of troubles, the gravest first: two of one level are told in this
// order. Each is an anchor of docs/alerts.md.
const (
	TroubleTwoPrimaries  = "two-primaries"
	TroubleUnprotected   = "guarantee-off"
	TroubleNoPrimary     = "no-primary"
	TroublePrimaryGone   = "primary-gone"
	TroubleUnseen        = "unseen"
	TroubleBlocked       = "writes-block"
	TroubleSlotLost      = "slot-lost"
	TroubleMismatch      = "mismatch"
	TroubleLagging       = "standby-lagging"
	TroubleSlotGrowing   = "slot-growing"
	TroubleStandbyUnseen = "standby-unseen"
)

// TroubleCodes are all of them, the gravest first.
func TroubleCodes() []string {
	return []string{
		TroubleTwoPrimaries, TroubleUnprotected, TroubleNoPrimary, TroublePrimaryGone, TroubleUnseen, TroubleBlocked,
		TroubleSlotLost, TroubleMismatch, TroubleLagging, TroubleSlotGrowing, TroubleStandbyUnseen,
	}
}

// Trouble is one thing that is wrong with a pair.
type Trouble struct {
	Code  string    `json:"code"`
	Level Level     `json:"level"` // as it is now, or was at its end
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero while it lasts
	Text  string    `json:"text"`           // what it means, in one sentence
}

// Incident is what people are told as one thing: from the first trouble until
// none has been left for long enough.
type Incident struct {
	ID       string    `json:"id"` // unique; the key of its message
	Since    time.Time `json:"since"`
	Ended    time.Time `json:"ended,omitzero"` // zero while it lasts
	Worst    Level     `json:"worst"`
	Troubles []Trouble `json:"troubles"`        // in the order in which they came
	Calm     time.Time `json:"calm,omitzero"`   // since when no trouble is left; zero while one is
	Returns  int       `json:"returns"`         // how often it came back after it had seemed over
	Told     Level     `json:"told,omitempty"`  // up to which level people have been told; none in quiet hours
	Group    string    `json:"group,omitempty"` // key of the message that tells of several incidents together; "" for one of its own
}

// Lasting lists the troubles that are not over, the gravest first.
func (i Incident) Lasting() []Trouble {
	var out []Trouble
	for _, l := range []Level{LevelCritical, LevelWarning} {
		for _, code := range TroubleCodes() {
			for _, t := range i.Troubles {
				if t.Code == code && t.Level == l && t.Until.IsZero() {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// Level is that of the gravest trouble that lasts.
func (i Incident) Level() Level {
	if lasting := i.Lasting(); len(lasting) > 0 {
		return lasting[0].Level
	}
	return LevelNone
}

// Over says whether the incident has ended.
func (i Incident) Over() bool { return !i.Ended.IsZero() }
