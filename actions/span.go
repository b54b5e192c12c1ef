package actions

import (
	"slices"
	"time"
)

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// Unknown lists the stretches of which it is not known how far the standby was
// behind: nobody looked, or who looked was not told.
func (h LagHistory) Unknown() []Span {
	var out []Span
	add := func(from, to time.Time) {
		switch last := len(out) - 1; {
		case !from.Before(to):
		case last >= 0 && !out[last].To.Before(from):
			out[last].To = to
		default:
			out = append(out, Span{from, to})
		}
	}
	usual, at := h.usualDistance(), h.From
	for i, s := range h.Samples {
		end := h.To
		if i+1 < len(h.Samples) {
			end = h.Samples[i+1].At
		}
		if end.Sub(s.At) > h.reach(s, usual) { // a hole begins
			end = s.At
		}
		if i > 0 || s.At.Sub(h.From) > h.reach(s, usual) {
			add(at, s.At)
		}
		if s.Replay == nil {
			add(s.At, end)
		}
		at = end
	}
	add(at, h.To)
	return out
}

// Follows gives the function that says whether two samples are of looks that
// follow one another, with no hole between them.
func (h LagHistory) Follows() func(a, b Sample) bool {
	usual := h.usualDistance()
	return func(a, b Sample) bool { return b.At.Sub(a.At) <= h.reach(a, usual) }
}

// reach is for how long a sample speaks.
func (h LagHistory) reach(s Sample, usual time.Duration) time.Duration {
	if h.To.Sub(s.At) > MergeAfter-2*MergeStep {
		return max(3*usual, 3*MergeStep)
	}
	return 3 * usual
}

// usualDistance between two looks, by the newest samples.
func (h LagHistory) usualDistance() time.Duration {
	var gaps []time.Duration
	for i := len(h.Samples) - 1; i > 0 && len(gaps) < 200; i-- {
		gaps = append(gaps, h.Samples[i].At.Sub(h.Samples[i-1].At))
	}
	if len(gaps) == 0 {
		return MergeStep / 3
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}
