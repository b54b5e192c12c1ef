package store_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// TestAgainstModel lets random operations run against the store and against
// maps in memory, opening the file anew now and then, and compares everything
// that can be read. rapid prints the seed of a failure.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := newModel(t, rt, filepath.Join(dir, fmt.Sprint(n)))
		defer m.close()
		rt.Repeat(rapid.StateMachineActions(m))
	})
}

var (
	pairs  = []string{"orders", "order", "billing"}
	people = []approvals.Person{"oncall", "dba-1", "dba-2", "manager", "guest"}
)

// differ says how two values differ; most don't, and that is found out quickly.
func differ(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return gocmp.Diff(want, got)
}

// model is what the store should hold.
type model struct {
	t     *testing.T
	path  string
	store *store.Store
	clock *storetest.Clock

	requests map[string]approvals.Request
	events   []approvals.Event // without their chain
	entries  map[string][]actions.Entry
	memory   map[string]actions.Remembered
	samples  map[string]map[time.Time]actions.Sample
	seen     map[string]time.Time
	cursor   uint64
	places   map[string]string
}

func newModel(t *testing.T, rt *rapid.T, path string) *model {
	m := &model{
		t: t, path: path, clock: storetest.NewClock(), requests: map[string]approvals.Request{}, entries: map[string][]actions.Entry{},
		memory: map[string]actions.Remembered{}, samples: map[string]map[time.Time]actions.Sample{},
		seen: map[string]time.Time{}, places: map[string]string{},
	}
	m.open(rt)
	return m
}

func (m *model) open(rt *rapid.T) {
	s, err := store.Open(m.path, store.Options{Now: m.clock.Now, LockTimeout: time.Minute, SampleFull: 1000 * time.Hour})
	if err != nil {
		rt.Fatal(err)
	}
	store.NoSync(s)
	m.store = s
}

func (m *model) close() {
	must(m.t, m.store.Close())
	checkFile(m.t, m.path)
	must(m.t, os.Remove(m.path))
}

// Reopen closes the store and opens it again.
func (m *model) Reopen(rt *rapid.T) {
	if err := m.store.Close(); err != nil {
		rt.Fatal(err)
	}
	m.open(rt)
}

func (m *model) Wait(rt *rapid.T) {
	m.clock.Forward(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 70 * time.Minute}).Draw(rt, "for"))
}

func (m *model) Ask(rt *rapid.T) {
	r, events := storetest.Ask(fmt.Sprintf("%06d", len(m.requests)), rapid.SampledFrom(pairs).Draw(rt, "pair"), m.clock.Now())
	var inTheWay string
	for _, other := range m.requests {
		if other.Subject.Pair == r.Subject.Pair && !other.State.Ended() {
			inTheWay = other.ID
		}
	}
	got, err := m.store.Create(m.t.Context(), r, events)
	if inTheWay != "" {
		if approvals.Refused(err) != approvals.CodeOpen {
			rt.Fatalf("%s is open, but: %v", inTheWay, err)
		}
		return
	}
	r.Version = 1
	m.commit(rt, r, events, got, err)
}

// Decide lets somebody, or time, try something on a request, fit or not.
func (m *model) Decide(rt *rapid.T) {
	r, ok := m.pick(rt)
	if !ok {
		return
	}
	b := approvals.Ballot{
		Person: rapid.SampledFrom(people).Draw(rt, "person"), At: m.clock.Now(), Via: "slack", Proof: "p",
		Digest: r.Digest().Short(), Place: r.Place, Why: "why <&>",
	}
	policy, now := storetest.Policy(), m.clock.Now()
	change := rapid.SampledFrom([]func(approvals.Request) (approvals.Request, []approvals.Event, error){
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Approve(b, policy) },
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Approve(b, policy) },
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Deny(b, policy) },
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Cancel(b) },
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Expire(now) },
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Outdate(now, "role")
		},
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Hold(now, "q", "orders", now.Add(time.Minute))
		},
		func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Answer(b, approvals.Accept, "orders", policy)
		},
	}).Draw(rt, "change")
	got, err := m.store.Update(m.t.Context(), r.ID, change)
	m.compare(rt, r, change, got, err)
}

// compare does the same to the model's request and expects the same answer.
func (m *model) compare(rt *rapid.T, r approvals.Request, change func(approvals.Request) (approvals.Request, []approvals.Event, error), got approvals.Request, err error) {
	next, events, want := change(r)
	switch {
	case want != nil:
		if approvals.Refused(err) != approvals.Refused(want) {
			rt.Fatalf("refused with %v, want %v", err, want)
		}
	case len(events) == 0:
		if diff := differ(r, got); err != nil || diff != "" {
			rt.Fatalf("nothing changes: %v\n%s", err, diff)
		}
	default:
		next.Version++
		m.commit(rt, next, events, got, err)
	}
}

