package approvals

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Asking is what a person wants to open a request for.
type Asking struct {
	ID        string // unique, sortable by time
	Nonce     string
	Subject   Subject
	Requester Person
	Reason    string
	Place     string
	At        time.Time
}

// Open makes a pending request from an asking under a policy. It refuses a
// policy that could never be satisfied for this requester, and (CodeInput)
// anything that would make the canonical text ambiguous.
func Open(a Asking, p Policy) (Request, []Event, error) {
	if err := p.Validate(); err != nil {
		return Request{}, nil, err
	}
	if err := p.enough(); err != nil {
		return Request{}, nil, err
	}
	if err := a.validate(); err != nil {
		return Request{}, nil, err
	}
	r := Request{
		ID: a.ID, State: Pending, Subject: a.Subject, Requester: a.Requester, Reason: oneLine(a.Reason),
		Approvers: slices.Compact(p.sorted()), Group: p.Group, Policy: p.Version(), AllowRequester: p.AllowRequester, Nonce: a.Nonce, Place: a.Place,
		CreatedAt: a.At.UTC().Truncate(time.Second), ExpiresAt: a.At.Add(p.Expiry).UTC().Truncate(time.Second),
	}
	if p.Factor.On() {
		r.Factor = p.Factor
	}
	ev := Event{At: a.At, Actor: a.Requester, Subject: RequestSubject(r.ID), Kind: string(Ask),
		Data: encode(MoveData{To: Pending, Why: r.Reason, Digest: r.Digest()})}
	return r, []Event{ev}, nil
}

// Ballot is one person's press on one request, as an adapter proved it.
type Ballot struct {
	Person Person
	At     time.Time
	Via    string
	Proof  string
	Digest string // what the person saw of the digest: a prefix of at least 12 characters
	Place  string // where it was pressed
	Why    string // of a denial or cancellation
	Code   string // one-time code, where one was asked for

	factor string // that was checked with it; only ApproveWith and AnswerWith say so
}

// Approve counts b as a yes. A *Refusal may come with a changed request and
// events: one that is found expired or under another policy moves to expired
// or stale, and that must be committed although the vote is refused.
func (r Request) Approve(b Ballot, p Policy) (Request, []Event, error) {
	if out, ev, err := r.admit(Approve, b, p); err != nil {
		return out, ev, err
	}
	if _, dup := r.VoteOf(b.Person); dup {
		return r, nil, refuse(CodeVotedBefore, "You have approved this request already; somebody else must give the other approval.")
	}
	to, err := Next(r.State, Approve)
	if err != nil {
		return r, nil, err
	}
	if err := needsFactor(b, p); err != nil {
		return r, nil, err
	}
	digest := r.Digest()
	r.State = to
	r.Votes = append(slices.Clone(r.Votes), Vote{Person: b.Person, At: b.At, Via: b.Via, Proof: b.Proof, Digest: digest, Factor: b.factor})
	ev := r.event(b.At, b.Person, string(Approve), VoteData{Digest: digest, Via: b.Via, Proof: b.Proof, Factor: b.factor})
	return r, []Event{ev}, nil
}

// needsFactor refuses a yes without the code that the policy requires.
func needsFactor(b Ballot, p Policy) error {
	if p.Factor == FactorRequired && b.factor == "" {
		return refuse(CodeFactorMissing, "An approval needs a one-time code besides, and this one came without.")
	}
	return nil
}

// Deny ends the request with b's no. The requester may not deny his own
// request (he cancels it), else the rules are those of Approve; a former yes
// of the same person is no obstacle.
func (r Request) Deny(b Ballot, p Policy) (Request, []Event, error) {
	if out, ev, err := r.admit(Deny, b, p); err != nil {
		return out, ev, err
	}
	return r.end(b.At, b.Person, Deny, b.Why)
}

// Cancel takes the request back; only its requester may.
func (r Request) Cancel(b Ballot) (Request, []Event, error) {
	if b.Person != r.Requester {
		return r, nil, refuse(CodeNotRequest, "Only %s, who asked, can cancel this request. Approvers can deny it.", r.Requester)
	}
	return r.end(b.At, b.Person, Cancel, b.Why)
}

// Expire moves a request to expired whose time is over; without events when
// it is not.
func (r Request) Expire(now time.Time) (Request, []Event, error) {
	if !r.State.Votable() || now.Before(r.ExpiresAt) {
		return r, nil, nil
	}
	return r.end(now, "", Expire, r.tooLate())
}

