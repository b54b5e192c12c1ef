package bot_test

import (
	"context"
	"slices"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// The memory as an archive.

func (m *memory) Samples(context.Context, string, time.Time) ([]actions.Sample, error) {
	return nil, nil
}

func (m *memory) Requests(_ context.Context, f approvals.Filter, limit int) ([]approvals.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []approvals.Request
	for _, id := range slices.Backward(m.order) {
		if r := m.requests[id]; (f.Pair == "" || r.Subject.Pair == f.Pair) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, m.broken
}

func (m *memory) EventsOf(_ context.Context, subject string, limit int) ([]approvals.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []approvals.Event
	for _, e := range m.events {
		if e.Subject == subject {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-limit):], m.broken
}

func (m *memory) Head(context.Context) (uint64, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) == 0 {
		return 0, "", m.broken
	}
	last := m.events[len(m.events)-1]
	return last.Seq, last.Hash, m.broken
}
