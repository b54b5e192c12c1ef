package actions

import "time"

// Evidence is everything that a verdict may rest on: both observations, what
// is remembered, and what the platform says. It is complete: judging it reads
// nothing else.
type Evidence struct {
	Pair       Pair                `json:"pair"`
	At         time.Time           `json:"at"`
	Nodes      [2]Observation      `json:"nodes"` // in the pair's order
	Memory     Remembered          `json:"memory"`
	HasMemory  bool                `json:"has_memory"` // false without a store: the latch is unknown, not open
	Platform   map[string]Platform `json:"platform"`   // by node
	Endpoints  []EndpointSeen      `json:"endpoints,omitempty"`
	Thresholds Thresholds          `json:"thresholds"`
}

// Platform is what the platform's driver says of one node.
type Platform struct {
	CanStop   bool   `json:"can_stop"`   // the bot can stop, start and rejoin the server
	CanFence  bool   `json:"can_fence"`  // the bot can take its power and read that back
	FenceText string `json:"fence_text"` // how, and what counts as proof
	Power     Power  `json:"power"`
	Problem   string `json:"problem"` // why the power could not be read

	Inside *Inside `json:"inside,omitempty"` // nil: no driver can look from within the node
}

// Inside is what only the node itself can tell, or somebody on its machine
// with its login: the bot's own host can't stand in for it.
type Inside struct {
	At       time.Time `json:"at"`
	Login    string    `json:"login"`     // why it can't log in at its partner as its WAL receiver and pg_rewind would; "" when it can, or is a standby, which shows it by streaming
	DiskFree int64     `json:"disk_free"` // bytes where its data and WAL lie; -1 when not known
}

// Thresholds say from when a lag is worth a warning.
type Thresholds struct {
	LagBytes uint64        `json:"lag_bytes"` // of replay, on the standby
	LagTime  time.Duration `json:"lag_time"`  // only counts while bytes are behind
}

// DefaultThresholds are 16 MiB and 5 s.
func DefaultThresholds() Thresholds { return Thresholds{LagBytes: 16 << 20, LagTime: 5 * time.Second} }

// Observation of the named node.
func (e Evidence) Observation(node string) Observation {
	for _, o := range e.Nodes {
		if o.Node == node {
			return o
		}
	}
	return Observation{Node: node, Failure: &Failure{Reach: Garbled, Text: "no node of this pair"}}
}

// readBy is when the last of the two observations had ended.
func (e Evidence) readBy() time.Time {
	end := e.At
	for _, o := range e.Nodes {
		if t := o.At.Add(o.Took); t.After(end) {
			end = t
		}
	}
	return end
}

// Remembered is what outlives an observation of a pair.
type Remembered struct {
	LookedAt     time.Time `json:"looked_at,omitzero"` // of the newest look
	Latch        *Latch    `json:"latch,omitempty"`
	Voided       *Latch    `json:"voided,omitempty"`        // the last one that was voided: what it saw flushed must still be there
	Primary      string    `json:"primary,omitempty"`       // last seen primary
	PrimaryAt    time.Time `json:"primary_at,omitzero"`     // when it was last seen as primary
	Timeline     uint32    `json:"timeline,omitempty"`      // it had then
	SystemID     string    `json:"system_id,omitempty"`     // of the pair
	Gone         *Gone     `json:"gone,omitempty"`          // nil while the primary answers
	Unprotected  time.Time `json:"unprotected,omitzero"`    // since when the guarantee is off; zero when it is on
	RejoinWanted string    `json:"rejoin_wanted,omitempty"` // node that a failover left behind
	Health       Health    `json:"health,omitempty"`        // at the last sweep
	HealthSince  time.Time `json:"health_since,omitzero"`
	Incident     *Incident `json:"incident,omitempty"` // the last one, also when it is over
	Suspects     Suspects  `json:"suspects,omitempty"`
	Paused       *Paused   `json:"paused,omitempty"`    // nil: the pair is not paused
	Replaying    *Waymark  `json:"replaying,omitempty"` // what the standby had not replayed when it was last looked at
}

// Gone is what was seen since the primary last answered. A standby goes on
// "streaming" from one that has died until the closed connection or its
// wal_receiver_timeout tells it, so that alone proves nothing; what it heard
// afterwards does, and so does a stream that it lost without anybody freezing it.
type Gone struct {
	By       time.Time `json:"by"`                 // end of the first look that the primary did not answer
	HeardAt  time.Time `json:"heard_at,omitzero"`  // when the standby surely heard from it after that
	PartedAt time.Time `json:"parted_at,omitzero"` // when the standby, not frozen, was first seen without its stream
}

// Suspects are troubles, by code, that have not lasted long enough to be told, with
// the time since when they have been seen without a break.
type Suspects map[string]time.Time

// Latch is "synchronous since": from L on, whatever the primary acknowledged is
// on the standby. Any change of the fields above the line voids it.
type Latch struct {
	SystemID     string    `json:"system_id"`
	Timeline     uint32    `json:"timeline"`
	Primary      string    `json:"primary"`
	Standby      string    `json:"standby"`
	Names        string    `json:"names"` // synchronous_standby_names, as set
	PrimaryConf  time.Time `json:"primary_conf_loaded_at"`
	PrimaryStart time.Time `json:"primary_started_at"`
	StandbyConf  time.Time `json:"standby_conf_loaded_at"`
	StandbyStart time.Time `json:"standby_started_at"`

	L            LSN       `json:"l"`                // the primary's flush position after the confirming checkpoint
	Since        time.Time `json:"since"`            // when L had been flushed by the standby
	HighestFlush LSN       `json:"highest_flush"`    // highest position that both nodes said the standby has flushed
	ReadBy       time.Time `json:"read_by,omitzero"` // when the look that found HighestFlush had ended
	SeenAt       time.Time `json:"seen_at"`          // when the primary was last seen to keep to it
}

// Health is a pair's state at a glance, ordered by Severity.
type Health string

// What a pair can be like.
const (
	HealthOK           Health = "synchronous"
	HealthArming       Health = "arming"       // synchronous, not yet shown to have been so from L on
	HealthLagging      Health = "lagging"      // synchronous, replay is behind
	HealthHalfSeen     Health = "half seen"    // the primary says that all is well, the standby doesn't answer the bot
	HealthBlocked      Health = "writes block" // names are set, the standby is away
	HealthUnprotected  Health = "unprotected"  // the primary acknowledges alone, or can
	HealthPrimaryGone  Health = "primary gone" // no answer from it
	HealthNoPrimary    Health = "no primary"   // both in recovery
	HealthTwoPrimaries Health = "two primaries"
	HealthUnseen       Health = "unseen"   // neither answers
	HealthMismatch     Health = "mismatch" // not two nodes of one system
)

// Severity of a health: 0 all is well, 1 worth knowing, 2 act, 3 act now.
func (h Health) Severity() int {
	switch h {
	case HealthOK:
		return 0
	case HealthArming, HealthHalfSeen:
		return 1
	case HealthLagging, HealthMismatch:
		return 2
	}
	return 3
}
