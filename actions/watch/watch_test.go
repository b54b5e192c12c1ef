package watch_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/watch"
	"twokey/approvals"
)

func TestSampleLeavesTheUnknownOut(t *testing.T) {
	t.Parallel()
	pair := actions.Pair{Name: "orders", Nodes: [2]actions.Node{{Name: "dc1"}, {Name: "dc2", Slot: "twokey_dc2"}}}
	primary := &actions.Server{FlushLSN: 1000, SyncWaiters: 3, Slots: []actions.Slot{{Name: "twokey_dc2", RestartLSN: 400}}}
	rep := actions.Report{
		Verdict:  actions.Verdict{Primary: "dc1", Standby: "dc2", Health: actions.HealthBlocked},
		Evidence: actions.Evidence{Pair: pair, Nodes: [2]actions.Observation{{Node: "dc1", Server: primary}, {Node: "dc2", Failure: &actions.Failure{}}}},
	}
	s := watch.SampleOf(rep)
	if s.Write != nil || s.Flush != nil || s.Replay != nil {
		t.Errorf("no walsender, but lags %v %v %v; unknown must not be a number", s.Write, s.Flush, s.Replay)
	}
	if s.SlotBytes == nil || *s.SlotBytes != 600 || s.Waiters == nil || *s.Waiters != 3 {
		t.Errorf("slot bytes %v, waiters %v; want 600 and 3", s.SlotBytes, s.Waiters)
	}
	primary.Standbys = []actions.Standby{{Name: "dc2", State: "streaming", Write: 900, Flush: 900, Replay: 1000}}
	s = watch.SampleOf(rep)
	if s.Replay == nil || *s.Replay != 0 || *s.Flush != 100 {
		t.Errorf("replay %v, flush %v; want 0 and 100", s.Replay, s.Flush)
	}
}

func TestScheduleErrorsSayHowToWriteOne(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "every minute", "61 * * * *", "* * *"} {
		if _, err := watch.ParseSchedule(bad); err == nil {
			t.Errorf("%q was taken for a schedule", bad)
		}
	}
	for _, good := range []string{"*/5 * * * *", "*/10 * * * * *", "@every 30s", "0 9 * * 1-5"} {
		if _, err := watch.ParseSchedule(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestOnlyAShortExecutionExplainsWhatIsSeen(t *testing.T) {
	t.Parallel()
	voted := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	request := func(s approvals.State) *approvals.Request {
		return &approvals.Request{State: s, Votes: []approvals.Vote{{At: voted}}}
	}
	for _, row := range []struct {
		name  string
		open  *approvals.Request
		after time.Duration
		told  bool
	}{
		{"no request is open", nil, 0, true},
		{"a request only waits for votes", request(approvals.Partial), time.Second, true},
		{"it was approved a moment ago and runs", request(approvals.Executing), 10 * time.Second, false},
		{"it has been running for too long", request(approvals.Executing), 2 * time.Minute, true},
		{"it waits for a person", request(approvals.Held), 10 * time.Second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			rep := actions.Report{
				Open:     row.open,
				Evidence: actions.Evidence{Pair: actions.Pair{Name: "orders"}, At: voted.Add(row.after)},
				Verdict:  actions.Verdict{Health: actions.HealthBlocked},
			}
			m := &memory{}
			w, err := watch.New(watch.Options{
				Desk: desk{rep}, Memory: m, Samples: m, Log: m, Check: "@every 1h", Location: time.UTC,
				Rules: watch.DefaultRules(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			w.Sweep(t.Context())
			if told := len(m.events) == 1; told != row.told || m.samples != 1 {
				t.Errorf("told %t, want %t; %d samples", told, row.told, m.samples)
			}
		})
	}
}

// desk always sees the same.
type desk struct{ rep actions.Report }

func (d desk) Pairs() []actions.Pair { return []actions.Pair{d.rep.Evidence.Pair} }

func (d desk) Verify(context.Context, string) (actions.Report, error) { return d.rep, nil }

// memory keeps what one sweep leaves.
type memory struct {
	kept    actions.Remembered
	events  []approvals.Event
	samples int
	day     func(since time.Time) []actions.Sample // may be nil
}

func (m *memory) Remembered(context.Context, string) (actions.Remembered, error) { return m.kept, nil }

func (m *memory) Revise(_ context.Context, _ string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	var events []approvals.Event
	m.kept, events = change(m.kept)
	m.events = append(m.events, events...)
	return m.kept, nil
}

func (m *memory) AddSample(context.Context, string, actions.Sample) error {
	m.samples++
	return nil
}

func (m *memory) Samples(_ context.Context, _ string, since time.Time) ([]actions.Sample, error) {
	if m.day == nil {
		return nil, nil
	}
	return m.day(since), nil
}

func (m *memory) Append(_ context.Context, events []approvals.Event) error {
	m.events = append(m.events, events...)
	return nil
}
