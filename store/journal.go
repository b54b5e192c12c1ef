package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"twokey/actions"
	"twokey/approvals"
)

// StepEvent is the kind of the audit event of a journal entry. Its subject is
// the request's, its data the entry as JSON, without the entry's own data.
const StepEvent = "step"

// Claim implements actions.Journal through Request.Claim. Whether the pair is
// paused is read in the same transaction.
func (s *Store) Claim(ctx context.Context, request, attempt string) (approvals.Request, error) {
	var out approvals.Request
	err := s.write(ctx, func(tx *bbolt.Tx) (err error) {
		out, err = update(tx, request, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			if err := mayRun(tx, r.Subject.Pair); err != nil {
				return r, nil, err
			}
			return r.Claim(s.opt.Now(), attempt)
		})
		return err
	})
	if err != nil {
		return approvals.Request{}, err
	}
	return out, nil
}

func mayRun(tx *bbolt.Tx, pair string) error {
	var m actions.Remembered
	if _, err := getJSON(in(tx, bucketMemory), []byte(pair), &m); err != nil {
		return err
	}
	return m.MayRun(pair)
}

// Record implements actions.Journal. The entry's attempt must be the one that
// claimed the request: ErrAttempt otherwise. A zero time becomes now.
func (s *Store) Record(ctx context.Context, request string, e actions.Entry) error {
	if e.At.IsZero() {
		e.At = s.opt.Now()
	}
	e.At = e.At.UTC()
	return s.write(ctx, func(tx *bbolt.Tx) error {
		r, err := load(tx, request)
		if err != nil {
			return err
		}
		if r.Attempt == "" || r.Attempt != e.Attempt {
			return fmt.Errorf("%w: %q, not %q", ErrAttempt, r.Attempt, e.Attempt)
		}
		return enter(tx, request, e)
	})
}

func enter(tx *bbolt.Tx, request string, e actions.Entry) error {
	journal := in(tx, bucketJournal)
	prefix := under(request)
	if last := seekBefore(journal.Cursor(), prefix, ""); bytes.HasPrefix(last, prefix) {
		n, err := parseNumber(last[len(prefix):])
		if err != nil {
			return err
		}
		e.Seq = n
	} else {
		e.Seq = 0
	}
	e.Seq++
	if err := putJSON(journal, append(prefix, number(e.Seq)...), e); err != nil {
		return err
	}
	event, err := stepEvent(request, e)
	if err != nil {
		return err
	}
	return appendEvents(tx, []approvals.Event{event})
}

func stepEvent(request string, e actions.Entry) (approvals.Event, error) {
	e.Data = nil
	data, err := json.Marshal(e)
	return approvals.Event{At: e.At, Subject: approvals.RequestSubject(request), Kind: StepEvent, Data: data}, err
}

// Entries implements actions.Journal; a request that nobody executed has none.
func (s *Store) Entries(ctx context.Context, request string) ([]actions.Entry, error) {
	var out []actions.Entry
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		prefix := under(request)
		c := in(tx, bucketJournal).Cursor()
		for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
			raw, err := unseal(key, value)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			var e actions.Entry
			if err := decode(key, raw, &e); err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Finish implements actions.Journal through Request.Finish.
func (s *Store) Finish(ctx context.Context, request string, cause approvals.Cause, why string, out actions.Outcome) error {
	report, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("storing the outcome of request %s: %w", request, err)
	}
	_, err = s.Update(ctx, request, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Finish(s.opt.Now(), cause, why, report)
	})
	return err
}
