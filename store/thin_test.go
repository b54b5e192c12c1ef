package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/store"
	"twokey/store/storetest"
)

// TestManyLooksStaySmall: looks every ten seconds are whole for the time that is
// wanted and one for each five minutes before, and the highest lag of each hour
// is still there.
func TestManyLooksStaySmall(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, store.Options{Now: clock.Now, SampleFull: 2 * time.Hour})
	store.NoSync(s)
	const looks = 12 * 360
	highest := map[int64]uint64{} // by hour
	for i := range uint64(looks) {
		lag := i * 2654435761 % 1_000_003
		hour := clock.Now().Unix() / 3600
		highest[hour] = max(highest[hour], lag)
		must(t, s.AddSample(t.Context(), "orders", actions.Sample{At: clock.Now(), State: "synchronous", Primary: "dc1", Replay: &lag}))
		clock.Forward(10 * time.Second)
	}
	got, err := s.Samples(t.Context(), "orders", time.Time{})
	must(t, err)
	if want := 2*360 + 10*12; len(got) > want+40 || len(got) < want-40 {
		t.Errorf("%d of %d samples are left, want about %d", len(got), looks, want)
	}
	kept := map[int64]uint64{}
	for _, x := range got {
		kept[x.At.Unix()/3600] = max(kept[x.At.Unix()/3600], *x.Replay)
	}
	for hour, lag := range highest {
		if kept[hour] != lag {
			t.Errorf("hour %d: the highest lag was %d, %d is left", hour, lag, kept[hour])
		}
	}
}

// TestThinningGoesOnAfterARestart and doesn't look at what was merged before.
func TestThinningGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	opt := store.Options{Now: clock.Now, SampleFull: time.Hour}
	add := func(s *store.Store, n int) {
		for range n {
			must(t, s.AddSample(t.Context(), "orders", actions.Sample{At: clock.Now(), State: "synchronous"}))
			clock.Forward(time.Minute)
		}
	}
	s, err := store.Open(path, opt)
	must(t, err)
	add(s, 90)
	must(t, s.Close())
	s = open(t, path, opt)
	add(s, 90)
	got, err := s.Samples(t.Context(), "orders", time.Time{})
	must(t, err)
	if len(got) > 60+2*12+10 {
		t.Errorf("%d samples are left of 180", len(got))
	}
	v, found, err := s.Setting(t.Context(), "thinned/orders")
	if !found || v == "" || err != nil {
		t.Errorf("up to where it is merged is not kept: %q, %v", v, err)
	}
}

// TestMergingKeepsTheWorstAndInventsNothing against a model of its own.
func TestMergingKeepsTheWorstAndInventsNothing(t *testing.T) {
	t.Parallel()
	states := []string{string(actions.HealthOK), string(actions.HealthLagging), string(actions.HealthBlocked), string(actions.HealthArming)}
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.Ptr(rapid.Uint64Range(0, 50), true)
		samples := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) actions.Sample {
			return actions.Sample{State: rapid.SampledFrom(states).Draw(rt, "state"), Replay: number.Draw(rt, "replay"), SlotBytes: number.Draw(rt, "slot")}
		}), 1, 8).Draw(rt, "samples")
		var worst int
		var replay []uint64
		for _, s := range samples {
			worst = max(worst, actions.Health(s.State).Severity())
			if s.Replay != nil {
				replay = append(replay, *s.Replay)
			}
		}
		got := actions.MergeSamples(samples)
		if actions.Health(got.State).Severity() != worst {
			rt.Errorf("state %s of %v", got.State, samples)
		}
		if (got.Replay == nil) != (len(replay) == 0) {
			rt.Fatalf("replay %v of %v", got.Replay, replay)
		}
		for _, r := range replay {
			if r > *got.Replay {
				rt.Errorf("replay %d is not the greatest of %v", *got.Replay, replay)
			}
		}
	})
}
