package bot

import (
	"twokey/actions"
	"twokey/approvals"
)

// resultMessage is the message of its own that tells how a request ended, so
// that people are notified: Slack says nothing when a message is edited.
func resultMessage(v view) message {
	p := &page{}
	p.header("%s: %s", v.what(), v.standing())
	v.end(p)
	if v.executed() {
		v.report(p)
	}
	p.section(say("For %s, who asked.", v.people.call(v.request.Requester)))
	p.context(v.footer())
	p.actions(button{action: actionDetails, label: "Details", value: buttonValue(v.request)})
	return p.message()
}

// heldMessage calls the approvers when an execution waits for one of them.
func heldMessage(v view) message {
	p := &page{}
	p.header("%s: %s", v.what(), v.standing())
	v.hold(p)
	var calls markup
	for _, who := range v.request.Approvers {
		calls += say(" %s", v.people.call(who))
	}
	p.section(say("One of:%s", calls))
	p.context(v.footer())
	if v.request.State == approvals.Held {
		p.actions(append(v.heldButtons(buttonValue(v.request)), button{action: actionDetails, label: "Details", value: buttonValue(v.request)})...)
	}
	return p.message()
}

// resultLine is an execution's end in one sentence.
func (v view) resultLine() markup {
	if v.drill() {
		return v.drillLine()
	}
	switch v.request.State {
	case approvals.Succeeded:
		return v.successLine()
	case approvals.Aborted:
		return v.abortLine()
	case approvals.Failed:
		return say(":x: *Stopped half way.* %s %s", sentence(v.request.Why), v.servingLine())
	}
	return say(":rotating_light: *What is true now must be looked at.* %s %s", sentence(v.request.Why), v.servingLine())
}

// abortLine says that a node serves only where that was seen: the old primary
// of a failover that was taken back is still gone, or fenced by now.
func (v view) abortLine() markup {
	if v.outcome.Serving == "" {
		return say(":leftwards_arrow_with_hook: *Nobody was promoted.* %s %s", sentence(v.request.Why), v.servingLine())
	}
	return say(":leftwards_arrow_with_hook: *Nothing changed:* %s serves as before. Why: %s", v.node(v.outcome.Serving), sentence(v.request.Why))
}

func (v view) successLine() markup {
	o := v.outcome
	if v.kind() == actions.KindRejoin {
		return say(":white_check_mark: %s is the standby of %s.", v.node(v.plan.From), v.node(v.plan.To))
	}
	m := say(":white_check_mark: %s is the primary, %s no longer.", v.node(o.NewPrimary), v.node(o.OldPrimary))
	if o.WritePause > 0 {
		m += say(" Writes paused for *%s* (measured).", took(o.WritePause))
	}
	return m
}

func (v view) servingLine() markup {
	if v.outcome.Serving == "" {
		return "Which node takes writes is not known."
	}
	return say("%s takes writes.", v.node(v.outcome.Serving))
}

// report is what the executor measured and proved.
func (v view) report(p *page) {
	if v.drill() {
		v.rehearsal(p)
		return
	}
	o := v.outcome
	v.proof(p)
	p.section(v.guarantee())
	if o.Rejoin != nil {
		p.section(rejoinLine(*o.Rejoin))
	}
	if o.Conn.URI != "" {
		p.must("*Connection string*\n" + pre(o.Conn.URI, 800) + "\n" + pre(o.Conn.Keywords, 800))
	}
	var todo []markup
	for _, t := range o.Todo {
		todo = append(todo, say("• %s", t))
	}
	if len(todo) > 0 {
		p.lines("*Left for people*", todo)
	}
}

// guarantee says whether acknowledged writes are on two nodes again.
func (v view) guarantee() markup {
	switch {
	case !v.outcome.Synchronous.IsZero():
		return say("Synchronous again since %s.", when(v.outcome.Synchronous))
	case v.request.State == approvals.Succeeded:
		return ":warning: *No synchronous standby yet:* the guarantee is off until there is one."
	case v.request.State == approvals.Aborted:
		return ""
	}
	return "Whether there is a synchronous standby must be looked at, with `status`."
}

// proof is why there are not two primaries.
func (v view) proof(p *page) {
	o := v.outcome
	var m markup
	if o.Clearance != "" {
		m = say("*%s* was %s", o.OldPrimary, clearanceWord(o.Clearance))
		if o.Proof != "" {
			m += say(": %s", sentence(o.Proof))
		}
	}
	for _, p := range v.request.Pauses {
		m += say("\nHeld: %s %s", p.Question, answerLine(p))
	}
	if o.NewTimeline != 0 {
		m += say("\nTimeline %d → %d, forked at %s.", o.OldTimeline, o.NewTimeline, code(o.Gate.String()))
	}
	p.section(m)
}

func clearanceWord(c actions.ClearanceKind) markup {
	switch c {
	case actions.ClearStopped:
		return "stopped cleanly"
	case actions.ClearStandby:
		return "read back in recovery, as a standby"
	case actions.ClearOff:
		return "fenced off"
	case actions.ClearAccepted:
		return "*not* proven to be off; a person accepted that"
	}
	return esc(string(c))
}

func rejoinLine(r actions.RejoinReport) markup {
	m := say("The old primary rejoined (%s).", r.How)
	if r.Kept != "" {
		m += say(" Its old data is kept in %s.", code(r.Kept))
	}
	if r.Diverged != nil {
		m += say("\n:mag: %s", r.Diverged.String())
	}
	return m
}
