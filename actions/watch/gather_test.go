package watch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twokey/actions"
	"twokey/actions/watch"
	"twokey/approvals"
)

// fleet is many pairs, each with what a look at it sees and how long it takes.
type fleet struct {
	mu     sync.Mutex
	pairs  []actions.Pair
	looks  map[string]look
	slow   map[string]time.Duration
	memory map[string]actions.Remembered
	events []approvals.Event
}

func newFleet(n int) *fleet {
	f := &fleet{looks: map[string]look{}, slow: map[string]time.Duration{}, memory: map[string]actions.Remembered{}}
	for i := range n {
		f.pairs = append(f.pairs, actions.Pair{Name: fmt.Sprintf("pair%02d", i), Nodes: [2]actions.Node{{Name: "dc1"}, {Name: "dc2", Slot: "twokey_dc2"}}})
		f.looks[f.pairs[i].Name] = well
	}
	return f
}

func (f *fleet) Pairs() []actions.Pair { return f.pairs }

func (f *fleet) set(l look, pairs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range pairs {
		f.looks[p] = l
	}
}

func (f *fleet) names(from, to int) (out []string) {
	for _, p := range f.pairs[from:to] {
		out = append(out, p.Name)
	}
	return out
}

func (f *fleet) Verify(_ context.Context, pair string) (actions.Report, error) {
	f.mu.Lock()
	l, slow, m := f.looks[pair], f.slow[pair], f.memory[pair]
	f.mu.Unlock()
	at := time.Now()
	time.Sleep(slow)
	rep := l.report(at, m)
	rep.Evidence.Pair.Name = pair
	return rep, nil
}

func (f *fleet) Remembered(_ context.Context, pair string) (actions.Remembered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.memory[pair], nil
}

func (f *fleet) Revise(_ context.Context, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, events := change(f.memory[pair])
	f.memory[pair], f.events = m, append(f.events, events...)
	return m, nil
}

func (f *fleet) AddSample(context.Context, string, actions.Sample) error { return nil }

func (f *fleet) Samples(context.Context, string, time.Time) ([]actions.Sample, error) {
	return nil, nil
}

func (f *fleet) Append(_ context.Context, events []approvals.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
	return nil
}

func (f *fleet) watch(t *testing.T) *watch.Watch {
	t.Helper()
	w, err := watch.New(watch.Options{
		Desk: f, Memory: f, Samples: f, Log: f, Check: "@every 1h", Location: time.UTC, Rules: watch.DefaultRules(),
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// groups are the keys of the alerts since the given one, by pair.
func (f *fleet) groups(t *testing.T, since int) (alone []string, together map[string][]string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	together = map[string][]string{}
	for _, e := range f.events[since:] {
		var a actions.Alert
		if err := json.Unmarshal(e.Data, &a); err != nil {
			t.Fatal(err)
		}
		if a.Incident.Group == "" {
			alone = append(alone, a.Pair)
		} else {
			together[a.Incident.Group] = append(together[a.Incident.Group], a.Pair)
		}
	}
	slices.Sort(alone)
	return alone, together
}

func TestFewAtOnceAreToldEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(20)
		w := f.watch(t)
		f.set(blocked, f.names(0, 4)...)
		w.Sweep(t.Context())
		if alone, together := f.groups(t, 0); len(alone) != 4 || len(together) != 0 {
			t.Errorf("alone %v, together %v", alone, together)
		}
	})
}

func TestManyAtOnceAreToldTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(40)
		w := f.watch(t)
		w.Sweep(t.Context())
		f.set(blocked, f.names(0, 30)...)
		w.Sweep(t.Context())
		alone, together := f.groups(t, 0)
		if len(alone) != 0 || len(together) != 1 {
			t.Fatalf("alone %v, together %v", alone, together)
		}
		for group, pairs := range together {
			if len(pairs) != 30 || f.memory["pair07"].Incident.Group != group {
				t.Errorf("%d pairs in %s; remembered %+v", len(pairs), group, f.memory["pair07"].Incident)
			}
		}
		time.Sleep(time.Minute) // one more joins, what ends stays in
		f.set(gone, f.names(30, 31)...)
		f.set(well, f.names(0, 1)...)
		before := len(f.events)
		w.Sweep(t.Context())
		if alone, again := f.groups(t, before); len(alone) != 0 || len(again) != 1 {
			t.Errorf("alone %v, together %v", alone, again)
		}
		time.Sleep(3 * time.Minute) // too late to join
		f.set(blocked, f.names(31, 32)...)
		before = len(f.events)
		w.Sweep(t.Context())
		if alone, again := f.groups(t, before); !slices.Equal(alone, []string{"pair31"}) || len(again) != 0 {
			t.Errorf("alone %v, together %v", alone, again)
		}
	})
}

// TestPairThatHangsDoesNotDelayWhatIsNew beyond a few seconds.
func TestPairThatHangsDoesNotDelayWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(10)
		w := f.watch(t)
		f.set(blocked, "pair01")
		f.slow["pair00"] = time.Minute
		began, told := time.Now(), time.Duration(0)
		done := make(chan struct{})
		go func() { defer close(done); w.Sweep(t.Context()) }()
		for told == 0 {
			time.Sleep(time.Second)
			f.mu.Lock()
			if len(f.events) > 0 {
				told = time.Since(began)
			}
			f.mu.Unlock()
		}
		<-done
		if told > 7*time.Second {
			t.Errorf("told after %s", told)
		}
	})
}

func TestReportHasTheLastDayAndTheLastIncident(t *testing.T) {
	t.Parallel()
	rep := well.report(start, actions.Remembered{
		Health: actions.HealthOK, Incident: &actions.Incident{ID: "x", Since: start.Add(-3 * time.Hour), Ended: start.Add(-2 * time.Hour)},
		Paused: &actions.Paused{By: "dba-1", Why: "disk"},
	})
	m := &memory{day: func(since time.Time) (out []actions.Sample) {
		for i := range 24 * 6 {
			n := uint64(i)
			s := actions.Sample{At: since.Add(time.Duration(i) * 10 * time.Minute), Replay: &n}
			if i/6 == 3 {
				s.Replay = nil
			}
			out = append(out, s)
		}
		return out
	}}
	w, err := watch.New(watch.Options{Desk: desk{rep}, Memory: m, Samples: m, Log: m, Check: "@every 1h", Location: time.UTC, Rules: watch.DefaultRules(), Now: func() time.Time { return start }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.Tell(t.Context())
	var told actions.HealthReport
	if err := json.Unmarshal(m.events[0].Data, &told); err != nil {
		t.Fatal(err)
	}
	row := told.Rows[0]
	var lags []string
	for _, l := range row.Lag {
		if l == nil {
			lags = append(lags, "?")
			continue
		}
		lags = append(lags, fmt.Sprint(*l))
	}
	if got := strings.Join(lags, " "); got != "5 11 17 ? 29 35 41 47 53 59 65 71 77 83 89 95 101 107 113 119 125 131 137 143" {
		t.Errorf("the last day: %s", got)
	}
	if row.Incident == nil || row.Incident.ID != "x" || row.Paused == nil || row.Paused.Why != "disk" {
		t.Errorf("row %+v", row)
	}
}
