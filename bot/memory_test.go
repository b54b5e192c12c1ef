package bot_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// memory is a store in memory: requests, journal, audit log and outbox behind
// one lock, which makes every method one transaction.
type memory struct {
	now func() time.Time

	mu       sync.Mutex
	requests map[string]approvals.Request
	order    []string
	events   []approvals.Event
	entries  map[string][]actions.Entry
	cursors  map[string]uint64
	places   map[string]string
	factors  map[approvals.Person]approvals.Factor
	seen     map[string]time.Time
	wakes    map[int]chan struct{}
	next     int
	broken   error // returned by everything while set
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, requests: map[string]approvals.Request{}, entries: map[string][]actions.Entry{}, cursors: map[string]uint64{},
		places: map[string]string{}, factors: map[approvals.Person]approvals.Factor{}, seen: map[string]time.Time{}, wakes: map[int]chan struct{}{},
	}
}

func (m *memory) breakWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *memory) append(events []approvals.Event) {
	for _, e := range events {
		e.Seq = uint64(len(m.events) + 1)
		e.Hash = fmt.Sprintf("%064x", e.Seq) // no chain, but a hash of its own
		m.events = append(m.events, e)
	}
	for _, ch := range m.wakes {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (m *memory) factor(who approvals.Person) approvals.Factor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.factors[who]
}

func (m *memory) setFactor(who approvals.Person, f approvals.Factor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.factors[who] = f
}

// Append adds events that belong to no request.
func (m *memory) Append(events ...approvals.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.append(events)
}

func (m *memory) Create(_ context.Context, r approvals.Request, events []approvals.Event) (approvals.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.order {
		if o := m.requests[id]; !o.State.Ended() && o.Subject.Pair == r.Subject.Pair {
			return o, &approvals.Refusal{Code: approvals.CodeOpen, Request: o.ID,
				Message: fmt.Sprintf("There is an open request for %s already, asked by %s.", o.Subject.Pair, o.Requester)}
		}
	}
	m.requests[r.ID] = r
	m.order = append(m.order, r.ID)
	m.append(events)
	return r, m.broken
}

func (m *memory) Request(_ context.Context, id string) (approvals.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.requests[id]
	if !ok {
		return r, &approvals.Refusal{Code: approvals.CodeUnknown, Message: fmt.Sprintf("There is no request %s any more. Ask again.", id)}
	}
	return r, m.broken
}

func (m *memory) purge(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.requests, id)
	m.order = slices.DeleteFunc(m.order, func(o string) bool { return o == id })
}

func (m *memory) Open(context.Context) ([]approvals.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []approvals.Request
	for _, id := range m.order {
		if r := m.requests[id]; !r.State.Ended() {
			out = append(out, r)
		}
	}
	return out, m.broken
}

func (m *memory) Update(_ context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.requests[id]
	if !ok {
		return r, &approvals.Refusal{Code: approvals.CodeUnknown, Message: "There is no such request any more."}
	}
	if m.broken != nil {
		return r, m.broken
	}
	out, events, err := change(r)
	if err != nil || len(events) == 0 {
		return r, err
	}
	out.Version++
	m.requests[id] = out
	m.append(events)
	return out, nil
}

func (m *memory) record(id string, e actions.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[id] = append(slices.Clone(m.entries[id]), e)
	m.append([]approvals.Event{{At: e.At, Subject: approvals.RequestSubject(id), Kind: "step"}})
}

func (m *memory) Entries(_ context.Context, id string) ([]actions.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[id], m.broken
}

func (m *memory) Cursor(_ context.Context, name string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursors[name], m.broken
}

func (m *memory) Advance(_ context.Context, name string, seq uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq > uint64(len(m.events)) {
		return errors.New("the cursor would pass the end of the log")
	}
	m.cursors[name] = max(seq, m.cursors[name])
	return m.broken
}

func (m *memory) EventsAfter(_ context.Context, seq uint64, limit int) ([]approvals.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq > uint64(len(m.events)) {
		return nil, m.broken
	}
	rest := m.events[seq:]
	return slices.Clone(rest[:min(limit, len(rest))]), m.broken
}

func (m *memory) Place(_ context.Context, subject string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.places[subject]
	return p, ok, m.broken
}

func (m *memory) SetPlace(_ context.Context, subject, place string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if place == "" {
		delete(m.places, subject)
		return nil
	}
	m.places[subject] = place
	return nil
}

func (m *memory) Seen(_ context.Context, key string, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return false, m.broken
	}
	now := m.now()
	if until, ok := m.seen[key]; ok && now.Before(until) {
		return false, nil
	}
	m.seen[key] = now.Add(ttl)
	return true, nil
}

func (m *memory) Subscribe() (<-chan struct{}, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ch := m.next, make(chan struct{}, 1)
	m.next++
	m.wakes[id] = ch
	ch <- struct{}{}
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.wakes, id)
	}
}

// count says how many events of a kind there are.
func (m *memory) count(kind string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// last gives the number of the newest event of a kind, 0 for none.
func (m *memory) last(kind string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Backward(m.events) {
		if e.Kind == kind {
			return e.Seq
		}
	}
	return 0
}

func (m *memory) cursor() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursors["slack"]
}
