package approvals

import "fmt"

// State is where a request stands. The zero value is not a state: it is what
// a request has before it was asked.
type State string

// The states. Those for which Ended is true never change again.
const (
	Pending   State = "pending"   // nobody has approved yet
	Partial   State = "partial"   // one of two has approved
	Approved  State = "approved"  // two have approved, nothing has run
	Executing State = "executing" // one attempt has claimed it
	Held      State = "held"      // the execution waits for a typed statement
	Succeeded State = "succeeded"
	Aborted   State = "aborted" // taken back: the old primary serves as before
	Failed    State = "failed"  // stopped half way, and we know where
	Unknown   State = "unknown" // stopped half way, and somebody must look
	Denied    State = "denied"
	Expired   State = "expired"
	Cancelled State = "cancelled"
	Stale     State = "stale" // the world or the policy is no longer what was approved
)

// Cause is what moves a request from one state to another.
type Cause string

// The causes, each with who may bring it about.
const (
	Ask     Cause = "ask"     // anybody whom the channel admits
	Approve Cause = "approve" // an approver
	Deny    Cause = "deny"    // an approver
	Cancel  Cause = "cancel"  // the requester
	Expire  Cause = "expire"  // time
	Outdate Cause = "outdate" // whoever finds that the plan no longer fits
	Claim   Cause = "claim"   // the executor, once
	Hold    Cause = "hold"    // the executor, when a fence can't be proven
	Accept  Cause = "accept"  // an approver, by a typed statement
	Refuse  Cause = "refuse"  // an approver, instead of the statement
	Lapse   Cause = "lapse"   // time, while held
	Succeed Cause = "succeed" // the executor
	Abort   Cause = "abort"   // the executor
	Fail    Cause = "fail"    // the executor
	Lose    Cause = "lose"    // the executor, when it can't tell what is true
)

// Transition is one allowed move.
type Transition struct {
	From  State
	Cause Cause
	To    State
	Why   string
}

// Transitions is the whole state machine; what is not listed is refused. The
// diagram in docs/architecture.md is generated from it.
func Transitions() []Transition {
	return []Transition{
		{"", Ask, Pending, "the plan is fixed and waits for two approvers"},
		{Pending, Approve, Partial, "the first key is turned"},
		{Pending, Deny, Denied, "one approver's no ends it"},
		{Pending, Cancel, Cancelled, "the requester takes it back"},
		{Pending, Expire, Expired, "nobody decided in time"},
		{Pending, Outdate, Stale, "what was shown is no longer true"},
		{Partial, Approve, Approved, "the second key is turned"},
		{Partial, Deny, Denied, "one approver's no outweighs the other's yes"},
		{Partial, Cancel, Cancelled, "the requester takes it back"},
		{Partial, Expire, Expired, "the second approver did not decide in time"},
		{Partial, Outdate, Stale, "the first vote was for something else"},
		{Approved, Claim, Executing, "exactly one attempt runs the plan"},
		{Approved, Deny, Denied, "nothing has run yet, so a no still counts"},
		{Approved, Cancel, Cancelled, "nothing has run yet, so it can be taken back"},
		{Approved, Expire, Expired, "two votes are good until the expiry, not for ever"},
		{Approved, Outdate, Stale, "the world was observed again and differs from the plan"},
		{Executing, Hold, Held, "a fence can't be proven, or loss can't be excluded: a person must say so"},
		{Executing, Succeed, Succeeded, "the new primary is verified"},
		{Executing, Abort, Aborted, "taken back before promotion: nothing changed"},
		{Executing, Fail, Failed, "stopped half way at a known place"},
		{Executing, Lose, Unknown, "stopped half way, and what is true must be looked at"},
		{Held, Accept, Executing, "a named approver typed the statement"},
		{Held, Refuse, Executing, "an approver refused: the executor takes back what it did"},
		{Held, Lapse, Executing, "nobody typed the statement in time: the executor takes back what it did"},
	}
}

// States lists every state in the order in which a request can reach them.
func States() []State {
	return []State{
		Pending, Partial, Approved, Executing, Held,
		Succeeded, Aborted, Failed, Unknown, Denied, Expired, Cancelled, Stale,
	}
}

// Next gives the state that cause leads to, or a *Refusal (CodeState) when the
// move is not in the table.
func Next(from State, cause Cause) (State, error) {
	for _, t := range Transitions() {
		if t.From == from && t.Cause == cause {
			return t.To, nil
		}
	}
	return from, wrongState(from, cause)
}

func wrongState(from State, cause Cause) error {
	if from == "" {
		return refuse(CodeState, "The request was not asked yet, so nobody can %s it.", verb(cause))
	}
	return refuse(CodeState, "The request is %s, so nobody can %s it.", from, verb(cause))
}

// Ended says whether a request in this state never changes again.
func (s State) Ended() bool {
	switch s {
	case Pending, Partial, Approved, Executing, Held:
		return false
	}
	return true
}

// Votable says whether votes, denials and cancellation can still decide.
func (s State) Votable() bool { return s == Pending || s == Partial || s == Approved }

// Running says whether an attempt has claimed the request and not finished.
func (s State) Running() bool { return s == Executing || s == Held }

// verb reads behind "nobody can" and before "it".
func verb(c Cause) string {
	switch c {
	case Ask, Approve, Deny, Cancel, Expire, Outdate, Claim, Hold, Accept, Refuse:
		return string(c)
	case Lapse:
		return "let the time run out for"
	case Succeed, Abort, Fail, Lose:
		return "finish (" + string(c) + ")"
	}
	return fmt.Sprintf("%q", string(c))
}
