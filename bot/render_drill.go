package bot

import (
	"fmt"
	"strings"

	"twokey/actions"
	"twokey/approvals"
)

// drillPart says what a drill is, until it is over.
func (v view) drillPart(p *page) {
	if v.drill() && !v.request.State.Ended() {
		p.must(":test_tube: *This is a drill.* Everything but the steps is as in earnest: nothing is stopped, fenced, promoted or changed.")
	}
}

func (v view) approveDrill(value string) button {
	text := fmt.Sprintf("A rehearsal for %s", v.request.Subject.Pair)
	if v.planned {
		text = fmt.Sprintf("A rehearsal of the %s of %s from %s to %s", strings.ToLower(kindTitle(v.plan.Rehearses)), v.request.Subject.Pair, v.bare(v.plan.From), v.bare(v.plan.To))
	}
	return button{action: actionApprove, label: v.label("Approve"), value: value, confirm: &confirm{
		title: "Approve this drill?", text: clip(text, 220) + ". Nothing is changed. Digest " + v.request.Digest().Short() + ".",
		yes: v.label("Approve"), no: "Not yet",
	}}
}

// drillLine is a drill's end in one sentence.
func (v view) drillLine() markup {
	m := markup(":test_tube: *The drill is done. Nothing was changed.*")
	if v.request.State != approvals.Succeeded {
		m = say(":test_tube: *The drill stopped, and nothing was changed.* %s", sentence(v.request.Why))
	}
	if v.outcome.Serving != "" {
		m += say(" %s serves as before.", v.node(v.outcome.Serving))
	}
	return m
}

// rehearsal is what a drill found: how long people took, and what a real one
// would have met.
func (v view) rehearsal(p *page) {
	r := v.outcome.Rehearsal
	if r == nil || r.Verdict == "" {
		return
	}
	p.section(drillTimes(*r))
	p.must(say("%s *In earnest, now:* %s", lossMark(r.Loss), r.Verdict))
	var lines []markup
	for _, w := range r.Warnings {
		lines = append(lines, say("• %s", w))
	}
	p.lines("*Not fine*", lines)
	p.lines(say("*What a %s would have done, and nobody did*", strings.ToLower(kindTitle(r.Kind))), stepLines(v.plan.Rehearsed))
	if r.Kind == actions.KindSwitchover {
		p.section("A real one is asked for with `failover`, and needs two approvals of its own.")
	}
}

// drillTimes counts from the asking.
func drillTimes(r actions.Rehearsal) markup {
	var m markup
	for i, voted := range r.Votes[:min(len(r.Votes), approvals.Required)] {
		m += say("%s approval after *%s*, ", []string{"First", "second"}[i], took(voted))
	}
	return m + say("ready to begin after *%s*.", took(r.Ready))
}
