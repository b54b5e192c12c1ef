package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

func testEvents(t *testing.T, b bundle) {
	if seq, hash, err := b.Head(t.Context()); seq != 0 || hash != "" || err != nil {
		t.Fatalf("head of an empty log: %d %q %v", seq, hash, err)
	}
	b.create(t, "01", "orders")
	must(t, b.Append(t.Context(), []approvals.Event{
		{At: b.clock.Now().In(time.FixedZone("far", 3600)), Subject: "pair/orders", Kind: "alert", Data: []byte(`{ "health": "<gone> & \u00fc" }`), Seq: 99, Hash: "x", Prev: "y"},
		{At: b.clock.Now(), Subject: "bot", Kind: "start", Actor: "b\xffd \u2028"},
	}))
	b.approve(t, "01", "dba-1")
	all := b.events(t)
	for i, want := range []string{"ask", "alert", "start", "approve"} {
		if all[i].Kind != want || all[i].Seq != uint64(i+1) {
			t.Fatalf("event %d is %d %s, want %s", i+1, all[i].Seq, all[i].Kind, want)
		}
	}
	checkChain(t, all)
	checkPages(t, b, all)
	seq, hash, err := b.Head(t.Context())
	must(t, err)
	if seq != 4 || hash != all[3].Hash {
		t.Errorf("head: %d %s", seq, hash)
	}
	if err := b.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "a"}, {Kind: "no subject"}}); err == nil {
		t.Error("an event without a subject was stored")
	}
	if diff := cmp.Diff(all, b.events(t)); diff != "" {
		t.Errorf("a refused batch of events left something:\n%s", diff)
	}
	boom := errors.New("boom")
	if err := b.Audit(t.Context(), 2, func(approvals.Event) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the visitor's error: %v", err)
	}
	missing, ok := errors.AsType[*store.ChainError](b.Audit(t.Context(), 9, func(approvals.Event) error { return nil }))
	if !ok || missing.Seq != 9 {
		t.Errorf("an audit from an event that was cut off: %v", missing)
	}
}

// checkChain computes the chain a second time, from what is documented.
func checkChain(t *testing.T, all []approvals.Event) {
	t.Helper()
	prev := ""
	for _, e := range all {
		hash := e.Hash
		if e.Prev != prev {
			t.Errorf("event %d follows %q, want %q", e.Seq, e.Prev, prev)
		}
		e.Prev, e.Hash = "", ""
		body, err := json.Marshal(e)
		must(t, err)
		sum := sha256.Sum256([]byte(prev + "\n" + string(body)))
		if hex.EncodeToString(sum[:]) != hash {
			t.Errorf("event %d has hash %s, want %x", e.Seq, hash, sum)
		}
		prev = hash
	}
}

func checkPages(t *testing.T, b bundle, all []approvals.Event) {
	t.Helper()
	for _, row := range []struct {
		after uint64
		limit int
		want  []approvals.Event
	}{{0, 9, all}, {1, 2, all[1:3]}, {4, 9, nil}, {99, 9, nil}, {0, 0, nil}} {
		got, err := b.EventsAfter(t.Context(), row.after, row.limit)
		must(t, err)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%d events after %d (-want +got):\n%s", row.limit, row.after, diff)
		}
	}
	for _, row := range []struct {
		subject string
		limit   int
		want    []approvals.Event
	}{
		{"request/01", 9, []approvals.Event{all[0], all[3]}}, {"request/01", 1, all[3:]},
		{"request/0", 9, nil}, {"bot", 9, all[2:3]}, {"", 9, nil},
	} {
		got, err := b.EventsOf(t.Context(), row.subject, row.limit)
		must(t, err)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%d events of %q (-want +got):\n%s", row.limit, row.subject, diff)
		}
	}
}