// tooLate is why a request expires, for people. One with all its approvals does
// so when it could not begin: then that, and not the approvers, is to be looked at.
func (r Request) tooLate() string {
	switch n := len(r.Votes); {
	case r.State == Approved:
		return "it was approved, and could not begin in time: its voters' accounts could not be looked up again, or no bot was running"
	case n == 0:
		return "nobody approved it in time"
	default:
		return fmt.Sprintf("only %d of %d approvals came in time", n, Required)
	}
}

// MayRemind says whether it is time to remind those who have not voted: once,
// and so long before the expiry.
func (r Request) MayRemind(now time.Time, before time.Duration) bool {
	waits := (r.State == Pending || r.State == Partial) && r.RemindedAt.IsZero() && before > 0
	return waits && !now.Before(r.ExpiresAt.Add(-before)) && now.Before(r.ExpiresAt)
}

// Remind notes that those who have not voted are reminded; without events when
// it isn't time.
func (r Request) Remind(now time.Time, before time.Duration) (Request, []Event, error) {
	if !r.MayRemind(now, before) {
		return r, nil, nil
	}
	r.RemindedAt = now
	return r, []Event{{At: now, Subject: RequestSubject(r.ID), Kind: Reminder, Data: encode(MoveData{From: r.State, To: r.State})}}, nil
}

// Waiting lists the approvers whose vote is still possible and not given.
func (r Request) Waiting() []Person {
	return slices.DeleteFunc(slices.Clone(r.Approvers), func(who Person) bool {
		_, voted := r.VoteOf(who)
		return voted || who == r.Requester && !r.AllowRequester
	})
}

// Outdate ends a request because the world or the policy changed; why names
// the differing fields.
func (r Request) Outdate(now time.Time, why string) (Request, []Event, error) {
	return r.end(now, "", Outdate, why)
}

// admit answers whether b may decide on r now.
func (r Request) admit(cause Cause, b Ballot, p Policy) (Request, []Event, error) {
	if !r.State.Votable() {
		return r, nil, wrongState(r.State, cause)
	}
	if !b.At.Before(r.ExpiresAt) {
		out, ev, err := r.Expire(b.At)
		if err != nil {
			return r, nil, err
		}
		return out, ev, refuse(CodeExpired, "This request expired at %s. Ask again.", stamp(r.ExpiresAt))
	}
	if r.Policy != p.Version() {
		out, ev, err := r.Outdate(b.At, "the approval policy or the list of approvers changed")
		if err != nil {
			return r, nil, err
		}
		return out, ev, refuse(CodePolicy, "The approval policy changed after this request was made, so its votes are void. Ask again.")
	}
	return r, nil, r.mayVote(b, p)
}

func (r Request) mayVote(b Ballot, p Policy) error {
	switch {
	case b.Place != r.Place:
		return refuse(CodePlace, "This request was made in another channel; decide there.")
	case len(b.Digest) < shortDigest || !strings.HasPrefix(string(r.Digest()), b.Digest):
		return refuse(CodeDigest, "The plan that you saw is not the plan of this request. Look at its newest message and decide again.")
	case !r.isApprover(b.Person, p):
		return r.notApprover(b.Person, p)
	case b.Person == r.Requester && !p.AllowRequester:
		return refuse(CodeOwnRequest, "You asked for this, so others must decide: %d of %s.", Required, join(without(r.Approvers, b.Person)))
	}
	return nil
}

// isApprover: of this request, and of the policy as it is now.
func (r Request) isApprover(who Person, p Policy) bool {
	return slices.Contains(r.Approvers, who) && p.mayApprove(who)
}

// StillApprover refuses (CodeNotApprover) a voter who is no approver any more.
func (r Request) StillApprover(who Person, p Policy) error {
	if r.isApprover(who, p) {
		return nil
	}
	return refuse(CodeNotApprover, "%s is not one of the approvers any more.", who)
}

func (r Request) notApprover(who Person, p Policy) error {
	switch {
	case p.mayApprove(who):
		return refuse(CodeNotApprover, "You came to the approvers after this request was made, so you can decide only on what is asked from now on.")
	case slices.Contains(r.Approvers, who):
		return refuse(CodeNotApprover, "You are not one of the approvers any more.")
	}
	return refuse(CodeNotApprover, "You are not one of the approvers (%s).", join(r.Approvers))
}

func (r Request) end(at time.Time, who Person, cause Cause, why string) (Request, []Event, error) {
	to, err := Next(r.State, cause)
	if err != nil {
		return r, nil, err
	}
	from := r.State
	r.State, r.EndedAt, r.EndedBy, r.Why = to, at, who, why
	return r, []Event{r.event(at, who, string(cause), MoveData{From: from, To: to, Why: why})}, nil
}

