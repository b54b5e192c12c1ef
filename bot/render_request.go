package bot

import (
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"twokey/actions"
	"twokey/approvals"
)

// requestMessage is the one message that follows a request through its life.
func requestMessage(v view) message {
	p := &page{}
	p.header("%s: %s", v.what(), v.standing())
	v.end(p)
	p.must(v.question())
	v.drillPart(p)
	v.outline(p)
	if v.request.State.Running() || v.executed() {
		p.lines("*Steps*", v.progressLines())
	} else if !v.request.State.Ended() {
		v.judgement(p)
	}
	v.hold(p)
	v.approvers(p)
	p.context(v.footer() + v.timeLeft())
	p.actions(v.buttons()...)
	return p.message()
}

// standing is the state in a headline's words.
func (v view) standing() markup {
	r := v.request
	switch r.State {
	case approvals.Pending, approvals.Partial:
		return say("%d of %d approvals", len(r.Votes), approvals.Required)
	case approvals.Approved:
		return say("%d of %d approvals, checking again", len(r.Votes), approvals.Required)
	case approvals.Executing:
		return v.running()
	case approvals.Held:
		return "held, a person must decide"
	case approvals.Succeeded:
		return "done"
	case approvals.Aborted:
		if v.drill() {
			return "stopped"
		}
		return v.takenBack()
	case approvals.Failed:
		return "failed half way"
	case approvals.Unknown:
		return "outcome unknown, look now"
	case approvals.Stale:
		return "stale, nothing was done"
	}
	if r.EndedBy != "" {
		return say("%s by %s", string(r.State), shortName(r.EndedBy))
	}
	return esc(string(r.State))
}

// takenBack doesn't say that nothing changed where a node may have been fenced.
func (v view) takenBack() markup {
	if v.outcome.Serving == "" {
		return "taken back, nobody was promoted" // the old primary may have been fenced
	}
	return "taken back, nothing changed"
}

// running names the step that is under way.
func (v view) running() markup {
	steps := v.progress()
	for i, s := range steps {
		if s.mark == markRunning {
			return say("running, step %d of %d", i+1, len(steps))
		}
	}
	return "running"
}

func (v view) executed() bool {
	switch v.request.State {
	case approvals.Succeeded, approvals.Aborted, approvals.Failed, approvals.Unknown:
		return true
	}
	return false
}

// end says first what an ended request came to.
func (v view) end(p *page) {
	r := v.request
	switch {
	case !r.State.Ended():
	case v.executed():
		p.must(v.resultLine())
	case r.State == approvals.Stale:
		p.must(":warning: *Nothing was done.* What was to be approved is no longer so. Ask again to see the new plan.")
		p.mustLines("*What differs*", eachLine(r.Why))
	default:
		m := say("*Nothing was done.* %s %s", standingWord(r), when(r.EndedAt))
		if r.Why != "" {
			m += say(": %s", sentence(r.Why))
		}
		p.must(m)
	}
}

// eachLine keeps the lines of a text that was made line by line.
func eachLine(s string) []markup {
	var lines []markup
	for l := range strings.Lines(s) {
		lines = append(lines, named(say("• %s", l)))
	}
	return lines
}

func standingWord(r approvals.Request) markup {
	word := map[approvals.State]markup{
		approvals.Denied: "Denied", approvals.Expired: "Expired", approvals.Cancelled: "Cancelled",
	}[r.State]
	if r.EndedBy != "" {
		word += say(" by %s", person(r.EndedBy))
	}
	return word
}

// question is who asks for what, and why.
func (v view) question() markup {
	m := say("%s asks", person(v.request.Requester))
	if v.request.Reason != "" {
		m += say(": %s", v.request.Reason)
	}
	if !v.planned {
		return m + say("\nThe plan's data can't be read; this is the approved text:\n%s", pre(v.request.Subject.Text, limitSection/2))
	}
	return m + "\n" + move(v.plan.Kind, v.node(v.plan.From), v.node(v.plan.To))
}

// outline is the verdict and what writers will feel. It matters until the plan
// runs; then the steps do.
func (v view) outline(p *page) {
	if !v.planned || v.request.State.Ended() {
		return
	}
	p.must(verdict(v.plan.Loss, v.plan.Verdict, v.plan.AsOf))
	m := after(v.plan)
	if v.plan.Pause != "" {
		m = say("*Writers will feel:* %s\n", v.plan.Pause) + m
	}
	p.section(m)
}

func (v view) judgement(p *page) {
	p.lines("*Checks*", checkLines(v.plan.Checks))
	p.lines("*Steps*", stepLines(v.plan.Steps))
	p.lines("*Rehearsed, and not done*", stepLines(v.plan.Rehearsed))
}

func stepLines(steps []actions.Step) []markup {
	var lines []markup
	for i, s := range steps {
		lines = append(lines, say("%d. %s", i+1, stepText(s)))
	}
	return lines
}

