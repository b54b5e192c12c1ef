package store

import (
	"context"

	"go.etcd.io/bbolt"

	"twokey/actions"
	"twokey/approvals"
)

// Remembered implements actions.Memory.
func (s *Store) Remembered(ctx context.Context, pair string) (actions.Remembered, error) {
	var m actions.Remembered
	if err := name("pair", pair); err != nil {
		return m, err
	}
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		_, err := getJSON(in(tx, bucketMemory), []byte(pair), &m)
		return err
	})
	return m, err
}

// Remember implements actions.Memory.
func (s *Store) Remember(ctx context.Context, pair string, m actions.Remembered, events []approvals.Event) error {
	if err := name("pair", pair); err != nil {
		return err
	}
	return s.share(ctx, func(tx *bbolt.Tx) error {
		if err := putJSON(in(tx, bucketMemory), []byte(pair), m); err != nil {
			return err
		}
		return appendEvents(tx, events)
	})
}

// Revise implements actions.Memory.
func (s *Store) Revise(ctx context.Context, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	var m actions.Remembered
	if err := name("pair", pair); err != nil {
		return m, err
	}
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		was := actions.Remembered{}
		if _, err := getJSON(in(tx, bucketMemory), []byte(pair), &was); err != nil {
			return err
		}
		var events []approvals.Event
		m, events = change(was)
		if err := putJSON(in(tx, bucketMemory), []byte(pair), m); err != nil {
			return err
		}
		return appendEvents(tx, events)
	})
	return m, err
}
