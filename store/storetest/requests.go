package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
	"twokey/store"
)

func testRequests(t *testing.T, b bundle) {
	asked, _ := Ask("01", "orders", b.clock.Now())
	made := b.create(t, "01", "orders")
	if made.Version != 1 || made.Digest() != asked.Digest() {
		t.Fatalf("created as version %d, digest kept: %t", made.Version, made.Digest() == asked.Digest())
	}
	read, err := b.Request(t.Context(), "01")
	must(t, err)
	if diff := cmp.Diff(made, read); diff != "" {
		t.Errorf("what Create returned is not what is read (-created +read):\n%s", diff)
	}
	asked.Version = 1
	if diff := cmp.Diff(asked, read); diff != "" {
		t.Errorf("what was asked is not what is read (-asked +read):\n%s", diff)
	}
	if _, err := b.Request(t.Context(), "02"); approvals.Refused(err) != approvals.CodeUnknown {
		t.Errorf("a request that doesn't exist: %v", err)
	}
	if _, err := b.Update(t.Context(), "02", Yes("dba-1", b.clock.Now())); approvals.Refused(err) != approvals.CodeUnknown {
		t.Errorf("a vote on a request that doesn't exist: %v", err)
	}
	again, events := Ask("01", "billing", b.clock.Now())
	if _, err := b.Create(t.Context(), again, events); err == nil {
		t.Error("an id could be used twice")
	}
}

func testChanges(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	if r := b.approve(t, "01", "dba-1"); r.Version != 2 || r.State != approvals.Partial {
		t.Fatalf("after one vote: version %d, %s", r.Version, r.State)
	}
	before := b.events(t)
	type change = func(approvals.Request) (approvals.Request, []approvals.Event, error)
	boom := errors.New("boom")
	event := []approvals.Event{{Subject: "request/01", Kind: "forged"}}
	for title, row := range map[string]struct {
		change change
		want   func(error) bool
	}{
		"a change that fails changes nothing": {
			func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
				r.State = approvals.Approved
				return r, event, boom
			}, func(err error) bool { return errors.Is(err, boom) }},
		"a change without events changes nothing": {
			func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
				r.State = approvals.Approved
				return r, nil, nil
			}, func(err error) bool { return err == nil }},
		"a second vote of the same person is refused as it is": {
			Yes("dba-1", b.clock.Now()), func(err error) bool { return approvals.Refused(err) == approvals.CodeVotedBefore }},
		"what the digest covers can't be changed": {
			func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
				r.Subject.Text = "drop everything"
				return r, event, nil
			}, func(err error) bool { return err != nil }},
		"the pair can't be changed": {
			func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
				r.Subject.Pair = "billing"
				return r, event, nil
			}, func(err error) bool { return err != nil }},
	} {
		if _, err := b.Update(t.Context(), "01", row.change); !row.want(err) {
			t.Errorf("%s: %v", title, err)
		}
		r, err := b.Request(t.Context(), "01")
		must(t, err)
		if r.State != approvals.Partial || r.Version != 2 {
			t.Errorf("%s: now it is %s in version %d", title, r.State, r.Version)
		}
		if diff := cmp.Diff(before, b.events(t)); diff != "" {
			t.Errorf("%s: the log changed:\n%s", title, diff)
		}
	}
	if r, err := b.Update(t.Context(), "01", No("dba-2", b.clock.Now())); err != nil || r.State != approvals.Denied {
		t.Fatalf("a denial: %s, %v", r.State, err)
	}
	revive := func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		r.State = approvals.Approved
		return r, event, nil
	}
	if _, err := b.Update(t.Context(), "01", revive); err == nil {
		t.Error("an ended request could be changed")
	}
}

func testOneOpen(t *testing.T, b bundle) {
	b.create(t, "01", "orders")
	b.create(t, "02", "billing")
	r, events := Ask("03", "orders", b.clock.Now())
	_, err := b.Create(t.Context(), r, events)
	refusal, ok := errors.AsType[*approvals.Refusal](err)
	if !ok || refusal.Code != approvals.CodeOpen || refusal.Request != "01" {
		t.Fatalf("a second open request of one pair: %v", err)
	}
	if _, err := b.Request(t.Context(), "03"); approvals.Refused(err) != approvals.CodeUnknown {
		t.Errorf("the refused request was kept: %v", err)
	}
	if got := ids(b.open(t)); got != "[01 02]" {
		t.Errorf("open: %s", got)
	}
	_, err = b.Update(t.Context(), "01", No("dba-1", b.clock.Now()))
	must(t, err)
	b.create(t, "03", "orders")
	if got := ids(b.open(t)); got != "[02 03]" {
		t.Errorf("open after one ended: %s", got)
	}
	b.approve(t, "03", "dba-1", "dba-2")
	if got := ids(b.open(t)); got != "[02 03]" {
		t.Errorf("an approved request is open until it has run, but open are %s", got)
	}
}

func (b bundle) open(t *testing.T) []approvals.Request {
	t.Helper()
	out, err := b.Open(t.Context())
	must(t, err)
	return out
}

func testHistory(t *testing.T, b bundle) {
	for i := 1; i <= 5; i++ {
		for _, pair := range []string{"orders", "order", "orders2"} {
			id := fmt.Sprintf("%02d-%s", i, pair)
			b.create(t, id, pair)
			_, err := b.Update(t.Context(), id, No("dba-1", b.clock.Now()))
			must(t, err)
		}
	}
	for _, row := range []struct {
		title  string
		filter store.Filter
		limit  int
		want   string
	}{
		{"the newest of all come first", store.Filter{}, 4, "[05-orders2 05-orders 05-order 04-orders2]"},
		{"a pair's own", store.Filter{Pair: "orders"}, 2, "[05-orders 04-orders]"},
		{"a pair whose name begins another's", store.Filter{Pair: "order"}, 9, "[05-order 04-order 03-order 02-order 01-order]"},
		{"the next page of a pair", store.Filter{Pair: "orders", Before: "04-orders"}, 2, "[03-orders 02-orders]"},
		{"the next page of all", store.Filter{Before: "02-order"}, 2, "[01-orders2 01-orders]"},
		{"before the first", store.Filter{Before: "01-order"}, 9, "[]"},
		{"a page before something that never was", store.Filter{Pair: "orders", Before: "03-orderz"}, 1, "[03-orders]"},
		{"a pair that has none", store.Filter{Pair: "billing"}, 9, "[]"},
		{"none wanted", store.Filter{}, 0, "[]"},
	} {
		got, err := b.Requests(t.Context(), row.filter, row.limit)
		must(t, err)
		if ids(got) != row.want {
			t.Errorf("%s: got %s, want %s", row.title, ids(got), row.want)
		}
	}
}

func ids(requests []approvals.Request) string {
	out := []string{}
	for _, r := range requests {
		out = append(out, r.ID)
	}
	return fmt.Sprint(out)
}
