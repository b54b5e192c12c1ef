package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"twokey/approvals"
)

// Factor implements approvals.Factors.
func (s *Store) Factor(ctx context.Context, who approvals.Person) (approvals.Factor, error) {
	var f approvals.Factor
	if err := name("person", string(who)); err != nil {
		return f, err
	}
	err := s.read(ctx, func(tx *bbolt.Tx) (err error) {
		f, err = loadFactor(tx, who)
		return err
	})
	return f, err
}

func loadFactor(tx *bbolt.Tx, who approvals.Person) (f approvals.Factor, err error) {
	_, err = getJSON(in(tx, bucketFactors), []byte(who), &f)
	return f, err
}

// UpdateAs implements approvals.Factors.
func (s *Store) UpdateAs(ctx context.Context, id string, who approvals.Person, change func(approvals.Request, approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error)) (approvals.Request, error) {
	var out approvals.Request
	if err := name("person", string(who)); err != nil {
		return out, err
	}
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		f, err := loadFactor(tx, who)
		if err != nil {
			return err
		}
		out, err = update(tx, id, func(r approvals.Request) (_ approvals.Request, events []approvals.Event, err error) {
			r, f, events, err = change(r, f)
			return r, events, err
		})
		if err != nil || !f.Enrolled() {
			return err
		}
		return putJSON(in(tx, bucketFactors), []byte(who), f)
	})
	if err := skipUnchanged(err); err != nil {
		return approvals.Request{}, err
	}
	return out, nil
}

// SetFactor gives who a second factor instead of any former one, with the events
// that tell of it. The zero Factor takes it away.
func (s *Store) SetFactor(ctx context.Context, who approvals.Person, f approvals.Factor, events []approvals.Event) error {
	if err := name("person", string(who)); err != nil {
		return err
	}
	return s.write(ctx, func(tx *bbolt.Tx) error {
		if !f.Enrolled() {
			if err := in(tx, bucketFactors).Delete([]byte(who)); err != nil {
				return fmt.Errorf("removing the second factor of %s: %w", who, err)
			}
			return appendEvents(tx, events)
		}
		return errors.Join(putJSON(in(tx, bucketFactors), []byte(who), f), appendEvents(tx, events))
	})
}

// Factors gives everybody's second factor.
func (s *Store) Factors(ctx context.Context) (map[approvals.Person]approvals.Factor, error) {
	out := map[approvals.Person]approvals.Factor{}
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		return in(tx, bucketFactors).ForEach(func(who, _ []byte) error {
			f, err := loadFactor(tx, approvals.Person(who))
			out[approvals.Person(who)] = f
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
