package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

func testMemory(t *testing.T, b bundle) {
	none, err := b.Remembered(t.Context(), "orders")
	if diff := cmp.Diff(actions.Remembered{}, none); err != nil || diff != "" {
		t.Errorf("of an unknown pair something is remembered: %v %s", err, diff)
	}
	m := actions.Remembered{
		Latch: &actions.Latch{SystemID: "7", Timeline: 3, L: 0x3000060, Since: b.clock.Now()}, Primary: "dc1",
		PrimaryAt: b.clock.Now().Add(time.Nanosecond), Health: actions.HealthOK,
	}
	got, err := b.Revise(t.Context(), "orders", func(was actions.Remembered) (actions.Remembered, []approvals.Event) {
		if diff := cmp.Diff(actions.Remembered{}, was); diff != "" {
			t.Errorf("the first revision begins with something:\n%s", diff)
		}
		return m, []approvals.Event{{Subject: "pair/orders", Kind: "latch"}}
	})
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Errorf("revised: %v (-want +got)\n%s", err, diff)
	}
	got, err = b.Remembered(t.Context(), "orders")
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Errorf("remembered: %v (-want +got)\n%s", err, diff)
	}
	_, err = b.Revise(t.Context(), "orders", func(was actions.Remembered) (actions.Remembered, []approvals.Event) {
		if diff := cmp.Diff(m, was); diff != "" {
			t.Errorf("the next revision doesn't begin with the last:\n%s", diff)
		}
		return actions.Remembered{}, []approvals.Event{{Kind: "no subject"}}
	})
	if err == nil {
		t.Fatal("an event without a subject was stored")
	}
	if got, err := b.Revise(t.Context(), "orders", same); err != nil || cmp.Diff(m, got) != "" {
		t.Errorf("a revision that changes nothing: %v, %v", got, err)
	}
	got, err = b.Remembered(t.Context(), "orders")
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Errorf("a refused event took the memory with it: %v\n%s", err, diff)
	}
	if events := b.events(t); len(events) != 1 || events[0].Kind != "latch" {
		t.Errorf("events: %v", events)
	}
}

func same(m actions.Remembered) (actions.Remembered, []approvals.Event) { return m, nil }

// testPause: a pause is seen by the claim's own transaction, of its pair alone.
func testPause(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	b.create(t, "02", "billing")
	b.approve(t, "01", "dba-1", "dba-2")
	b.approve(t, "02", "dba-1", "dba-2")
	pause := func(p *actions.Paused) {
		_, err := b.Revise(t.Context(), "orders", func(m actions.Remembered) (actions.Remembered, []approvals.Event) {
			m.Paused = p
			return m, nil
		})
		must(t, err)
	}
	pause(&actions.Paused{By: "dba-1", At: b.clock.Now(), Why: "upgrade"})
	before := b.events(t)
	if _, err := b.Claim(t.Context(), "01", "attempt"); approvals.Refused(err) != approvals.CodePaused {
		t.Errorf("a claim while paused: %v", err)
	}
	if r, err := b.Request(t.Context(), "01"); r.State != approvals.Approved || err != nil || cmp.Diff(before, b.events(t)) != "" {
		t.Errorf("a refused claim left the request %s, %v", r.State, err)
	}
	_, err := b.Claim(t.Context(), "02", "attempt")
	must(t, err)
	pause(nil)
	_, err = b.Claim(t.Context(), "01", "attempt")
	must(t, err)
}

func testSamples(t *testing.T, b bundle) {
	n, w := func(v uint64) *uint64 { return &v }, -3
	at := b.clock.Now()
	samples := []actions.Sample{
		{At: at, State: "ok"},
		{At: at.Add(time.Millisecond), Primary: "dc1", State: "lagging", Write: n(0), Flush: n(1), Replay: n(math.MaxUint64), SlotBytes: n(1 << 40), Waiters: &w},
		{At: at.Add(time.Second), Primary: strings.Repeat("ü", 200), Replay: n(7)},
	}
	for _, i := range []int{2, 0, 1, 1} { // in any order, one of them twice
		must(t, b.AddSample(t.Context(), "orders", samples[i]))
	}
	must(t, b.AddSample(t.Context(), "orders2", samples[0]))
	for _, row := range []struct {
		title string
		pair  string
		since time.Time
		want  []actions.Sample
	}{
		{"all of them, in order", "orders", time.Time{}, samples},
		{"from one on", "orders", samples[1].At, samples[1:]},
		{"after the last", "orders", at.Add(time.Hour), nil},
		{"of a pair without any", "order", time.Time{}, nil},
	} {
		got, err := b.Samples(t.Context(), row.pair, row.since)
		if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", row.title, err, diff)
		}
	}
}

