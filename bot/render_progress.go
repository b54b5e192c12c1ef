package bot

import (
	"time"

	"twokey/actions"
	"twokey/approvals"
)

type mark int

const (
	markWaiting mark = iota
	markRunning
	markDone
	markFailed
	markOpen   // begun, and the execution ended without its outcome
	markSpared // the execution succeeded without it
	markMissed // the execution ended before it
)

// progressStep is one step of the plan as far as the journal tells.
type progressStep struct {
	text    string
	mark    mark
	started time.Time
	took    time.Duration
	note    string // the newest progress, or why it failed
}

// progress lays the journal over the plan's steps. Steps that are only in the
// journal (a step back, say) follow where they began.
func (v view) progress() []progressStep {
	steps := make([]progressStep, 0, len(v.plan.Steps))
	of := places{}
	for i, s := range v.plan.Steps {
		steps = append(steps, progressStep{text: stepText(s)})
		of.add(actions.Step{Op: s.Op, Node: s.Node}, i)
	}
	walk := of.walk()
	for _, e := range v.journal {
		key := actions.Step{Op: e.Op, Node: e.Node}
		if of[key] == nil {
			of.add(key, len(steps))
			steps = append(steps, progressStep{text: stepText(key)})
		}
		steps[walk.at(key, e.Attempt, e.Phase == actions.Intent)].record(e)
	}
	v.measured(steps, of)
	return steps
}

// measured takes the executor's own measurements over the journal's times: some
// steps are journaled only after the write pause.
func (v view) measured(steps []progressStep, of places) {
	walk := of.walk()
	for _, t := range v.outcome.Steps {
		key := actions.Step{Op: t.Op, Node: t.Node}
		if of[key] != nil && t.Took > 0 {
			steps[walk.at(key, "", true)].took = t.Took
		}
	}
}

// places are where the steps of one kind on one node stand: a plan may have several,
// one for each endpoint, say, and they are carried out in the plan's order.
type places map[actions.Step][]int

func (p places) add(key actions.Step, i int) { p[key] = append(p[key], i) }

// walk goes along them; each attempt begins anew.
func (p places) walk() *walk { return &walk{of: p, next: map[actions.Step]int{}} }

type walk struct {
	of      places
	attempt string
	next    map[actions.Step]int
}

// at is the place of what is told now; begun: of one that begins with it.
func (w *walk) at(key actions.Step, attempt string, begun bool) int {
	if attempt != w.attempt {
		w.attempt = attempt
		clear(w.next)
	}
	if begun {
		w.next[key]++
	}
	return w.of[key][min(max(w.next[key], 1), len(w.of[key]))-1]
}

func (s *progressStep) record(e actions.Entry) {
	switch e.Phase {
	case actions.Intent:
		s.mark, s.started, s.note = markRunning, e.At, ""
	case actions.Done:
		s.mark, s.note = markDone, e.Text
	case actions.Failing:
		s.mark, s.note = markFailed, e.Text
	case actions.Note:
		s.note = e.Text
	}
	if e.Phase != actions.Intent && !s.started.IsZero() {
		s.took = max(0, e.At.Sub(s.started))
	}
}

func (v view) progressLines() []markup {
	var lines []markup
	for i, s := range v.progress() {
		s.mark = v.inEnd(s.mark)
		lines = append(lines, s.line(i+1, v.now))
	}
	return lines
}

// inEnd is what a step without an outcome means once the execution has ended.
func (v view) inEnd(m mark) mark {
	switch {
	case !v.request.State.Ended():
		return m
	case m == markRunning:
		return markOpen
	case m == markWaiting && v.request.State == approvals.Succeeded:
		return markSpared
	case m == markWaiting:
		return markMissed
	}
	return m
}

func (s progressStep) line(n int, now time.Time) markup {
	var m markup
	switch s.mark {
	case markDone:
		m = say("✓ %d. %s", n, s.text) + s.duration()
	case markFailed:
		m = say("✗ %d. *%s*", n, s.text) + s.duration()
	case markSpared:
		m = say("– %d. %s: not needed", n, s.text)
	case markMissed:
		m = say("· %d. %s: not reached", n, s.text)
	case markRunning:
		m = say("▶ %d. *%s*: for %s", n, s.text, apart(s.started, now))
	case markOpen:
		m = say("? %d. *%s*: begun at %s, its outcome is not known", n, s.text, when(s.started))
	default:
		m = say("· %d. %s", n, s.text)
	}
	if s.note != "" {
		m += say("\n      %s", s.note)
	}
	return m
}

// duration is left out where it wasn't measured.
func (s progressStep) duration() markup {
	if s.took <= 0 {
		return ""
	}
	return ": " + took(s.took)
}
