package actions

import "time"

// Samples that are older than MergeAfter are merged by the store, so that one is
// left of each MergeStep: a week of looks every ten seconds, and three months of
// them, stay small.
const (
	MergeAfter = 25 * time.Hour
	MergeStep  = 5 * time.Minute
)

// MergeSamples makes one of several samples, oldest first: of each number the
// greatest that was known, of the state the worst, the last primary that was
// seen, and the time of the first. What none of them knew stays unknown.
func MergeSamples(samples []Sample) Sample {
	if len(samples) == 0 {
		return Sample{}
	}
	out := Sample{At: samples[0].At, State: samples[0].State}
	for _, s := range samples {
		if s.Primary != "" {
			out.Primary = s.Primary
		}
		if Health(s.State).Severity() > Health(out.State).Severity() {
			out.State = s.State
		}
		out.Write, out.Flush, out.Replay = greater(out.Write, s.Write), greater(out.Flush, s.Flush), greater(out.Replay, s.Replay)
		out.SlotBytes, out.Waiters, out.Behind = greater(out.SlotBytes, s.SlotBytes), greater(out.Waiters, s.Waiters), greater(out.Behind, s.Behind)
	}
	return out
}

// greater takes nil for not known.
func greater[T int | uint64 | ~int64](a, b *T) *T {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