func testSampleAge(t *testing.T, b bundle) {
	count := func(pair string) int {
		got, err := b.Samples(t.Context(), pair, time.Time{})
		must(t, err)
		return len(got)
	}
	for i := range 50 {
		must(t, b.AddSample(t.Context(), "gone", actions.Sample{At: b.clock.Now().Add(time.Duration(i) * time.Second)}))
		must(t, b.AddSample(t.Context(), "kept", actions.Sample{At: b.clock.Now().Add(time.Duration(i) * time.Second)}))
	}
	b.clock.Forward(SampleAge - time.Second)
	must(t, b.AddSample(t.Context(), "kept", actions.Sample{At: b.clock.Now()}))
	if count("gone") != 50 || count("kept") != 51 {
		t.Errorf("young samples were removed: %d and %d are left", count("gone"), count("kept"))
	}
	b.clock.Forward(2 * time.Minute)
	for range 25 {
		must(t, b.AddSample(t.Context(), "kept", actions.Sample{At: b.clock.Now()}))
		b.clock.Forward(time.Second)
	}
	if count("gone") != 0 || count("kept") != 26 {
		t.Errorf("old samples are still there: %d and %d, want 0 and 26", count("gone"), count("kept"))
	}
}

func testOutbox(t *testing.T, b bundle) {
	at := func(who string) uint64 {
		seq, err := b.Cursor(t.Context(), who)
		must(t, err)
		return seq
	}
	for i := range 5 {
		must(t, b.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: fmt.Sprint(i)}}))
	}
	if at("slack") != 0 {
		t.Errorf("a new cursor is at %d", at("slack"))
	}
	must(t, b.Advance(t.Context(), "slack", 3))
	must(t, b.Advance(t.Context(), "slack", 2))
	must(t, b.Advance(t.Context(), "slack", 3))
	if at("slack") != 3 || at("other") != 0 {
		t.Errorf("cursors at %d and %d, want 3 and 0", at("slack"), at("other"))
	}
	if err := b.Advance(t.Context(), "slack", 6); err == nil || at("slack") != 3 {
		t.Errorf("a cursor passed the end of the log: %d, %v", at("slack"), err)
	}
}

func testTexts(t *testing.T, b bundle) {
	for title, kind := range map[string]struct {
		get func(context.Context, string) (string, bool, error)
		set func(context.Context, string, string) error
	}{"place": {b.Place, b.SetPlace}, "setting": {b.Setting, b.SetSetting}} {
		if v, found, err := kind.get(t.Context(), "request/01"); v != "" || found || err != nil {
			t.Errorf("%s: never set, but %q %t %v", title, v, found, err)
		}
		for _, text := range []string{"C1/1.2", "C1/3.4", strings.Repeat("x", 100_000)} {
			must(t, kind.set(t.Context(), "request/01", text))
			if v, found, err := kind.get(t.Context(), "request/01"); v != text || !found || err != nil {
				t.Errorf("%s: %d bytes became %d, %t %v", title, len(text), len(v), found, err)
			}
		}
		must(t, kind.set(t.Context(), "request/01", ""))
		if v, found, err := kind.get(t.Context(), "request/01"); v != "" || found || err != nil {
			t.Errorf("%s: removed, but %q %t %v", title, v, found, err)
		}
	}
}

