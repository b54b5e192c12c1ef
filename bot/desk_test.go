package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// desk is a Desk on the real state machine and a store in memory. It plans what
// it is told to, and executes nothing by itself.
type desk struct {
	store     *memory
	pairs     []actions.Pair
	policy    approvals.Policy
	directory approvals.Directory // may be nil
	codes     approvals.Codes     // may be nil
	now       func() time.Time

	mu      sync.Mutex
	ids     int
	plan    actions.Plan
	report  actions.Report
	refusal error                       // of Preview and Ask
	delay   func(context.Context) error // before every look and vote
	asked   []actions.Question
	running string // id that a pause finds running
	lag     actions.LagHistory
	states  map[string]actions.Remembered
	last    *approvals.Request
}

func (d *desk) Pairs() []actions.Pair { return d.pairs }

func (d *desk) setDelay(delay func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// setPolicy changes the policy, as a start with another configuration does.
func (d *desk) setPolicy(change func(*approvals.Policy)) {
	d.store.mu.Lock() // decisions hold it
	defer d.store.mu.Unlock()
	change(&d.policy)
}

func (d *desk) wait(ctx context.Context) error {
	d.mu.Lock()
	delay := d.delay
	d.mu.Unlock()
	if delay == nil {
		return nil
	}
	return delay(ctx)
}

func (d *desk) Status(ctx context.Context, pair string) (actions.Report, error) {
	if err := d.wait(ctx); err != nil {
		return actions.Report{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	rep := d.report
	rep.Evidence.Pair.Name = pair
	return rep, nil
}

func (d *desk) Verify(ctx context.Context, pair string) (actions.Report, error) {
	return d.Status(ctx, pair)
}

func (d *desk) Preview(_ context.Context, q actions.Question) (actions.Plan, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.plan
	p.Pair = q.Pair
	return p, d.refusal
}

func (d *desk) Ask(ctx context.Context, q actions.Question) (approvals.Request, error) {
	plan, err := d.Preview(ctx, q)
	if err != nil {
		return approvals.Request{}, err
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return approvals.Request{}, err
	}
	d.mu.Lock()
	d.ids++
	id := fmt.Sprintf("01K0REQUEST%04d", d.ids)
	d.asked = append(d.asked, q)
	d.mu.Unlock()
	r, events, err := approvals.Open(approvals.Asking{
		ID: id, Nonce: "nonce-" + id, Requester: q.Requester, Reason: q.Reason, Place: q.Place, At: d.now(),
		Subject: approvals.Subject{Kind: string(plan.Kind), Pair: plan.Pair, Text: plan.Text(), Data: data},
	}, d.policy)
	if err != nil {
		return r, err
	}
	return d.store.Create(ctx, r, events)
}

func (d *desk) checked(ctx context.Context, who approvals.Person) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	if d.directory == nil {
		return nil
	}
	return d.directory.Check(ctx, who)
}

func (d *desk) update(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	var refusal error
	r, err := d.store.Update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		out, events, err := change(r)
		if err != nil && len(events) > 0 {
			refusal, err = err, nil
		}
		return out, events, err
	})
	return r, errors.Join(err, refusal)
}

func (d *desk) Approve(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	if err := d.checked(ctx, b.Person); err != nil {
		return approvals.Request{}, err
	}
	return d.decide(ctx, id, b, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		return r.ApproveWith(b, d.policy, f, d.codes)
	})
}

// decide is update with the person's second factor.
func (d *desk) decide(ctx context.Context, id string, b approvals.Ballot, change func(approvals.Request, approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error)) (approvals.Request, error) {
	return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		f := d.store.factors[b.Person] // Update holds the lock
		out, f, events, err := change(r, f)
		d.store.factors[b.Person] = f
		return out, events, err
	})
}

func (d *desk) NeedsCode(_ context.Context, who approvals.Person) (bool, error) {
	f := d.store.factor(who)
	if !d.policy.Factor.Asks(f) {
		return false, nil
	}
	return true, f.Usable(d.now())
}

func (d *desk) Deny(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	if err := d.checked(ctx, b.Person); err != nil {
		return approvals.Request{}, err
	}
	return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Deny(b, d.policy) })
}

func (d *desk) Cancel(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Cancel(b) })
}

func (d *desk) Answer(ctx context.Context, id string, b approvals.Ballot, cause approvals.Cause, typed string) (approvals.Request, error) {
	if err := d.checked(ctx, b.Person); err != nil {
		return approvals.Request{}, err
	}
	return d.decide(ctx, id, b, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		return r.AnswerWith(b, cause, typed, d.policy, f, d.codes)
	})
}

func (d *desk) Pause(ctx context.Context, pair string, b approvals.Ballot) (string, error) {
	p := actions.Paused{By: b.Person, At: b.At, Why: b.Why}
	return d.running, d.order(ctx, pair, actions.NewsPaused, b, actions.PauseChange{Pair: pair, Paused: p}, func(m *actions.Remembered) { m.Paused = &p })
}