func testJournal(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	if _, err := b.Claim(t.Context(), "01", "attempt"); approvals.Refused(err) != approvals.CodeState {
		t.Fatalf("a claim without votes: %v", err)
	}
	entry := actions.Entry{At: b.clock.Now(), Attempt: "attempt", Op: actions.OpStop, Node: "dc1", Phase: actions.Intent, Text: "stop it", Data: []byte(`{"lsn":"0/1"}`)}
	if err := b.Record(t.Context(), "01", entry); !errors.Is(err, store.ErrAttempt) {
		t.Errorf("an entry before the claim: %v", err)
	}
	b.approve(t, "01", "dba-1", "dba-2")
	r, err := b.Claim(t.Context(), "01", "attempt")
	must(t, err)
	if r.State != approvals.Executing || r.Attempt != "attempt" {
		t.Fatalf("claimed: %s by %q", r.State, r.Attempt)
	}
	if _, err := b.Claim(t.Context(), "01", "other"); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("a second claim: %v", err)
	}
	b.running(t, "010", "billing", "attempt") // its key continues the other's
	must(t, b.Record(t.Context(), "01", entry))
	must(t, b.Record(t.Context(), "010", entry))
	entry.Phase, entry.Data, entry.At = actions.Done, nil, time.Time{}
	must(t, b.Record(t.Context(), "01", entry))
	checkEntries(t, b)

	stranger := entry
	stranger.Attempt = "other"
	if err := b.Record(t.Context(), "01", stranger); !errors.Is(err, store.ErrAttempt) {
		t.Errorf("an entry of another attempt: %v", err)
	}
	if err := b.Record(t.Context(), "02", entry); approvals.Refused(err) != approvals.CodeUnknown {
		t.Errorf("an entry of an unknown request: %v", err)
	}
	finish(t, b)
}

func checkEntries(t *testing.T, b bundle) {
	t.Helper()
	got, err := b.Entries(t.Context(), "01")
	must(t, err)
	want := []actions.Entry{
		{Seq: 1, At: b.clock.Now(), Attempt: "attempt", Op: actions.OpStop, Node: "dc1", Phase: actions.Intent, Text: "stop it", Data: []byte(`{"lsn":"0/1"}`)},
		{Seq: 2, At: b.clock.Now(), Attempt: "attempt", Op: actions.OpStop, Node: "dc1", Phase: actions.Done, Text: "stop it"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	events, err := b.EventsOf(t.Context(), "request/01", 2)
	must(t, err)
	for i, e := range events {
		var step actions.Entry
		must(t, json.Unmarshal(e.Data, &step))
		want[i].Data = nil
		if diff := cmp.Diff(want[i], step); e.Kind != store.StepEvent || diff != "" {
			t.Errorf("%s event %d (-want +got):\n%s", e.Kind, i, diff)
		}
	}
	none, err := b.Entries(t.Context(), "0")
	if err != nil || len(none) != 0 {
		t.Errorf("entries of a request that has none: %v %v", none, err)
	}
}

func finish(t *testing.T, b bundle) {
	t.Helper()
	out := actions.Outcome{Kind: actions.KindSwitchover, Pair: "orders", NewPrimary: "dc2", Gate: 0x1234, WritePause: time.Second}
	if err := b.Finish(t.Context(), "01", approvals.Expire, "no", out); approvals.Refused(err) != approvals.CodeInput {
		t.Errorf("a finish by a cause that isn't one: %v", err)
	}
	must(t, b.Finish(t.Context(), "01", approvals.Succeed, "verified", out))
	r, err := b.Request(t.Context(), "01")
	must(t, err)
	var got actions.Outcome
	must(t, json.Unmarshal(r.Outcome, &got))
	if diff := cmp.Diff(out, got); r.State != approvals.Succeeded || r.Why != "verified" || diff != "" {
		t.Errorf("finished as %s because %q, outcome (-want +got):\n%s", r.State, r.Why, diff)
	}
	if err := b.Finish(t.Context(), "01", approvals.Abort, "again", out); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("a second finish: %v", err)
	}
}
