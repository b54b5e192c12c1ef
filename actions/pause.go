package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"twokey/approvals"
)

// Paused says that a pair is paused: until somebody resumes it, nothing is asked
// for, approved or carried out on it. Looking goes on, and so do alerts. What
// runs already is not stopped.
type Paused struct {
	By  approvals.Person `json:"by"`
	At  time.Time        `json:"at"`
	Why string           `json:"why"`
}

// String says it in the words that stand wherever the pair is shown; "" for nil.
func (p *Paused) String() string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("PAUSED by %s since %s: %s", p.By, clock(p.At), p.Why)
}

// MayRun refuses (CodePaused) while the pair is paused.
func (m Remembered) MayRun(pair string) error {
	if m.Paused == nil {
		return nil
	}
	return &approvals.Refusal{
		Code:    approvals.CodePaused,
		Message: fmt.Sprintf("%s is paused: %s (%s, %s). Nothing is carried out on it until an approver resumes it.", pair, m.Paused.Why, m.Paused.By, clock(m.Paused.At)),
	}
}

// Pause keeps everything from being carried out on a pair until Resume. One
// approver orders it, and b.Why is the reason; the digest is not looked at. An
// open request that doesn't run yet becomes stale. It returns the id of one that
// runs already, and goes on.
func (d *Desk) Pause(ctx context.Context, pair string, b approvals.Ballot) (running string, err error) {
	if err := d.mayOrder(ctx, pair, b); err != nil {
		return "", err
	}
	b = d.dated(b)
	if b.Why == "" {
		return "", refuse("A pause needs its reason: everybody will read it until the pair is resumed.")
	}
	paused := Paused{By: b.Person, At: b.At.UTC(), Why: b.Why}
	err = d.reviseWithEvent(ctx, pair, func(m Remembered) (Remembered, *approvals.Event, error) {
		if m.Paused != nil {
			return m, nil, refuse("%s is paused already: %s (%s, %s).", pair, m.Paused.Why, m.Paused.By, clock(m.Paused.At))
		}
		m.Paused = &paused
		return m, pauseEvent(pair, NewsPaused, b, PauseChange{Paused: paused}), nil
	})
	if err != nil {
		return "", err
	}
	d.opt.Log.Info("paused", "pair", pair, "by", b.Person, "why", b.Why)
	return d.endForPause(ctx, pair, paused), nil
}

// Resume ends a pause. One approver orders it, whoever paused.
func (d *Desk) Resume(ctx context.Context, pair string, b approvals.Ballot) (was Paused, err error) {
	if err := d.mayOrder(ctx, pair, b); err != nil {
		return was, err
	}
	b = d.dated(b)
	err = d.reviseWithEvent(ctx, pair, func(m Remembered) (Remembered, *approvals.Event, error) {
		if m.Paused == nil {
			return m, nil, refuse("%s is not paused.", pair)
		}
		was, m.Paused = *m.Paused, nil
		return m, pauseEvent(pair, NewsResumed, b, PauseChange{Paused: was, Why: b.Why}), nil
	})
	if err == nil {
		d.opt.Log.Info("resumed", "pair", pair, "by", b.Person)
	}
	return was, err
}

// mayOrder admits an approver whose account is in order.
func (d *Desk) mayOrder(ctx context.Context, pair string, b approvals.Ballot) error {
	if _, err := d.pair(pair); err != nil {
		return err
	}
	policy, err := d.policy(ctx)
	if err != nil {
		return err
	}
	if err := policy.MayOrder(b.Person); err != nil {
		return err
	}
	return d.opt.Directory.Check(ctx, b.Person)
}

func pauseEvent(pair, kind string, b approvals.Ballot, c PauseChange) *approvals.Event {
	c.Pair, c.Via, c.Proof = pair, b.Via, b.Proof
	raw, err := json.Marshal(c)
	if err != nil { // strings and times
		panic(err)
	}
	return &approvals.Event{At: b.At, Actor: b.Person, Subject: approvals.PairSubject(pair), Kind: kind, Data: raw}
}

// reviseWithEvent is Memory.Revise for a change that may be refused.
func (d *Desk) reviseWithEvent(ctx context.Context, pair string, change func(Remembered) (Remembered, *approvals.Event, error)) error {
	var refusal error
	_, err := d.opt.Memory.Revise(ctx, pair, func(m Remembered) (Remembered, []approvals.Event) {
		next, event, err := change(m)
		if refusal = err; err != nil {
			return m, nil
		}
		return next, []approvals.Event{*event}
	})
	return errors.Join(err, refusal)
}

// endForPause makes a request stale that does not run yet. One that it can't
// end is refused all the same: at its next vote, and when it is claimed.
func (d *Desk) endForPause(ctx context.Context, pair string, p Paused) (running string) {
	open, err := d.opt.Store.Open(ctx)
	if err != nil {
		d.opt.Log.Error("open requests can't be read", "error", err)
	}
	for _, r := range open {
		if r.Subject.Pair != pair {
			continue
		}
		_, err := d.update(ctx, r.ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Outdate(d.now(), fmt.Sprintf("%s paused the pair: %s", p.By, p.Why))
		})
		if approvals.Refused(err) == approvals.CodeState {
			running = r.ID
		} else if err != nil {
			d.opt.Log.Error("a request of a paused pair was not ended; it is refused when it is to run", "request", r.ID, "error", err)
		}
	}
	return running
}

func (d *Desk) notPaused(ctx context.Context, pair string) error {
	m, err := d.opt.Memory.Remembered(ctx, pair)
	if err != nil {
		return fmt.Errorf("whether %s is paused can't be read: %w", pair, err)
	}
	return m.MayRun(pair)
}

// mayBeApproved refuses a vote while the request's pair is paused.
func (d *Desk) mayBeApproved(ctx context.Context, id string) error {
	r, err := d.opt.Store.Request(ctx, id)
	if err != nil {
		return err
	}
	return d.notPaused(ctx, r.Subject.Pair)
}
