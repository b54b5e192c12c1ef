// Package storetest holds what every implementation of the store must do, as
// tests that run against any of them. It is imported by tests only.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

// Store is everything that the bot asks of a store.
type Store interface {
	approvals.Store
	approvals.Factors
	actions.Journal
	actions.Memory
	actions.Samples

	SetFactor(ctx context.Context, who approvals.Person, f approvals.Factor, events []approvals.Event) error
	Factors(ctx context.Context) (map[approvals.Person]approvals.Factor, error)
	Requests(ctx context.Context, f store.Filter, limit int) ([]approvals.Request, error)
	Append(ctx context.Context, events []approvals.Event) error
	EventsAfter(ctx context.Context, seq uint64, limit int) ([]approvals.Event, error)
	EventsOf(ctx context.Context, subject string, limit int) ([]approvals.Event, error)
	Head(ctx context.Context) (seq uint64, hash string, err error)
	Audit(ctx context.Context, seq uint64, visit func(approvals.Event) error) error
	Cursor(ctx context.Context, name string) (uint64, error)
	Advance(ctx context.Context, name string, seq uint64) error
	Place(ctx context.Context, subject string) (string, bool, error)
	SetPlace(ctx context.Context, subject, place string) error
	Setting(ctx context.Context, key string) (string, bool, error)
	SetSetting(ctx context.Context, key, value string) error
	ChangeSetting(ctx context.Context, key string, change func(was string, known bool) (is string, events []approvals.Event)) error
	Seen(ctx context.Context, key string, ttl time.Duration) (bool, error)
	Subscribe() (wake <-chan struct{}, cancel func())
}

// Clock is the time that the store under test is told.
type Clock struct{ now time.Time }

// NewClock starts at a fixed moment.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now is what the store is given as its clock.
func (c *Clock) Now() time.Time { return c.now }

// Forward moves the time; not while the store is in use.
func (c *Clock) Forward(d time.Duration) { c.now = c.now.Add(d) }

// SampleAge is what the store under test must be set to.
const SampleAge = 24 * time.Hour

// Make opens an empty store that reads the clock and keeps samples for
// SampleAge, and closes it at the test's end.
type Make func(t *testing.T, clock *Clock) Store

// Run runs the whole suite.
func Run(t *testing.T, open Make) {
	for title, test := range map[string]func(*testing.T, bundle){
		"requests":      testRequests,
		"changes":       testChanges,
		"one open":      testOneOpen,
		"history":       testHistory,
		"factors":       testFactors,
		"codes at once": testCodesAtOnce,
		"events":        testEvents,
		"journal":       testJournal,
		"memory":        testMemory,
		"pause":         testPause,
		"samples":       testSamples,
		"sample age":    testSampleAge,
		"outbox":        testOutbox,
		"texts":         testTexts,
		"a setting":     testChangeSetting,
		"seen":          testSeen,
		"wake-up":       testWake,
		"concurrency":   testConcurrency,
		"ended context": testContext,
		"names":         testNames,
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			test(t, bundle{Store: open(t, clock), clock: clock})
		})
	}
}

type bundle struct {
	Store
	clock *Clock
}

// Policy is the one under which the suite's requests are made.
func Policy() approvals.Policy {
	return approvals.Policy{
		Approvers: []approvals.Person{"dba-1", "dba-2", "manager"},
		Expiry:    time.Hour, HoldExpiry: time.Hour,
	}
}

// Ask gives a new pending request and its event, as approvals makes them.
func Ask(id, pair string, at time.Time) (approvals.Request, []approvals.Event) {
	r, events, err := approvals.Open(approvals.Asking{
		ID: id, Nonce: "nonce of " + id, Requester: "oncall", Reason: "disk is failing <soon> & loud",
		Subject: approvals.Subject{Kind: "switchover", Pair: pair, Text: "plan of " + id + "\n", Data: []byte(`{"steps":["stop","promote"]}`)},
		Place:   "T1/C1", At: at,
	}, Policy())
	if err != nil {
		panic(fmt.Sprintf("the suite's own policy is refused: %v", err))
	}
	return r, events
}

// Yes is who's approval of r as a change for Update.
func Yes(who approvals.Person, at time.Time) func(approvals.Request) (approvals.Request, []approvals.Event, error) {
	return func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Approve(approvals.Ballot{Person: who, At: at, Via: "slack", Proof: "p", Digest: r.Digest().Short(), Place: r.Place}, Policy())
	}
}

// No is who's denial.
func No(who approvals.Person, at time.Time) func(approvals.Request) (approvals.Request, []approvals.Event, error) {
	return func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Deny(approvals.Ballot{Person: who, At: at, Digest: r.Digest().Short(), Place: r.Place, Why: "not now"}, Policy())
	}
}

func (b bundle) create(t *testing.T, id, pair string) approvals.Request {
	t.Helper()
	r, events := Ask(id, pair, b.clock.Now())
	out, err := b.Create(t.Context(), r, events)
	must(t, err)
	return out
}

func (b bundle) approve(t *testing.T, id string, who ...approvals.Person) approvals.Request {
	t.Helper()
	var out approvals.Request
	for _, person := range who {
		var err error
		out, err = b.Update(t.Context(), id, Yes(person, b.clock.Now()))
		must(t, err)
	}
	return out
}

// running gives a request that attempt has claimed.
func (b bundle) running(t *testing.T, id, pair, attempt string) approvals.Request {
	t.Helper()
	b.create(t, id, pair)
	b.approve(t, id, "dba-1", "dba-2")
	r, err := b.Claim(t.Context(), id, attempt)
	must(t, err)
	return r
}

// events reads the whole log and checks its chain on the way.
func (b bundle) events(t *testing.T) []approvals.Event {
	t.Helper()
	var out []approvals.Event
	must(t, b.Audit(t.Context(), 0, func(e approvals.Event) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