func testChangeSetting(t *testing.T, b bundle) {
	told := func(is string) (was string, known bool) {
		t.Helper()
		must(t, b.ChangeSetting(t.Context(), "policy", func(old string, there bool) (string, []approvals.Event) {
			was, known = old, there
			return is, []approvals.Event{{Subject: "bot", Kind: "policy", Data: []byte(fmt.Sprintf("%q", is))}}
		}))
		return was, known
	}
	for i, row := range []struct {
		is, was string
		known   bool
		events  int
	}{{"one", "", false, 1}, {"one", "one", true, 1}, {"two", "one", true, 2}, {"two", "two", true, 2}, {"one", "two", true, 3}} {
		was, known := told(row.is)
		if n := len(b.events(t)); was != row.was || known != row.known || n != row.events {
			t.Errorf("%d: was %q (%t), %d events", i, was, known, n)
		}
	}
	if v, _, err := b.Setting(t.Context(), "policy"); v != "one" || err != nil {
		t.Errorf("kept as %q, %v", v, err)
	}
	err := b.ChangeSetting(t.Context(), "policy", func(string, bool) (string, []approvals.Event) {
		return "three", []approvals.Event{{Kind: "no subject"}}
	})
	if v, _, _ := b.Setting(t.Context(), "policy"); err == nil || v != "one" {
		t.Errorf("half of it is stored: %q, %v", v, err)
	}
}

func testSeen(t *testing.T, b bundle) {
	first := func(key string) bool {
		t.Helper()
		is, err := b.Seen(t.Context(), key, 10*time.Minute)
		must(t, err)
		return is
	}
	long := strings.Repeat("k", 100_000)
	for _, key := range []string{"trigger 1", "trigger 2", long, ""} {
		if !first(key) || first(key) || first(key) {
			t.Errorf("the key of %d bytes is not recognised", len(key))
		}
	}
	b.clock.Forward(10*time.Minute - time.Nanosecond)
	if first("trigger 1") {
		t.Error("forgotten before its time")
	}
	b.clock.Forward(time.Nanosecond)
	for i := range 20 {
		if !first(fmt.Sprint("more ", i)) {
			t.Errorf("new key %d is taken for a known one", i)
		}
	}
	if !first("trigger 1") || first("trigger 1") {
		t.Error("remembered beyond its time, or not again")
	}
}

func testWake(t *testing.T, b bundle) {
	wake, cancel := b.Subscribe()
	other, stop := b.Subscribe()
	defer stop()
	awake := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	if !awake(wake) || awake(wake) {
		t.Error("a subscription starts with exactly one wake-up")
	}
	for range 3 {
		must(t, b.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "x"}}))
	}
	if !awake(wake) || awake(wake) || !awake(other) {
		t.Error("three commits are one wake-up for each subscriber")
	}
	cancel()
	cancel()
	must(t, b.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "x"}}))
	if awake(wake) || !awake(other) {
		t.Error("a cancelled subscription still wakes, or the other one doesn't")
	}
}

