package actions_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// ledger is a store in memory that outlives beings: requests, journal, memory
// and events as the JSON that a real one would keep. A call of a dead being
// changes nothing.
type ledger struct {
	mu       sync.Mutex
	requests map[string]approvals.Request // as they come back from their text
	journal  map[string][]actions.Entry
	memory   map[string][]byte
	events   []approvals.Event
	changed  chan struct{} // closed at the next change of a request

	hook   sync.Mutex
	refuse func(call string) error // may fail a call, or let it wait; see refusing
}

// refusing sets what may fail a call from now on.
func (l *ledger) refusing(f func(call string) error) {
	l.hook.Lock()
	defer l.hook.Unlock()
	l.refuse = f
}

// refused asks whether a call fails. It may wait, with no lock held.
func (l *ledger) refused(call string) error {
	l.hook.Lock()
	f := l.refuse
	l.hook.Unlock()
	if f == nil {
		return nil
	}
	return f(call)
}

func newLedger() *ledger {
	return &ledger{requests: map[string]approvals.Request{}, journal: map[string][]actions.Entry{}, memory: map[string][]byte{}, changed: make(chan struct{})}
}

// change is closed when a request changes next.
func (l *ledger) change() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// book is the ledger in a being's hands.
type book struct {
	*ledger
	b *being
}

func (k book) enter(ctx context.Context, call string) error {
	if err := k.refused(call); err != nil {
		return err
	}
	k.mu.Lock()
	if k.b.gone() {
		k.mu.Unlock()
		return errDead
	}
	if err := ctx.Err(); err != nil {
		k.mu.Unlock()
		return err
	}
	return nil
}

// load gives copies: what the desk does to one must not change what is stored.
func (l *ledger) load(id string) (approvals.Request, error) {
	r, ok := l.requests[id]
	if !ok {
		return r, &approvals.Refusal{Code: approvals.CodeUnknown, Message: "there is no request " + id}
	}
	r.Subject.Data, r.Outcome = bytes.Clone(r.Subject.Data), bytes.Clone(r.Outcome)
	r.Approvers, r.Votes, r.Pauses = slices.Clone(r.Approvers), slices.Clone(r.Votes), slices.Clone(r.Pauses)
	return r, nil
}

func (l *ledger) save(r approvals.Request, events []approvals.Event) (approvals.Request, error) {
	r.Version++
	raw, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	var stored approvals.Request
	if err := json.Unmarshal(raw, &stored); err != nil {
		return r, err
	}
	l.requests[r.ID] = stored
	l.events = append(l.events, events...)
	close(l.changed)
	l.changed = make(chan struct{})
	return l.load(r.ID)
}

func (l *ledger) open() ([]approvals.Request, error) {
	var out []approvals.Request
	for id := range l.requests {
		r, err := l.load(id)
		if err != nil {
			return nil, err
		}
		if !r.State.Ended() {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b approvals.Request) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (k book) Create(ctx context.Context, r approvals.Request, events []approvals.Event) (approvals.Request, error) {
	if err := k.enter(ctx, "create"); err != nil {
		return approvals.Request{}, err
	}
	defer k.mu.Unlock()
	open, err := k.open()
	if err != nil {
		return approvals.Request{}, err
	}
	if len(open) > 0 {
		return approvals.Request{}, errors.Join(err, &approvals.Refusal{Code: approvals.CodeOpen, Request: open[0].ID, Message: "there is an open one"})
	}
	return k.save(r, events)
}

func (k book) Request(ctx context.Context, id string) (approvals.Request, error) {
	if err := k.enter(ctx, "request"); err != nil {
		return approvals.Request{}, err
	}
	defer k.mu.Unlock()
	return k.load(id)
}

func (k book) Open(ctx context.Context) ([]approvals.Request, error) {
	if err := k.enter(ctx, "open"); err != nil {
		return nil, err
	}
	defer k.mu.Unlock()
	return k.open()
}

func (k book) Update(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	if err := k.enter(ctx, "update"); err != nil {
		return approvals.Request{}, err
	}
	defer k.mu.Unlock()
	was, err := k.load(id)
	if err != nil {
		return was, err
	}
	r, events, err := change(was)
	if err != nil || len(events) == 0 {
		return was, err
	}
	if r.Digest() != was.Digest() {
		return was, fmt.Errorf("request %s: its digest changed", id)
	}
	return k.save(r, events)
}

func (k book) Claim(ctx context.Context, id, attempt string) (approvals.Request, error) {
	return k.Update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		m, err := k.recall(r.Subject.Pair)
		if err := errors.Join(err, m.MayRun(r.Subject.Pair)); err != nil {
			return r, nil, err
		}
		return r.Claim(time.Now(), attempt)
	})
}

// recall reads a pair's memory, under the lock.
func (l *ledger) recall(pair string) (m actions.Remembered, err error) {
	if raw := l.memory[pair]; raw != nil {
		err = json.Unmarshal(raw, &m)
	}
	return m, err
}

func (k book) Record(ctx context.Context, id string, e actions.Entry) error {
	if err := k.enter(ctx, fmt.Sprintf("record %s %s", e.Op, e.Phase)); err != nil {
		return err
	}
	defer k.mu.Unlock()
	r, err := k.load(id)
	if err != nil || r.Attempt != e.Attempt || !r.State.Running() {
		return errors.Join(err, fmt.Errorf("entry of attempt %q in a request that is %s in attempt %q", e.Attempt, r.State, r.Attempt))
	}
	e.Seq = uint64(len(k.journal[id]) + 1)
	k.journal[id] = append(k.journal[id], e)
	return nil
}

func (k book) Entries(ctx context.Context, id string) ([]actions.Entry, error) {
	if err := k.enter(ctx, "entries"); err != nil {
		return nil, err
	}
	defer k.mu.Unlock()
	return slices.Clone(k.journal[id]), nil
}

func (k book) Finish(ctx context.Context, id string, cause approvals.Cause, why string, out actions.Outcome) error {
	if err := k.refused("finish"); err != nil {
		return err
	}
	report, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = k.Update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Finish(time.Now(), cause, why, report)
	})
	return err
}

func (k book) Remembered(ctx context.Context, pair string) (actions.Remembered, error) {
	return k.Revise(ctx, pair, func(m actions.Remembered) (actions.Remembered, []approvals.Event) { return m, nil })
}

func (k book) Revise(ctx context.Context, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	if err := k.enter(ctx, "revise"); err != nil {
		return actions.Remembered{}, err
	}
	defer k.mu.Unlock()
	m, err := k.recall(pair)
	if err != nil {
		return m, err
	}
	m, events := change(m)
	raw, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	k.memory[pair], k.events = raw, append(k.events, events...)
	return m, nil
}
