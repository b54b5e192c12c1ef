package watch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"twokey/actions"
)

const (
	reopenWithin = 10 * time.Minute // trouble so soon after an incident's end belongs to it
	calmFirst    = 2 * time.Minute  // how long one that came back must be over, doubled each time
	calmMost     = 15 * time.Minute
	loudReturns  = 2  // how often a return is worth a message
	keptTroubles = 20 // of an incident; the oldest that are over go first
)

// Follow goes on with a pair's incident after a look: what is to be remembered,
// and the alert or recovery that it is, if it is one (kind ""). quiet says that
// mild troubles are not told now. It is pure.
//
// A trouble begins when it was seen for long enough without a break, and ends
// when it is seen to be over; what a look can't tell changes nothing. An incident
// ends with its last trouble, except one that came back: that must have been over
// for longer each time, so that a pair that flaps is told as one thing.
func Follow(m actions.Remembered, rep actions.Report, rules Rules, quiet bool) (next actions.Remembered, a actions.Alert, kind string) {
	f := follower{at: rep.Evidence.At, was: m, suspects: actions.Suspects{}}
	if m.Incident != nil {
		f.incident = *m.Incident
		f.incident.Troubles = slices.Clone(m.Incident.Troubles)
	}
	maps.Copy(f.suspects, m.Suspects)
	for _, x := range findings(rep, rules) {
		f.meet(x)
	}
	f.settle(rep.Evidence.Pair.Name)
	next = m
	next.Suspects = f.suspects
	if len(f.suspects) == 0 {
		next.Suspects = nil
	}
	if a, kind = f.alert(rep, quiet); f.incident.ID != "" {
		next.Incident = &f.incident
	}
	return next, a, kind
}

// follower is an incident while one look is taken in.
type follower struct {
	at       time.Time
	was      actions.Remembered
	incident actions.Incident
	suspects actions.Suspects
	raised   []actions.Trouble // that began with this look, or became worse
	over     []actions.Trouble // that ended with it
	fresh    []actions.Trouble // to be put into the incident
	changed  bool              // in words or level, without one of these
	reopened bool              // it had ended
	ended    bool
}

func (f *follower) lasting(code string) *actions.Trouble {
	for i := range f.incident.Troubles {
		if t := &f.incident.Troubles[i]; t.Code == code && t.Until.IsZero() {
			return t
		}
	}
	return nil
}

func (f *follower) meet(x finding) {
	t := f.lasting(x.code)
	switch {
	case x.sight == present && t != nil:
		f.goOn(t, x)
	case x.sight == present:
		f.suspect(x)
	case x.sight == absent && t != nil:
		t.Until = f.at
		f.over = append(f.over, *t)
	case t == nil:
		delete(f.suspects, x.code)
	}
}

// goOn takes a change of level over. Numbers in its words that move all the time
// are no change.
func (f *follower) goOn(t *actions.Trouble, x finding) {
	if x.level == t.Level {
		return
	}
	worse := x.level > t.Level
	t.Level, t.Text = x.level, x.text
	f.changed = true
	if worse {
		f.raised = append(f.raised, *t)
	}
}

func (f *follower) suspect(x finding) {
	since, known := f.suspects[x.code]
	if !known || since.After(f.at) {
		since = f.at
	}
	if f.at.Sub(since) < x.hold {
		f.suspects[x.code] = since
		return
	}
	delete(f.suspects, x.code)
	f.fresh = append(f.fresh, actions.Trouble{Code: x.code, Level: x.level, Since: since, Text: x.text})
}

// settle puts fresh troubles into the incident and sees whether it is over.
func (f *follower) settle(pair string) {
	i := &f.incident
	if len(f.fresh) > 0 {
		f.open(pair)
		i.Troubles = append(i.Troubles, f.fresh...)
		f.raised = append(f.raised, f.fresh...)
		f.forgetOld()
	}
	if i.ID == "" || i.Over() {
		return
	}
	i.Worst = max(i.Worst, i.Level())
	switch {
	case i.Level() != actions.LevelNone:
		i.Calm = time.Time{}
	case i.Calm.IsZero():
		i.Calm = f.at
	}
	if !i.Calm.IsZero() && f.at.Sub(i.Calm) >= calmFor(i.Returns) {
		i.Ended, f.ended = f.at, true
	}
}

// open begins an incident, or goes on with one that had seemed over.
func (f *follower) open(pair string) {
	i := &f.incident
	switch {
	case i.ID == "" || i.Over() && f.at.Sub(i.Ended) > reopenWithin:
		first := slices.MinFunc(f.fresh, func(a, b actions.Trouble) int { return a.Since.Compare(b.Since) }).Since
		*i = actions.Incident{ID: fmt.Sprintf("%s/%d", pair, f.at.UnixMilli()), Since: first}
	case i.Over() || !i.Calm.IsZero():
		f.reopened = i.Over()
		i.Ended, i.Calm = time.Time{}, time.Time{}
		i.Returns++
	}
}

func (f *follower) forgetOld() {
	for len(f.incident.Troubles) > keptTroubles {
		i := slices.IndexFunc(f.incident.Troubles, func(t actions.Trouble) bool { return !t.Until.IsZero() })
		if i < 0 {
			return
		}
		f.incident.Troubles = slices.Delete(f.incident.Troubles, i, i+1)
	}
}

// calmFor is how long an incident that came back so often must have been over.
func calmFor(returns int) time.Duration {
	if returns == 0 {
		return 0
	}
	return min(calmMost, calmFirst<<min(returns-1, 10))
}

// alert is what this look has to tell.
func (f *follower) alert(rep actions.Report, quiet bool) (a actions.Alert, kind string) {
	i := &f.incident
	if i.ID == "" || i.Over() && !f.ended {
		return a, ""
	}
	untold := i.Told == actions.LevelNone
	mute := quiet && untold && i.Worst < actions.LevelCritical
	a = actions.Alert{
		Pair: rep.Evidence.Pair.Name, Health: rep.Verdict.Health, Was: f.was.Health, Severity: rep.Verdict.Health.Severity(),
		Since: i.Since, Text: f.words(rep), Quiet: mute, Paused: rep.Evidence.Memory.Paused,
	}
	switch {
	case f.ended:
		a.Quiet, a.Loud, kind = untold, true, actions.NewsRecovered
	case untold && !mute:
		a.Opened, a.Loud, a.Call, kind = true, true, i.Worst == actions.LevelCritical, actions.NewsAlert
		i.Told = i.Worst
	case i.Worst > i.Told && !mute:
		a.Loud, a.Call, kind = true, true, actions.NewsAlert
		i.Told = i.Worst
	case len(f.raised) > 0 || len(f.over) > 0 || f.changed:
		a.Loud, kind = i.Returns <= loudReturns, actions.NewsAlert
		a.Call = a.Loud && f.reopened && i.Level() == actions.LevelCritical
	default:
		return a, ""
	}
	a.Incident = *i
	return a, kind
}

// words say what changed with this look, in sentences.
func (f *follower) words(rep actions.Report) string {
	switch {
	case f.ended:
		return rep.Verdict.Meaning()
	case len(f.raised) > 0:
		return f.raised[0].Text
	case len(f.over) > 0 && f.incident.Level() == actions.LevelNone:
		return fmt.Sprintf("Over, for now: it came back %d times, so it counts as over after %s without trouble.", f.incident.Returns, calmFor(f.incident.Returns))
	}
	if t := f.incident.Lasting(); len(t) > 0 {
		return t[0].Text
	}
	return rep.Verdict.Meaning()
}
