package actions_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

// archivist is a desk on a real store, without servers.
type archivist struct {
	*testing.T
	store *store.Store
	desk  *actions.Desk
	now   time.Time
}

func newArchivist(t *testing.T) *archivist {
	t.Helper()
	a := &archivist{T: t, now: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}
	var err error
	if a.store, err = store.Open(filepath.Join(t.TempDir(), "twokey.db"), store.Options{Now: func() time.Time { return a.now }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.store.Close() })
	pair := ordersPair()
	dbs := map[string]actions.Database{pair.Nodes[0].Name: database{}, pair.Nodes[1].Name: database{}}
	a.desk, err = actions.NewDesk(actions.Options{
		Pairs: []actions.Pair{pair}, Hands: map[string]actions.Hands{"orders": {Databases: dbs}}, Policy: testPolicy(),
		Store: a.store, Archive: a.store, Thresholds: actions.DefaultThresholds(), Now: func() time.Time { return a.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *archivist) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// asked stores a request of a kind that two people approved and that ended so.
func (a *archivist) asked(id string, kind actions.Kind, cause approvals.Cause) {
	a.Helper()
	r, events, err := approvals.Open(approvals.Asking{
		ID: id, Nonce: "n", Requester: "oncall", At: a.now, Place: "ops", Subject: approvals.Subject{Kind: string(kind), Pair: "orders", Text: "plan", Data: []byte("{}")},
	}, testPolicy())
	a.must(err)
	_, err = a.store.Create(a.Context(), r, events)
	a.must(err)
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		_, err = a.store.Update(a.Context(), id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			b := ballot(r, who)
			b.At = a.now
			return r.Approve(b, testPolicy())
		})
		a.must(err)
	}
	_, err = a.store.Claim(a.Context(), id, "attempt")
	a.must(err)
	a.must(a.store.Finish(a.Context(), id, cause, "", actions.Outcome{}))
}

func TestLagHistoryMarksWhatHappened(t *testing.T) {
	t.Parallel()
	a := newArchivist(t)
	start := a.now
	num := func(n uint64) *uint64 { return &n }
	primary := "dc1"
	for i := range 121 {
		a.now = start.Add(time.Duration(i) * 30 * time.Second)
		switch i {
		case 10:
			a.asked("01", actions.KindSwitchover, approvals.Abort) // nothing changed
		case 20:
			a.asked("02", actions.KindSwitchover, approvals.Succeed)
			primary = "dc2"
		case 60:
			primary = "dc1" // by somebody's hand
		case 80:
			a.must(a.store.Append(a.Context(), []approvals.Event{
				{At: a.now, Subject: "pair/orders", Kind: actions.NewsAlert, Data: []byte(`{"health":"writes block"}`)},
				{At: a.now, Subject: "pair/billing", Kind: actions.NewsAlert, Data: []byte(`{"health":"writes block"}`)},
				{At: a.now, Subject: "pair/orders", Kind: actions.NewsPaused, Actor: "dba-1"},
			}))
		case 90:
			a.asked("03", actions.KindDrill, approvals.Succeed)
		}
		s := actions.Sample{At: a.now, Primary: primary, State: string(actions.HealthOK), Replay: num(uint64(i))}
		if i >= 100 && i < 105 {
			s.Replay, s.Primary = nil, ""
		}
		if i < 30 || i > 39 {
			a.must(a.store.AddSample(t.Context(), "orders", s))
		}
	}
	h, err := a.desk.Lag(t.Context(), "orders", time.Hour)
	a.must(err)
	var got []string
	for _, m := range h.Marks {
		got = append(got, fmt.Sprintf("%s %s %s", m.At.Sub(start), m.Kind, m.Text))
	}
	want := "10m0s failover switchover\n30m0s failover dc1 became the primary, not by a request\n40m0s alert writes block\n40m0s pause paused by dba-1"
	if strings.Join(got, "\n") != want {
		t.Errorf("marks\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	var gaps []string
	for _, g := range h.Unknown() {
		gaps = append(gaps, fmt.Sprintf("%s-%s", g.From.Sub(start), g.To.Sub(start)))
	}
	if strings.Join(gaps, " ") != "14m30s-20m0s 50m0s-52m30s" {
		t.Errorf("not known: %s", gaps)
	}
	if len(h.Samples) != 111 || !h.From.Equal(start) {
		t.Errorf("%d samples from %s on", len(h.Samples), h.From)
	}
	if _, err := a.desk.Lag(t.Context(), "billing", time.Hour); approvals.Refused(err) != approvals.CodeInput {
		t.Errorf("of an unknown pair: %v", err)
	}
}

// TestUnknownOfMergedSamples: far back there is one sample for each five minutes,
// and that is no hole.
func TestUnknownOfMergedSamples(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	h := actions.LagHistory{From: now.Add(-7 * 24 * time.Hour), To: now}
	zero := uint64(0)
	step := actions.MergeStep
	for at := h.From; !at.After(now); at = at.Add(step) {
		if at.After(now.Add(-actions.MergeAfter)) {
			step = 10 * time.Second
		}
		h.Samples = append(h.Samples, actions.Sample{At: at, Replay: &zero})
	}
	if gaps := h.Unknown(); len(gaps) != 0 {
		t.Errorf("not known: %v", gaps)
	}
	if gaps := (actions.LagHistory{From: h.From, To: now}).Unknown(); len(gaps) != 1 || gaps[0] != (actions.Span{From: h.From, To: now}) {
		t.Errorf("without a sample: %v", gaps)
	}
}

func TestAuditFindsRequestsAndEntries(t *testing.T) {
	t.Parallel()
	a := newArchivist(t)
	if tr, err := a.desk.Audit(t.Context(), "", 10); err != nil || len(tr.Events) != 0 || tr.Head != 0 {
		t.Errorf("of an empty log: %+v, %v", tr, err)
	}
	a.asked("01K0AAAA1111", actions.KindSwitchover, approvals.Succeed)
	a.asked("01K0BBBB1111", actions.KindRejoin, approvals.Fail)
	for ref, want := range map[string]string{
		"": "6-10 of 10", "aaaa1111": "1-5 of 10", "01K0BBBB1111": "6-10 of 10", "7": "7-7 of 10",
	} {
		tr, err := a.desk.Audit(t.Context(), ref, 5)
		a.must(err)
		if got := fmt.Sprintf("%d-%d of %d", tr.Events[0].Seq, tr.Events[len(tr.Events)-1].Seq, tr.Head); got != want {
			t.Errorf("%q: %s, want %s", ref, got, want)
		}
	}
	if tr, err := a.desk.Audit(t.Context(), "AAAA1111", 2); err != nil || tr.Left != 3 || tr.Request == nil || len(tr.Events) != 2 {
		t.Errorf("cut off: %+v, %v", tr, err)
	}
	for ref, want := range map[string]approvals.Code{"1111": approvals.CodeInput, "xy": approvals.CodeInput, "11": approvals.CodeInput, "CCCC1111": approvals.CodeUnknown} {
		if _, err := a.desk.Audit(t.Context(), ref, 5); approvals.Refused(err) != want {
			t.Errorf("%q: %v", ref, err)
		}
	}
	past, err := a.desk.History(t.Context(), "orders", 10)
	if err != nil || len(past) != 2 || past[0].ID != "01K0BBBB1111" {
		t.Errorf("history %v, %v", past, err)
	}
}