func stepText(s actions.Step) string {
	if s.Text != "" {
		return s.Text
	}
	return fmt.Sprintf("%s on %s", s.Op, s.Node)
}

// hold is what a held request needs, or what was answered.
func (v view) hold(p *page) {
	if open := v.request.OpenPause(); open.Question != "" {
		p.must(say(":raised_hand: *An approver must decide:* %s\nTo go on, type %s with the button below. Until %s, else nobody is promoted; what was fenced stays off.",
			open.Question, code(open.Statement), when(open.Until)))
		return
	}
	for _, answered := range v.request.Pauses {
		p.section(say("Held: %s %s", answered.Question, answerLine(answered)))
	}
}

func answerLine(a approvals.Pause) markup {
	switch a.Answer {
	case approvals.Accept:
		return say("%s typed %s%s at %s.", person(a.By), code(a.Statement), codeMark(a.Factor), when(a.At))
	case approvals.Refuse:
		return say("%s refused at %s.", person(a.By), when(a.At))
	}
	return "Nobody answered in time."
}

const maxApproverLines = 12

// approvers shows each approver's key: turned, or waited for.
func (v view) approvers(p *page) {
	r := v.request
	var lines []markup
	waiting := r.State == approvals.Pending || r.State == approvals.Partial
	for _, who := range r.Approvers {
		vote, voted := r.VoteOf(who)
		switch {
		case voted:
			lines = append(lines, say("✓ %s approved%s at %s", person(who), codeMark(vote.Factor), when(vote.At)))
		case waiting && who == r.Requester:
			lines = append(lines, say("– %s asked", person(who)))
		case waiting:
			lines = append(lines, say("◻ %s: waiting", v.people.call(who)))
		}
	}
	if more := len(lines) - maxApproverLines; more > 0 {
		lines = append(lines[:maxApproverLines], say("… and %d more", more))
	}
	if len(lines) > 0 {
		p.mustLines("*Approvers*", lines)
	}
}

// timeLeft is for a message that is brought up to date while time runs out.
func (v view) timeLeft() markup {
	words, _ := left(v.now, v.request.ExpiresAt)
	if words == "" || !v.request.State.Votable() {
		return ""
	}
	return say(" · *%s left*", words)
}

func (v view) footer() markup {
	r := v.request
	m := say("Digest %s · request %s", code(r.Digest().Short()), code(r.ID))
	if r.State.Votable() {
		m += say(" · expires %s", when(r.ExpiresAt))
	}
	if v.audit.seq > 0 {
		m += " · " + v.audit.markup()
	}
	return m
}

// The actions of buttons, and the callbacks of views.
const (
	actionApprove   = "approve"
	actionDeny      = "deny"
	actionDetails   = "details"
	actionCancel    = "cancel"
	actionStatement = "statement"
	actionRefuse    = "refuse"
)

func (v view) buttons() []button {
	value := buttonValue(v.request)
	details := button{action: actionDetails, label: "Details", value: value}
	cancel := button{action: actionCancel, label: v.label("Cancel"), value: value, confirm: &confirm{
		title: "Take the request back?", text: "Only its requester can. Nothing has been done yet.", yes: "Cancel it", no: "Keep it"}}
	deny := button{action: actionDeny, label: v.label("Deny"), value: value}
	switch v.request.State {
	case approvals.Pending, approvals.Partial:
		return []button{v.approveButton(value), deny, details, cancel}
	case approvals.Approved:
		return []button{deny, details, cancel}
	case approvals.Held:
		return append(v.heldButtons(value), details)
	}
	return []button{details}
}

// label is a button's; every button of a drill says that it is one.
func (v view) label(what string) string {
	if v.drill() {
		return what + " the drill"
	}
	return what
}

func (v view) approveButton(value string) button {
	if v.drill() {
		return v.approveDrill(value)
	}
	kind := kindTitle(v.kind())
	text := fmt.Sprintf("%s of %s", kind, v.request.Subject.Pair)
	if v.planned {
		text = fmt.Sprintf("%s: from %s to %s", text, v.bare(v.plan.From), v.bare(v.plan.To))
	}
	return button{action: actionApprove, label: "Approve", style: slack.StyleDanger, value: value, confirm: &confirm{
		title: "Approve this " + strings.ToLower(kind) + "?", text: clip(text, 240) + ". Digest " + v.request.Digest().Short() + ".",
		yes: "Approve", no: "Not yet",
	}}
}

func (v view) heldButtons(value string) []button {
	return []button{
		{action: actionStatement, label: "Type the statement", style: slack.StyleDanger, value: value},
		{action: actionRefuse, label: "Take it back", value: value, confirm: &confirm{
			title: "Refuse, and take everything back?", text: "The bot undoes what it has done; nothing is promoted.",
			yes: "Take it back", no: "Wait",
		}},
	}
}