func (m *model) commit(rt *rapid.T, want approvals.Request, events []approvals.Event, got approvals.Request, err error) {
	if diff := differ(want, got); err != nil || diff != "" {
		rt.Fatalf("committed: %v (-want +got)\n%s", err, diff)
	}
	m.requests[want.ID] = want
	m.events = append(m.events, events...)
}

func (m *model) pick(rt *rapid.T) (approvals.Request, bool) {
	if len(m.requests) == 0 {
		return approvals.Request{}, false
	}
	last := len(m.requests) - 1 // mostly the newest, which are open
	id := fmt.Sprintf("%06d", last-rapid.IntRange(0, min(last, 3)).Draw(rt, "back"))
	return m.requests[id], true
}

func (m *model) Claim(rt *rapid.T) {
	if r, ok := m.pick(rt); ok {
		got, err := m.store.Claim(m.t.Context(), r.ID, "attempt")
		change := func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Claim(m.clock.Now(), "attempt")
		}
		m.compare(rt, r, change, got, err)
	}
}

func (m *model) Record(rt *rapid.T) {
	r, ok := m.pick(rt)
	if !ok {
		return
	}
	e := actions.Entry{At: m.clock.Now(), Attempt: "attempt", Op: actions.OpStop, Phase: actions.Note, Text: rapid.String().Draw(rt, "text")}
	err := m.store.Record(m.t.Context(), r.ID, e)
	if (r.Attempt == "") != (err != nil) {
		rt.Fatalf("an entry of a request claimed by %q: %v", r.Attempt, err)
	}
	if err == nil {
		e.Seq = uint64(len(m.entries[r.ID]) + 1)
		m.entries[r.ID] = append(m.entries[r.ID], e)
		m.events = append(m.events, approvals.Event{At: e.At, Subject: approvals.RequestSubject(r.ID), Kind: store.StepEvent})
	}
}

func (m *model) Finish(rt *rapid.T) {
	r, ok := m.pick(rt)
	if !ok {
		return
	}
	cause := rapid.SampledFrom([]approvals.Cause{approvals.Succeed, approvals.Abort, approvals.Fail, approvals.Lose}).Draw(rt, "cause")
	next, events, want := r.Finish(m.clock.Now(), cause, "why", nil)
	err := m.store.Finish(m.t.Context(), r.ID, cause, "why", actions.Outcome{})
	if approvals.Refused(err) != approvals.Refused(want) {
		rt.Fatalf("refused with %v, want %v", err, want)
	}
	if want != nil {
		return
	}
	got, err := m.store.Request(m.t.Context(), r.ID)
	next.Outcome, next.Version = got.Outcome, next.Version+1
	m.commit(rt, next, events, got, err)
}

func (m *model) Revise(rt *rapid.T) {
	pair, timeline := rapid.SampledFrom(pairs).Draw(rt, "pair"), rapid.Uint32Range(1, 3).Draw(rt, "timeline")
	var events []approvals.Event
	if rapid.Bool().Draw(rt, "event") {
		events = []approvals.Event{{At: m.clock.Now(), Subject: approvals.PairSubject(pair), Kind: "alert"}}
	}
	got, err := m.store.Revise(m.t.Context(), pair, func(was actions.Remembered) (actions.Remembered, []approvals.Event) {
		was.Timeline += timeline
		return was, events
	})
	want := m.memory[pair]
	want.Timeline += timeline
	m.memory[pair] = want
	m.events = append(m.events, events...)
	if diff := differ(want, got); err != nil || diff != "" {
		rt.Fatalf("revised: %v (-want +got)\n%s", err, diff)
	}
}

func (m *model) Sample(rt *rapid.T) {
	pair := rapid.SampledFrom(pairs).Draw(rt, "pair")
	s := actions.Sample{At: m.clock.Now(), State: rapid.SampledFrom([]string{"ok", "bad"}).Draw(rt, "state")}
	if err := m.store.AddSample(m.t.Context(), pair, s); err != nil {
		rt.Fatal(err)
	}
	if m.samples[pair] == nil {
		m.samples[pair] = map[time.Time]actions.Sample{}
	}
	m.samples[pair][s.At] = s
}

func (m *model) See(rt *rapid.T) {
	key := rapid.StringMatching("[ab]{1,2}").Draw(rt, "key")
	want := !m.clock.Now().Before(m.seen[key])
	got, err := m.store.Seen(m.t.Context(), key, 10*time.Minute)
	if err != nil || got != want {
		rt.Fatalf("first time: %t, want %t, %v", got, want, err)
	}
	if want {
		m.seen[key] = m.clock.Now().Add(10 * time.Minute)
	}
}