func (d *desk) Resume(ctx context.Context, pair string, b approvals.Ballot) (was actions.Paused, err error) {
	d.mu.Lock()
	if p := d.report.Evidence.Memory.Paused; p != nil {
		was = *p
	}
	d.mu.Unlock()
	return was, d.order(ctx, pair, actions.NewsResumed, b, actions.PauseChange{Pair: pair, Paused: was, Why: b.Why}, func(m *actions.Remembered) { m.Paused = nil })
}

// order is what one approver may do alone.
func (d *desk) order(ctx context.Context, pair, kind string, b approvals.Ballot, c actions.PauseChange, change func(*actions.Remembered)) error {
	if err := errors.Join(d.policy.MayOrder(b.Person), d.checked(ctx, b.Person)); err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	d.mu.Lock()
	change(&d.report.Evidence.Memory)
	d.mu.Unlock()
	d.store.Append(approvals.Event{At: b.At, Actor: b.Person, Subject: approvals.PairSubject(pair), Kind: kind, Data: raw})
	return nil
}

func (d *desk) Request(ctx context.Context, id string) (approvals.Request, error) {
	return d.store.Request(ctx, id)
}

func (d *desk) Open(ctx context.Context) ([]approvals.Request, error) { return d.store.Open(ctx) }

func (d *desk) Journal(ctx context.Context, id string) ([]actions.Entry, error) {
	return d.store.Entries(ctx, id)
}

func (d *desk) InsertTest(ctx context.Context, pair string, _ approvals.Person) (string, actions.TestRow, error) {
	if err := d.wait(ctx); err != nil {
		return "", actions.TestRow{}, err
	}
	d.store.Append(approvals.Event{At: d.now(), Subject: approvals.PairSubject(pair), Kind: "test-row"})
	return "dc1", actions.TestRow{ID: 42, At: d.now(), Took: 4 * time.Millisecond}, nil
}

func (d *desk) VerifyData(_ context.Context, pair string) (actions.Comparison, error) {
	return actions.Comparison{Pair: pair, Primary: "dc1", Standby: "dc2", Identical: true, CheckedAt: d.now(),
		Tables: []actions.TableCompare{{Table: "orders", PrimaryRows: 1200, StandbyRows: 1200, SumsEqual: true}}}, nil
}

// change moves a request as the executor would.
func (d *desk) change(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) error {
	_, err := d.update(ctx, id, change)
	return err
}

func (d *desk) claim(ctx context.Context, id string) error {
	return d.change(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Claim(d.now(), "attempt-1")
	})
}

func (d *desk) hold(ctx context.Context, id string) error {
	return d.change(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Hold(d.now(), "The fence of dc1 can't be proven.", r.Subject.Pair, d.now().Add(d.policy.HoldExpiry))
	})
}

func (d *desk) finish(ctx context.Context, id string, cause approvals.Cause, why string, out actions.Outcome) error {
	raw, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return d.change(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Finish(d.now(), cause, why, raw)
	})
}

func (d *desk) Lag(_ context.Context, pair string, back time.Duration) (actions.LagHistory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.lag
	h.Pair, h.To, h.Limits = pair, noon, actions.DefaultThresholds()
	h.From = h.To.Add(-back)
	return h, nil
}

func (d *desk) Overview(ctx context.Context) ([]actions.PairState, error) {
	open, err := d.store.Open(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []actions.PairState
	for _, p := range d.pairs {
		s := actions.PairState{Pair: p, Memory: d.states[p.Name]}
		if s.Memory.Paused == nil {
			s.Memory.Paused = d.report.Evidence.Memory.Paused
		}
		for i := range open {
			if open[i].Subject.Pair == p.Name {
				s.Open = &open[i]
			}
		}
		out = append(out, s)
	}
	return out, err
}

func (d *desk) LastPromotion(context.Context, string) (*approvals.Request, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, nil
}

// remembers sets what is remembered of a pair.
func (d *desk) remembers(pair string, change func(*actions.Remembered)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.states == nil {
		d.states = map[string]actions.Remembered{}
	}
	m := d.states[pair]
	change(&m)
	d.states[pair] = m
}

// past is the real desk, which reads no server for what is asked of the past.
func (d *desk) past() *actions.Desk {
	real, err := actions.NewDesk(actions.Options{Policy: d.policy, Store: d.store, Archive: d.store, Now: d.now})
	if err != nil {
		panic(err)
	}
	return real
}

func (d *desk) History(ctx context.Context, pair string, limit int) ([]approvals.Request, error) {
	return d.store.Requests(ctx, approvals.Filter{Pair: pair}, limit)
}

func (d *desk) Audit(ctx context.Context, ref string, limit int) (actions.Trail, error) {
	return d.past().Audit(ctx, ref, limit)
}