// testConcurrency lets everybody press at once: exactly the votes that count
// are counted, one claim wins, and the log has no gap.
func testConcurrency(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	var g sync.WaitGroup
	var mu sync.Mutex
	results := map[string]int{}
	note := func(kind string, err error) {
		mu.Lock()
		defer mu.Unlock()
		results[fmt.Sprintf("%s %s", kind, approvals.Refused(err))]++
		if _, refused := errors.AsType[*approvals.Refusal](err); err != nil && !refused {
			t.Error(err)
		}
	}
	for range 8 {
		g.Go(func() {
			_, err := b.Update(t.Context(), "01", Yes("dba-1", b.clock.Now()))
			note("vote", err)
		})
		g.Go(func() {
			_, err := b.Update(t.Context(), "01", Yes("dba-2", b.clock.Now()))
			note("vote", err)
		})
		g.Go(func() { note("seen", second(b.Seen(t.Context(), "one key", time.Hour))) })
		g.Go(func() { note("sample", b.AddSample(t.Context(), "orders", actions.Sample{At: b.clock.Now()})) })
		g.Go(func() {
			_, err := b.Revise(t.Context(), "one pair", func(m actions.Remembered) (actions.Remembered, []approvals.Event) {
				m.Timeline++
				return m, []approvals.Event{{Subject: "bot", Kind: "m"}}
			})
			note("memory", err)
		})
		g.Go(func() { _, err := b.Open(t.Context()); note("open", err) })
	}
	g.Wait()
	for i := range 8 {
		g.Go(func() { _, err := b.Claim(t.Context(), "01", fmt.Sprint("attempt", i)); note("claim", err) })
	}
	g.Wait()
	if results["vote "] != 2 || results["claim "] != 1 || results["claim wrong_state"] != 7 {
		t.Errorf("results: %v", results)
	}
	if m, err := b.Remembered(t.Context(), "one pair"); m.Timeline != 8 || err != nil {
		t.Errorf("8 revisions at once counted to %d, %v", m.Timeline, err)
	}
	kinds := map[string]int{}
	for _, e := range b.events(t) {
		kinds[e.Kind]++
	}
	if diff := cmp.Diff(map[string]int{"ask": 1, "approve": 2, "claim": 1, "m": 8}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func second(_ bool, err error) error { return err }

func testContext(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	before := b.events(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.Update(ctx, "01", func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		cancel() // the authority ends in the middle of the change
		return Yes("dba-1", b.clock.Now())(r)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a vote whose context ended: %v", err)
	}
	for title, call := range calls(ctx, b, "orders") {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", title, err)
		}
	}
	if diff := cmp.Diff(before, b.events(t)); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
}

// calls is every method that takes a context and a name.
func calls(ctx context.Context, b bundle, name string) map[string]func() error {
	event := []approvals.Event{{Subject: name, Kind: "x"}}
	out := map[string]func() error{
		"append":    func() error { return b.Append(ctx, event) },
		"advance":   func() error { return b.Advance(ctx, name, 1) },
		"set place": func() error { return b.SetPlace(ctx, name, "x") },
		"setting":   func() error { return b.SetSetting(ctx, name, "x") },
		"change setting": func() error {
			return b.ChangeSetting(ctx, name, func(string, bool) (string, []approvals.Event) { return "x", nil })
		},
		"factor":     func() error { _, err := b.Factor(ctx, approvals.Person(name)); return err },
		"set factor": func() error { return b.SetFactor(ctx, approvals.Person(name), approvals.Factor{}, event) },
		"update as": func() error {
			_, err := b.UpdateAs(ctx, "01", approvals.Person(name), func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
				return r, f, nil, nil
			})
			if approvals.Refused(err) == approvals.CodeUnknown {
				return nil // the name is taken
			}
			return err
		},
		"revise":     func() error { _, err := b.Revise(ctx, name, same); return err },
		"add sample": func() error { return b.AddSample(ctx, name, actions.Sample{At: b.clock.Now()}) },
		"cursor":     func() error { _, err := b.Cursor(ctx, name); return err },
		"place":      func() error { _, _, err := b.Place(ctx, name); return err },
		"remembered": func() error { _, err := b.Remembered(ctx, name); return err },
		"samples":    func() error { _, err := b.Samples(ctx, name, time.Time{}); return err },
		"create": func() error {
			r, events := Ask("id", "orders", b.clock.Now())
			r.Subject.Pair = name
			_, err := b.Create(ctx, r, events)
			return err
		},
	}
	if name == "orders" { // these take no name that could be wrong
		out["request"] = func() error { _, err := b.Request(ctx, "01"); return err }
		out["requests"] = func() error { _, err := b.Requests(ctx, store.Filter{}, 1); return err }
		out["entries"] = func() error { _, err := b.Entries(ctx, "01"); return err }
		out["seen"] = func() error { return second(b.Seen(ctx, "x", time.Hour)) }
		out["events"] = func() error { _, err := b.EventsAfter(ctx, 0, 1); return err }
		out["audit"] = func() error { return b.Audit(ctx, 0, func(approvals.Event) error { return nil }) }
	}
	return out
}

func testNames(t *testing.T, b bundle) {
	for _, bad := range []string{"", "with a \x00 in it", strings.Repeat("x", 40_000)} {
		for title, call := range calls(t.Context(), b, bad) {
			if err := call(); err == nil {
				t.Errorf("%s takes a name of %d bytes: %q…", title, len(bad), bad[:min(20, len(bad))])
			}
		}
	}
	if events := b.events(t); len(events) != 0 {
		t.Errorf("something was written: %v", events)
	}
	good := []string{"ü", "a/b", " ", "request/x", strings.Repeat("x", 1000)}
	for title, call := range calls(t.Context(), b, good[0]) {
		if err := call(); err != nil && title != "advance" {
			t.Errorf("%s refuses %q: %v", title, good[0], err)
		}
	}
	for _, name := range good[1:] {
		must(t, b.SetPlace(t.Context(), name, name))
	}
	for _, name := range good[1:] {
		if v, _, err := b.Place(t.Context(), name); v != name || err != nil {
			t.Errorf("%q is kept as %q, %v", name, v, err)
		}
	}
}
