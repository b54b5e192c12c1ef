package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/store"
)

// TestSampleIsKeptExactly: whatever a sweep saw comes back, to the millisecond.
func TestSampleIsKeptExactly(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{Now: time.Unix(0, 0).UTC, SampleAge: time.Hour})
	store.NoSync(s)
	number := rapid.Ptr(rapid.Uint64(), true)
	rapid.Check(t, func(rt *rapid.T) {
		want := actions.Sample{
			At:      time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(rt, "at")).UTC(),
			Primary: rapid.String().Draw(rt, "primary"), State: rapid.String().Draw(rt, "state"),
			Write: number.Draw(rt, "write"), Flush: number.Draw(rt, "flush"), Replay: number.Draw(rt, "replay"),
			SlotBytes: number.Draw(rt, "slot"), Waiters: rapid.Ptr(rapid.Int(), true).Draw(rt, "waiters"),
		}
		if us := rapid.Ptr(rapid.Int64Range(0, 1<<52), true).Draw(rt, "behind"); us != nil {
			behind := time.Duration(*us) * time.Microsecond
			want.Behind = &behind
		}
		must(t, s.AddSample(t.Context(), "orders", want))
		got, err := s.Samples(t.Context(), "orders", want.At)
		if err != nil || len(got) == 0 {
			rt.Fatalf("%d samples, %v", len(got), err)
		}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			rt.Errorf("(-want +got)\n%s", diff)
		}
	})
}