func (m *model) Deliver(rt *rapid.T) {
	to := m.cursor + rapid.Uint64Range(0, 3).Draw(rt, "by")
	err := m.store.Advance(m.t.Context(), "slack", to)
	if beyond := to > uint64(len(m.events)); beyond != (err != nil) {
		rt.Fatalf("advance to %d of %d: %v", to, len(m.events), err)
	} else if !beyond {
		m.cursor = to
	}
	subject, place := rapid.SampledFrom(pairs).Draw(rt, "subject"), rapid.StringN(0, 5, -1).Draw(rt, "place")
	if err := m.store.SetPlace(m.t.Context(), subject, place); err != nil {
		rt.Fatal(err)
	}
	m.places[subject] = place
}

// Check compares everything; rapid calls it after each operation.
func (m *model) Check(rt *rapid.T) {
	m.checkRequests(rt)
	m.checkEvents(rt)
	for _, pair := range pairs {
		m.checkPair(rt, pair)
	}
	if at, err := m.store.Cursor(m.t.Context(), "slack"); at != m.cursor || err != nil {
		rt.Fatalf("cursor at %d, want %d, %v", at, m.cursor, err)
	}
}

func (m *model) checkRequests(rt *rapid.T) {
	all, open := []approvals.Request{}, []approvals.Request(nil)
	for _, r := range m.requests {
		all = append(all, r)
		if !r.State.Ended() {
			open = append(open, r)
		}
		entries, err := m.store.Entries(m.t.Context(), r.ID)
		if diff := differ(m.entries[r.ID], entries); err != nil || diff != "" {
			rt.Fatalf("journal of %s: %v (-want +got)\n%s", r.ID, err, diff)
		}
	}
	byID := func(a, b approvals.Request) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(all, func(a, b approvals.Request) int { return byID(b, a) })
	slices.SortFunc(open, byID)
	got, err := m.store.Requests(m.t.Context(), store.Filter{}, len(all))
	if diff := differ(all, append([]approvals.Request{}, got...)); err != nil || diff != "" {
		rt.Fatalf("requests: %v (-want +got)\n%s", err, diff)
	}
	got, err = m.store.Open(m.t.Context())
	if diff := differ(open, got); err != nil || diff != "" {
		rt.Fatalf("open requests: %v (-want +got)\n%s", err, diff)
	}
}

func (m *model) checkEvents(rt *rapid.T) {
	i := 0
	err := m.store.Audit(m.t.Context(), 0, func(e approvals.Event) error {
		if i == len(m.events) {
			return fmt.Errorf("an event too many: %v", e)
		}
		want := m.events[i]
		if e.Kind != want.Kind || e.Subject != want.Subject || e.Actor != want.Actor || !e.At.Equal(want.At) {
			return fmt.Errorf("event %d is %v, want %v", i, e, want)
		}
		i++
		return nil
	})
	if err != nil || i != len(m.events) {
		rt.Fatalf("%d of %d events: %v", i, len(m.events), err)
	}
}

func (m *model) checkPair(rt *rapid.T, pair string) {
	memory, err := m.store.Remembered(m.t.Context(), pair)
	if diff := differ(m.memory[pair], memory); err != nil || diff != "" {
		rt.Fatalf("memory of %s: %v (-want +got)\n%s", pair, err, diff)
	}
	var want []actions.Sample
	for _, s := range m.samples[pair] {
		want = append(want, s)
	}
	slices.SortFunc(want, func(a, b actions.Sample) int { return a.At.Compare(b.At) })
	got, err := m.store.Samples(m.t.Context(), pair, time.Time{})
	if diff := differ(want, got); err != nil || diff != "" {
		rt.Fatalf("samples of %s: %v (-want +got)\n%s", pair, err, diff)
	}
	place, found, err := m.store.Place(m.t.Context(), pair)
	if place != m.places[pair] || found != (place != "") || err != nil {
		rt.Fatalf("place of %s: %q %t, want %q, %v", pair, place, found, m.places[pair], err)
	}
	var of, wantOf []approvals.Request
	of, err = m.store.Requests(m.t.Context(), store.Filter{Pair: pair}, 2)
	for _, r := range m.requests {
		if r.Subject.Pair == pair {
			wantOf = append(wantOf, r)
		}
	}
	slices.SortFunc(wantOf, func(a, b approvals.Request) int { return cmp.Compare(b.ID, a.ID) })
	if diff := differ(wantOf[:min(2, len(wantOf))], of); err != nil || diff != "" {
		rt.Fatalf("newest requests of %s: %v (-want +got)\n%s", pair, err, diff)
	}
}
