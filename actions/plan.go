package actions

import "time"

// Op labels one kind of effect. Every side effect of an execution carries its
// label and its node, in the journal and towards fault injection.
type Op string

// The operations, in the order in which they can occur.
const (
	OpLock       Op = "lock"       // take the pair's lock on both nodes
	OpRecheck    Op = "recheck"    // observe again and compare with the plan
	OpPrepare    Op = "prepare"    // slot for the old primary on the new one, names confirmed
	OpCheckpoint Op = "checkpoint" // make the shutdown checkpoint cheap
	OpStop       Op = "stop"       // fast stop of the old primary
	OpGate       Op = "gate"       // the new primary holds the shutdown checkpoint; the old one can't come back by itself
	OpFreeze     Op = "freeze"     // stop the standby's WAL receiver
	OpFence      Op = "fence"      // take the old primary's power, read it back
	OpSettle     Op = "settle"     // wait until everything received is replayed
	OpHold       Op = "hold"       // a named person must state something first
	OpFollow     Op = "follow"     // start the old primary as a standby, by cascade
	OpPromote    Op = "promote"    // no way back from here
	OpConfirm    Op = "confirm"    // new timeline, forked at or after the gate
	OpProbe      Op = "probe"      // a write that was committed
	OpAlone      Op = "alone"      // note with the new primary that it takes writes alone, so that it may start again so
	OpEndpoint   Op = "endpoint"   // point clients at the new primary
	OpSettleDisk Op = "checkpoint new primary"
	OpRejoin     Op = "rejoin"      // the old primary becomes a standby
	OpTogether   Op = "together"    // that note is gone: the old primary may be promoted again
	OpSync       Op = "synchronous" // streaming, and acknowledged commits wait for it
	OpLatch      Op = "latch"       // shown to be synchronous from here on
	OpTidy       Op = "tidy"        // drop the slot that nobody uses any more
	OpUndo       Op = "undo"        // take everything back
	OpDryRun     Op = "dry run"     // of a drill: look what would be done, and do none of it
)

// Step is one line of a plan.
type Step struct {
	Op   Op     `json:"op"`
	Node string `json:"node"`
	Text string `json:"text"`
}

// ClearanceKind is what a promotion may rest on.
type ClearanceKind string

// See Clearance.
const (
	ClearStopped  ClearanceKind = "stopped"  // the candidate holds the old primary's shutdown checkpoint, and that one can't come back by itself
	ClearOff      ClearanceKind = "off"      // the fence was read back several times
	ClearStandby  ClearanceKind = "standby"  // the old primary was read back in recovery, following
	ClearAccepted ClearanceKind = "accepted" // a named person's typed statement, on top of a freeze
)

// Plan is an immutable, ordered list of steps with the evidence that it rests
// on. What is approved is its Text.
type Plan struct {
	Kind       Kind            `json:"kind"`
	Pair       string          `json:"pair"`
	From       string          `json:"from"` // node: the old primary
	To         string          `json:"to"`   // node: the new one
	After      After           `json:"after"`
	Loss       Loss            `json:"loss"`
	Verdict    string          `json:"verdict"` // in words
	AsOf       time.Time       `json:"as_of"`
	Pause      string          `json:"pause"` // what writers will feel
	Steps      []Step          `json:"steps"`
	Clearances []ClearanceKind `json:"clearances"`
	Checks     []Check         `json:"checks"`
	Facts      Facts           `json:"facts"`

	Rehearses Kind   `json:"rehearses,omitempty"` // of a drill: what would be done in earnest
	Rehearsed []Step `json:"rehearsed,omitempty"` // and its steps, none of which is
}

// InEarnest is the kind of what the plan does, or would do if it were no drill.
func (p Plan) InEarnest() Kind {
	if p.Kind == KindDrill {
		return p.Rehearses
	}
	return p.Kind
}

// Fact is one relevant thing that the plan rests on.
type Fact struct {
	Name  string `json:"name"`  // e.g. "dc1 role"
	Value string `json:"value"` // e.g. "primary"
}

// Facts are what must still be so when the plan runs.
type Facts []Fact

// Difference is a fact that is no longer so.
type Difference struct {
	Name string `json:"name"`
	Was  string `json:"was"`
	Is   string `json:"is"`
}

// ConnString is how clients reach the pair; it never holds a password.
type ConnString struct {
	URI      string `json:"uri"`
	Keywords string `json:"keywords"` // libpq's key=value notation
}

// StepTime is how long a step took.
type StepTime struct {
	Op   Op            `json:"op"`
	Node string        `json:"node"`
	Took time.Duration `json:"took"`
}

// Outcome is the executor's report, kept with the request.
type Outcome struct {
	Kind        Kind          `json:"kind"`
	Pair        string        `json:"pair"`
	OldPrimary  string        `json:"old_primary"`
	NewPrimary  string        `json:"new_primary"`
	Serving     string        `json:"serving"` // the node that takes writes now, "" when unknown
	OldTimeline uint32        `json:"old_timeline"`
	NewTimeline uint32        `json:"new_timeline"`
	Gate        LSN           `json:"gate"`        // end of the WAL that the new primary held before promotion
	WritePause  time.Duration `json:"write_pause"` // from the stop order to the first committed write; 0 when not measured
	Clearance   ClearanceKind `json:"clearance,omitempty"`
	Proof       string        `json:"proof,omitempty"` // how the fence or the stop was confirmed
	AcceptedBy  string        `json:"accepted_by,omitempty"`
	Conn        ConnString    `json:"conn"`
	Synchronous time.Time     `json:"synchronous,omitzero"` // since when it is again; zero: it is not
	Rejoin      *RejoinReport `json:"rejoin,omitempty"`
	Steps       []StepTime    `json:"steps"`
	Todo        []string      `json:"todo,omitempty"`      // what is left for people
	Rehearsal   *Rehearsal    `json:"rehearsal,omitempty"` // of a drill
}
