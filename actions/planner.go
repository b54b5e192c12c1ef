package actions

import (
	"fmt"

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

// MakePlan turns evidence and its verdict into the plan that answers q. It is
// pure. A question that the evidence doesn't allow is a *approvals.Refusal
// that says what stands in the way.
func MakePlan(q Question, e Evidence, v Verdict) (Plan, error) {
	kind, err := decideKind(q, e, v)
	if err != nil {
		return Plan{}, err
	}
	after := e.Pair.AfterSwitchover
	if kind == KindFailover {
		after = e.Pair.AfterFailover
	}
	p := Plan{
		Kind: kind, Pair: e.Pair.Name, From: v.Primary, To: v.Standby, After: after,
		Loss: v.Loss, Verdict: v.Headline, AsOf: v.AsOf, Checks: v.Checks,
		Facts: factsOf(e, v, kind, after),
	}
	switch kind {
	case KindSwitchover:
		p.planSwitchover(endpointTexts(e))
	case KindFailover:
		p.planFailover(e.Platform[p.From], endpointTexts(e))
	case KindRejoin:
		p.From, p.To = v.Standby, v.Primary
		p.planRejoin(endpointTexts(e))
	}
	if q.Kind == KindDrill {
		p.planDrill()
	}
	return p, nil
}

// decideKind lets the evidence decide between planned and disaster, and holds
// a question that insists against it.
func decideKind(q Question, e Evidence, v Verdict) (Kind, error) {
	if q.Kind == KindRejoin {
		return KindRejoin, mayRejoin(e, v)
	}
	if v.Possible == KindAuto {
		return "", refuse("%s: nothing can be planned now: %s", e.Pair.Name, v.Why)
	}
	if q.Kind != KindAuto && q.Kind != KindDrill && q.Kind != v.Possible {
		return "", refuse("%s: a %s is not what the evidence allows; it allows a %s. %s", e.Pair.Name, q.Kind, v.Possible, v.Headline)
	}
	if q.To != "" && q.To != v.Standby {
		return "", refuse("%s: %s can't become the primary: the standby is %s. Say `to %s`, or leave it out.", e.Pair.Name, q.To, v.Standby, v.Standby)
	}
	return v.Possible, nil
}

func mayRejoin(e Evidence, v Verdict) error {
	r := classify(e)
	switch {
	case r.primary == nil:
		return refuse("%s: a rejoin needs a primary that answers; %s", e.Pair.Name, v.Why)
	case !e.Platform[r.to.Name].CanStop:
		return refuse("%s: no driver can start %s, so the bot can't rejoin it. Rejoin it by hand.", e.Pair.Name, r.to.Name)
	case r.standby != nil && synchronousNow(r):
		return refuse("%s: %s is a synchronous standby already; there is nothing to rejoin.", e.Pair.Name, r.to.Name)
	}
	return nil
}

func refuse(format string, args ...any) error {
	return &approvals.Refusal{Code: approvals.CodeInput, Message: fmt.Sprintf(format, args...)}
}

func (p *Plan) add(op Op, node, format string, args ...any) {
	p.Steps = append(p.Steps, Step{Op: op, Node: node, Text: fmt.Sprintf(format, args...)})
}

func (p *Plan) planSwitchover(endpoints []string) {
	a, b := p.From, p.To
	p.Clearances = []ClearanceKind{ClearStopped, ClearStandby}
	p.Pause = "Sessions on " + a + " end. Writes pause from the stop until the promotion, usually well under a second; clients reconnect to the same connection string."
	p.add(OpLock, b, "take the pair's lock on %s, then on %s", b, a)
	p.add(OpRecheck, "", "observe both nodes again; stop here if anything that matters differs")
	p.add(OpPrepare, b, "make %s ready: a slot for %s, %s", b, a, p.namesText())
	p.add(OpCheckpoint, a, "checkpoint both nodes while writes go on")
	p.add(OpStop, a, "stop %s cleanly (fast shutdown); the write pause begins", a)
	p.add(OpGate, b, "go on only when %s itself holds and has replayed %s's shutdown checkpoint and %s can't come back by itself; else start %s again", b, a, a, a)
	if p.After != Degrade { // then commits wait for it
		p.add(OpFollow, a, "start %s as a standby of %s", a, b)
	}
	p.add(OpPromote, b, "promote %s: no way back from here", b)
	p.add(OpProbe, b, "commit a probe row on %s; the write pause ends", b)
	if p.After == Degrade { // clients first
		p.add(OpFollow, a, "start %s as a standby of %s", a, b)
	}
	p.add(OpConfirm, b, "confirm the new timeline and that it forked at the gate")
	p.planEndpoints(endpoints)
	p.planEnd()
}

func (p *Plan) planFailover(a Platform, endpoints []string) {
	p.Clearances = []ClearanceKind{ClearOff, ClearAccepted}
	p.Pause = "Writes have stopped already. They go on at " + p.To + " once it is promoted."
	fence := a.FenceText
	if !a.CanFence {
		fence = "there is no driver for it, so a named approver has to state that it is off"
	}
	p.add(OpLock, p.To, "take the pair's lock on %s", p.To)
	p.add(OpRecheck, "", "observe both nodes again; stop here if anything that matters differs")
	p.add(OpFreeze, p.To, "freeze %s's WAL receiver: from then on %s can't acknowledge a synchronous commit", p.To, p.From)
	if p.Loss != LossNone {
		p.add(OpHold, "", "hold: loss is %s, so a named approver has to type the pair's name", p.Loss)
	}
	p.add(OpFence, p.From, "fence %s: %s", p.From, fence)
	p.add(OpPrepare, p.To, "meanwhile make %s ready: %s", p.To, p.namesText())
	p.add(OpSettle, p.To, "wait until %s has replayed all that it received", p.To)
	p.add(OpPromote, p.To, "promote %s: no way back from here", p.To)
	p.add(OpProbe, p.To, "commit a probe row on %s", p.To)
	p.add(OpConfirm, p.To, "confirm the new timeline")
	p.planEndpoints(endpoints)
	p.planEnd()
}

// planEnd is what follows the promotion, in either kind.
func (p *Plan) planEnd() {
	if p.After == Degrade && p.Kind != KindRejoin {
		p.add(OpAlone, p.To, "note on %s that it takes writes alone, so that it may start again without an answer from %s", p.To, p.From)
	}
	p.add(OpSettleDisk, p.To, "checkpoint %s", p.To)
	p.add(OpRejoin, p.From, "make %s a standby of %s: as it is, rewound, or copied anew beside its old data", p.From, p.To)
	if p.After == Degrade || p.Kind == KindRejoin {
		p.add(OpTogether, p.To, "once %s streams, take the note away from %s that it may start alone", p.From, p.To)
	}
	p.add(OpSync, p.To, "wait until %s streams and commits wait for it", p.From)
	p.add(OpLatch, p.To, "show that %s has been synchronous since then", p.From)
	p.add(OpTidy, p.From, "drop the slot on %s that nobody uses any more", p.From)
}

func (p *Plan) planRejoin(endpoints []string) {
	p.Pause = "Writers feel nothing."
	p.add(OpLock, p.To, "take the pair's lock on %s", p.To)
	p.add(OpRecheck, "", "observe both nodes again; stop here if anything that matters differs")
	p.planEndpoints(endpoints) // that of a site which was lost may lead there still
	p.planEnd()
}

func (p *Plan) namesText() string {
	if p.After == Degrade {
		return fmt.Sprintf("its synchronous_standby_names emptied, so that it takes writes alone until %s is back (the guarantee is off until then)", p.From)
	}
	return fmt.Sprintf("its synchronous_standby_names set to %s, so that writes wait for it from the first one on", p.From)
}
