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

// Revise implements actions.Memory. change may be called more than once, each
// time with what is remembered then. A change that changes nothing and has no
// events costs no write.
func (s *Store) Revise(ctx context.Context, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	var out actions.Remembered
	if err := name("pair", pair); err != nil {
		return out, err
	}
	err := s.share(ctx, func(tx *bbolt.Tx) (err error) {
		out, err = revise(tx, pair, change)
		return err
	})
	if err := skipUnchanged(err); err != nil {
		return actions.Remembered{}, err
	}
	return out, nil
}

// revise gives what anybody will read from now on.
func revise(tx *bbolt.Tx, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (out actions.Remembered, err error) {
	b, key := in(tx, bucketMemory), []byte(pair)
	old, err := get(b, key)
	if err != nil {
		return out, err
	}
	var was actions.Remembered
	if old != nil {
		if err := decode(key, old, &was); err != nil {
			return out, err
		}
	}
	m, events := change(was)
	raw, err := json.Marshal(m)
	if err != nil {
		return out, fmt.Errorf("storing what is remembered of %s: %w", pair, err)
	}
	if err := decode(key, raw, &out); err != nil {
		return out, err
	}
	if bytes.Equal(raw, old) && len(events) == 0 {
		return out, errUnchanged
	}
	if err := put(b, key, raw); err != nil {
		return out, err
	}
	return out, appendEvents(tx, events)
}
