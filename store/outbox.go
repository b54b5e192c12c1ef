package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"twokey/approvals"
)

// Cursor says up to which event somebody, by name, has delivered the audit
// log; 0 when he never has.
func (s *Store) Cursor(ctx context.Context, who string) (uint64, error) {
	if err := name("cursor's name", who); err != nil {
		return 0, err
	}
	var seq uint64
	err := s.read(ctx, func(tx *bbolt.Tx) (err error) {
		seq, err = getNumber(in(tx, bucketCursors), []byte(who))
		return err
	})
	return seq, err
}

func getNumber(b *bbolt.Bucket, key []byte) (uint64, error) {
	raw, err := get(b, key)
	if raw == nil || err != nil {
		return 0, err
	}
	return parseNumber(raw)
}

// Advance moves a cursor forward to seq. One that is there already, or beyond,
// stays where it is; beyond the end of the log is an error.
func (s *Store) Advance(ctx context.Context, who string, seq uint64) error {
	if err := name("cursor's name", who); err != nil {
		return err
	}
	return skipUnchanged(s.share(ctx, func(tx *bbolt.Tx) error {
		at, err := getNumber(in(tx, bucketCursors), []byte(who))
		if err != nil {
			return err
		}
		last, _, err := tail(in(tx, bucketEvents))
		switch {
		case err != nil:
			return err
		case seq > last:
			return fmt.Errorf("the cursor %s can't advance to event %d: the last one is %d", who, seq, last)
		case seq <= at:
			return errUnchanged
		}
		return put(in(tx, bucketCursors), []byte(who), number(seq))
	}))
}

func skipUnchanged(err error) error {
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// Place gives where the message of a subject lies, as SetPlace was told.
func (s *Store) Place(ctx context.Context, subject string) (place string, found bool, err error) {
	return s.text(ctx, bucketPlaces, subject)
}

// SetPlace remembers where the message of a subject lies; "" forgets it.
func (s *Store) SetPlace(ctx context.Context, subject, place string) error {
	return s.setText(ctx, bucketPlaces, subject, place)
}

// Setting gives a small value that was set under key.
func (s *Store) Setting(ctx context.Context, key string) (value string, found bool, err error) {
	return s.text(ctx, bucketSettings, key)
}

// SetSetting keeps a small value, such as the policy that was last in force, so
// that a change can be noticed at the next start; "" removes it.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	return s.setText(ctx, bucketSettings, key, value)
}

// ChangeSetting lets change make a setting's next value and what there is to tell
// about it, in one transaction. The same value costs no write, and then nothing
// is told.
func (s *Store) ChangeSetting(ctx context.Context, key string, change func(was string, known bool) (is string, events []approvals.Event)) error {
	if err := name("key", key); err != nil {
		return err
	}
	return skipUnchanged(s.write(ctx, func(tx *bbolt.Tx) error {
		settings := in(tx, bucketSettings)
		was, err := get(settings, []byte(key))
		if err != nil {
			return err
		}
		is, events := change(string(was), was != nil)
		if was != nil && is == string(was) {
			return errUnchanged
		}
		if err := put(settings, []byte(key), []byte(is)); err != nil {
			return err
		}
		return appendEvents(tx, events)
	}))
}

func (s *Store) text(ctx context.Context, bucket, key string) (value string, found bool, err error) {
	if err := name("key", key); err != nil {
		return "", false, err
	}
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		raw, err := get(in(tx, bucket), []byte(key))
		value, found = string(raw), raw != nil
		return err
	})
	return value, found, err
}

func (s *Store) setText(ctx context.Context, bucket, key, value string) error {
	if err := name("key", key); err != nil {
		return err
	}
	return s.share(ctx, func(tx *bbolt.Tx) error {
		if value == "" {
			return in(tx, bucket).Delete([]byte(key))
		}
		return put(in(tx, bucket), []byte(key), []byte(value))
	})
}

// Subscribe gives a channel that receives after commits; what comes while
// nobody receives collapses into one. It starts with one, so that whoever
// subscribes looks first. cancel ends it, and must be called.
func (s *Store) Subscribe() (wake <-chan struct{}, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ch := s.next, make(chan struct{}, 1)
	s.next++
	s.wake[id] = ch
	ch <- struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.wake, id)
	}
}

func (s *Store) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.wake {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