func (r Request) event(at time.Time, who Person, kind string, data any) Event {
	return Event{At: at, Actor: who, Subject: RequestSubject(r.ID), Kind: kind, Data: encode(data)}
}

func without(people []Person, who Person) []Person {
	return slices.DeleteFunc(slices.Clone(people), func(p Person) bool { return p == who })
}

// Claim gives the request to one attempt of the executor, which has a name.
func (r Request) Claim(now time.Time, attempt string) (Request, []Event, error) {
	if attempt == "" {
		return r, nil, refuse(CodeInput, "An attempt without a name can't claim a request.")
	}
	if !now.Before(r.ExpiresAt) && r.State == Approved {
		return r, nil, refuse(CodeExpired, "The request expired at %s before it could run.", stamp(r.ExpiresAt))
	}
	to, err := Next(r.State, Claim)
	if err != nil {
		return r, nil, err
	}
	from := r.State
	r.State, r.Attempt = to, attempt
	return r, []Event{r.event(now, "", string(Claim), MoveData{From: from, To: to, Why: attempt})}, nil
}

// Hold stops the execution until an approver types statement, or until the
// given time. A statement that anybody types by accident, an empty one or one
// with blanks around it, is refused.
func (r Request) Hold(now time.Time, question, statement string, until time.Time) (Request, []Event, error) {
	to, err := Next(r.State, Hold)
	if err != nil {
		return r, nil, err
	}
	if statement == "" || strings.TrimSpace(statement) != statement || !now.Before(until) {
		return r, nil, refuse(CodeInput, "A request can only be held for a statement that can be typed in time; %q until %s is none.", statement, stamp(until))
	}
	from := r.State
	r.State = to
	r.Pauses = append(slices.Clone(r.Pauses), Pause{Question: question, Statement: statement, Until: until})
	return r, []Event{r.event(now, "", string(Hold), MoveData{From: from, To: to, Why: question})}, nil
}

// Answer decides a held request: Accept with the statement typed word for
// word, Refuse, or (with an empty person, after its time) Lapse.
func (r Request) Answer(b Ballot, cause Cause, typed string, p Policy) (Request, []Event, error) {
	if cause != Accept && cause != Refuse && cause != Lapse {
		return r, nil, refuse(CodeInput, "A question can be accepted, refused or lapse; %q is no answer.", cause)
	}
	to, err := Next(r.State, cause)
	if err != nil {
		return r, nil, err
	}
	open := r.OpenPause()
	if err := r.mayAnswer(b, cause, typed, open, p); err != nil {
		return r, nil, err
	}
	open.Answer, open.By, open.At, open.Factor = cause, b.Person, b.At, b.factor
	from := r.State
	r.Pauses = slices.Clone(r.Pauses)
	r.Pauses[len(r.Pauses)-1] = open
	r.State = to
	return r, []Event{r.event(b.At, b.Person, string(cause), MoveData{From: from, To: to, Why: typed, Factor: b.factor})}, nil
}

func (r Request) mayAnswer(b Ballot, cause Cause, typed string, open Pause, p Policy) error {
	over := !b.At.Before(open.Until)
	if cause == Lapse {
		if !over {
			return refuse(CodeState, "The statement may still be typed until %s.", stamp(open.Until))
		}
		return nil
	}
	switch {
	case over:
		return refuse(CodeExpired, "The time for this statement ended at %s.", stamp(open.Until))
	case b.Place != r.Place:
		return refuse(CodePlace, "This request was made in another channel; decide there.")
	case !r.isApprover(b.Person, p):
		return r.notApprover(b.Person, p)
	case cause == Accept && b.Person == r.Requester && !r.AllowRequester:
		return refuse(CodeOwnRequest, "You asked for this, so another approver must state it.")
	case cause == Accept && strings.TrimSpace(typed) != open.Statement:
		return refuse(CodeStatement, "You typed %q; to go on, type exactly %q.", typed, open.Statement)
	case cause == Accept:
		return needsFactor(b, p)
	}
	return nil
}

// Finish ends the execution with one of Succeed, Abort, Fail, Lose and the
// executor's report.
func (r Request) Finish(now time.Time, cause Cause, why string, outcome json.RawMessage) (Request, []Event, error) {
	switch cause {
	case Succeed, Abort, Fail, Lose:
	default:
		return r, nil, refuse(CodeInput, "An execution can't end by %q.", cause)
	}
	out, ev, err := r.end(now, "", cause, why)
	if err != nil {
		return r, nil, err
	}
	out.Outcome = outcome
	return out, ev, nil
}
