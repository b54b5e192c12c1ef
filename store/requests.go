package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"twokey/approvals"
)

// Create implements approvals.Store. The request's id must be new.
func (s *Store) Create(ctx context.Context, r approvals.Request, events []approvals.Event) (approvals.Request, error) {
	if err := errors.Join(name("request's id", r.ID), name("request's pair", r.Subject.Pair)); err != nil {
		return approvals.Request{}, err
	}
	var out approvals.Request
	err := s.write(ctx, func(tx *bbolt.Tx) (err error) {
		if err := free(tx, r); err != nil {
			return err
		}
		r.Version = 0
		if err := put(in(tx, bucketByPair), under(r.Subject.Pair, []byte(r.ID)...), nil); err != nil {
			return err
		}
		out, err = save(tx, r, events)
		return err
	})
	return out, err
}

// free refuses a request whose id or whose pair is taken.
func free(tx *bbolt.Tx, r approvals.Request) error {
	if in(tx, bucketRequests).Get([]byte(r.ID)) != nil {
		return fmt.Errorf("there is a request %s already", r.ID)
	}
	other, err := get(in(tx, bucketOpen), []byte(r.Subject.Pair))
	if other == nil || err != nil {
		return err
	}
	return &approvals.Refusal{
		Code: approvals.CodeOpen, Request: string(other),
		Message: fmt.Sprintf("The pair %s has an open request already (%s). Decide or cancel that one first.", r.Subject.Pair, other),
	}
}

// save writes the next version of r with its events and keeps the index of
// open requests true. It gives r as everybody will read it from now on.
func save(tx *bbolt.Tx, r approvals.Request, events []approvals.Event) (approvals.Request, error) {
	r.Version++
	if err := putJSON(in(tx, bucketRequests), []byte(r.ID), r); err != nil {
		return approvals.Request{}, err
	}
	if err := index(tx, r); err != nil {
		return approvals.Request{}, err
	}
	if err := appendEvents(tx, events); err != nil {
		return approvals.Request{}, err
	}
	return load(tx, r.ID)
}

func index(tx *bbolt.Tx, r approvals.Request) error {
	pair := []byte(r.Subject.Pair)
	if !r.State.Ended() {
		return put(in(tx, bucketOpen), pair, []byte(r.ID))
	}
	id, err := get(in(tx, bucketOpen), pair)
	if err != nil || string(id) != r.ID {
		return err
	}
	return in(tx, bucketOpen).Delete(pair)
}

func load(tx *bbolt.Tx, id string) (approvals.Request, error) {
	var r approvals.Request
	found, err := getJSON(in(tx, bucketRequests), []byte(id), &r)
	if err == nil && !found {
		err = &approvals.Refusal{Code: approvals.CodeUnknown, Message: fmt.Sprintf("There is no request %q.", id)}
	}
	return r, err
}

// Request implements approvals.Store.
func (s *Store) Request(ctx context.Context, id string) (approvals.Request, error) {
	var r approvals.Request
	err := s.read(ctx, func(tx *bbolt.Tx) (err error) {
		r, err = load(tx, id)
		return err
	})
	return r, err
}

// Open implements approvals.Store.
func (s *Store) Open(ctx context.Context) ([]approvals.Request, error) {
	var out []approvals.Request
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		return in(tx, bucketOpen).ForEach(func(pair, value []byte) error {
			id, err := unseal(pair, value)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			r, err := load(tx, string(id))
			out = append(out, r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b approvals.Request) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Update implements approvals.Store. Beyond its contract it refuses a change
// that approvals could not have made: of a request that has ended, or of
// anything that its digest covers.
func (s *Store) Update(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	var out approvals.Request
	err := s.write(ctx, func(tx *bbolt.Tx) (err error) {
		out, err = update(tx, id, change)
		return err
	})
	if errors.Is(err, errUnchanged) {
		return out, nil
	}
	if err != nil {
		return approvals.Request{}, err
	}
	return out, nil
}

// errUnchanged takes a transaction back in which nothing was changed.
var errUnchanged = errors.New("nothing changed")

func update(tx *bbolt.Tx, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	was, err := load(tx, id)
	if err != nil {
		return approvals.Request{}, err
	}
	digest, version, ended, pair := was.Digest(), was.Version, was.State.Ended(), was.Subject.Pair
	r, events, err := change(was)
	switch {
	case err != nil:
		return approvals.Request{}, err
	case len(events) == 0:
		return unchanged(tx, id)
	case ended:
		return approvals.Request{}, fmt.Errorf("request %s has ended and can't be changed", id)
	case r.ID != id || r.Subject.Pair != pair || r.Digest() != digest:
		return approvals.Request{}, fmt.Errorf("request %s: a change may not touch what its digest covers", id)
	}
	r.Version = version
	return save(tx, r, events)
}

// unchanged is load for a change that turned out to be none.
func unchanged(tx *bbolt.Tx, id string) (approvals.Request, error) {
	r, err := load(tx, id)
	if err == nil {
		err = errUnchanged
	}
	return r, err
}

// Filter narrows Requests.
type Filter = approvals.Filter

// Requests implements actions.Archive.
func (s *Store) Requests(ctx context.Context, f Filter, limit int) ([]approvals.Request, error) {
	var out []approvals.Request
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		for id := range newest(tx, f) {
			if len(out) >= limit {
				return nil
			}
			r, err := load(tx, string(id))
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// newest walks an index backwards and yields ids.
func newest(tx *bbolt.Tx, f Filter) func(yield func([]byte) bool) {
	bucket, prefix := in(tx, bucketRequests), []byte(nil)
	if f.Pair != "" {
		bucket, prefix = in(tx, bucketByPair), under(f.Pair)
	}
	return func(yield func([]byte) bool) {
		c := bucket.Cursor()
		for key := seekBefore(c, prefix, f.Before); key != nil && bytes.HasPrefix(key, prefix); key, _ = c.Prev() {
			if !yield(key[len(prefix):]) {
				return
			}
		}
	}
}

// seekBefore moves c to the last key below prefix+before, or to the last one
// with that prefix when before is empty.
func seekBefore(c *bbolt.Cursor, prefix []byte, before string) []byte {
	end := append(bytes.Clone(prefix), before...)
	if before == "" && len(prefix) > 0 {
		end[len(end)-1]++ // the zero byte after the name
	}
	if len(end) == 0 {
		key, _ := c.Last()
		return key
	}
	if key, _ := c.Seek(end); key == nil {
		key, _ = c.Last()
		return key
	}
	key, _ := c.Prev()
	return key
}
