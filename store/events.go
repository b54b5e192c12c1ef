package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"twokey/approvals"
)

// An event is stored as the two hashes that chain it, then its JSON without
// them. The hash is taken over these very bytes, so that it stays checkable
// whatever a later version writes.
const hashSize = sha256.Size

// appendEvents numbers and chains events at the end of the log.
func appendEvents(tx *bbolt.Tx, events []approvals.Event) error {
	log := in(tx, bucketEvents)
	log.FillPercent = 1 // it only ever grows at its end
	seq, prev, err := tail(log)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := name("event's subject", e.Subject); err != nil {
			return err
		}
		seq++
		if prev, err = appendEvent(tx, log, seq, prev, e); err != nil {
			return err
		}
	}
	return nil
}

func appendEvent(tx *bbolt.Tx, log *bbolt.Bucket, seq uint64, prev []byte, e approvals.Event) ([]byte, error) {
	e.Seq, e.Prev, e.Hash = seq, "", ""
	e.At = e.At.UTC()
	body, err := canonical(e)
	if err != nil {
		return nil, fmt.Errorf("storing the event %s of %s: %w", e.Kind, e.Subject, err)
	}
	hash := chain(prev, body)
	record := append(append(append(make([]byte, 0, 2*hashSize+len(body)), prev...), hash...), body...)
	if err := put(log, number(seq), record); err != nil {
		return nil, err
	}
	return hash, put(in(tx, bucketBySubject), under(e.Subject, number(seq)...), nil)
}

// canonical is the event's JSON such that reading and writing it again gives
// the same bytes: the first writing replaces what is no valid UTF-8.
func canonical(e approvals.Event) ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var clean approvals.Event
	if err := json.Unmarshal(raw, &clean); err != nil {
		return nil, err
	}
	return json.Marshal(clean)
}

// chain is the hash of an event: of the hash before it in hex, a line feed, and
// its own JSON. The first event follows the empty hash.
func chain(prev, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(text(prev) + "\n"))
	h.Write(body)
	return h.Sum(nil)
}

// text is a stored hash in hex; the one before the first event is all zero and
// reads as "".
func text(hash []byte) string {
	if bytes.Count(hash, []byte{0}) == len(hash) {
		return ""
	}
	return hex.EncodeToString(hash)
}

// tail gives the number and hash of the last event.
func tail(log *bbolt.Bucket) (seq uint64, hash []byte, err error) {
	key, value := log.Cursor().Last()
	if key == nil {
		return 0, make([]byte, hashSize), nil
	}
	rec, err := parseRecord(key, value)
	return rec.seq, bytes.Clone(rec.hash), err
}

// record is a stored event; its slices belong to the transaction.
type record struct {
	seq              uint64
	prev, hash, body []byte
}

func parseRecord(key, value []byte) (record, error) {
	seq, err := parseNumber(key)
	if err != nil {
		return record{}, err
	}
	raw, err := unseal(key, value)
	if err != nil || len(raw) < 2*hashSize {
		return record{}, fmt.Errorf("%w: event %d has a wrong checksum", ErrDamaged, seq)
	}
	return record{seq: seq, prev: raw[:hashSize], hash: raw[hashSize : 2*hashSize], body: raw[2*hashSize:]}, nil
}

func (r record) event() (approvals.Event, error) {
	var e approvals.Event
	if err := decode(number(r.seq), r.body, &e); err != nil {
		return approvals.Event{}, err
	}
	e.Prev, e.Hash = text(r.prev), text(r.hash)
	return e, nil
}

// Append adds events that belong to no request, in one transaction.
func (s *Store) Append(ctx context.Context, events []approvals.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.write(ctx, func(tx *bbolt.Tx) error { return appendEvents(tx, events) })
}

// EventsAfter gives the events that follow seq, in order, at most limit.
func (s *Store) EventsAfter(ctx context.Context, seq uint64, limit int) ([]approvals.Event, error) {
	var out []approvals.Event
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		c := in(tx, bucketEvents).Cursor()
		for key, value := c.Seek(number(seq + 1)); key != nil && len(out) < limit; key, value = c.Next() {
			rec, err := parseRecord(key, value)
			if err != nil {
				return err
			}
			e, err := rec.event()
			if err != nil {
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

// EventsOf gives the newest events of one subject, oldest of them first, at
// most limit.
func (s *Store) EventsOf(ctx context.Context, subject string, limit int) ([]approvals.Event, error) {
	var out []approvals.Event
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		prefix := under(subject)
		c := in(tx, bucketBySubject).Cursor()
		for key := seekBefore(c, prefix, ""); bytes.HasPrefix(key, prefix) && len(out) < limit; key, _ = c.Prev() {
			e, err := eventAt(tx, key[len(prefix):])
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, nil
}

func eventAt(tx *bbolt.Tx, key []byte) (approvals.Event, error) {
	value := in(tx, bucketEvents).Get(key)
	if value == nil {
		return approvals.Event{}, fmt.Errorf("%w: an event is missing from the log", ErrDamaged)
	}
	rec, err := parseRecord(key, value)
	if err != nil {
		return approvals.Event{}, err
	}
	return rec.event()
}

// Head gives the number and the hash of the last event, 0 and "" when there is
// none. Whoever keeps it elsewhere can later tell whether the log was cut off
// or written anew.
func (s *Store) Head(ctx context.Context) (seq uint64, hash string, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		n, h, err := tail(in(tx, bucketEvents))
		seq, hash = n, text(h)
		return err
	})
	return seq, hash, err
}

// Audit calls visit with each event that follows seq and verifies that they
// number and chain without a gap, the first of them to the one before it. It
// returns a *ChainError, or what visit returns. All is seen at one moment;
// writers go on meanwhile.
func (s *Store) Audit(ctx context.Context, seq uint64, visit func(approvals.Event) error) error {
	return s.read(ctx, func(tx *bbolt.Tx) error {
		log := in(tx, bucketEvents)
		prev, err := hashAt(log, seq)
		if err != nil {
			return err
		}
		link := link{seq: seq, hash: prev}
		c := log.Cursor()
		for key, value := c.Seek(number(seq + 1)); key != nil; key, value = c.Next() {
			rec, err := parseRecord(key, value)
			if err != nil {
				return err
			}
			e, err := link.add(rec.entry())
			if err != nil {
				return err
			}
			if err := errorsFirst(ctx.Err(), visit(e)); err != nil {
				return err
			}
		}
		return nil
	})
}

func errorsFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func hashAt(log *bbolt.Bucket, seq uint64) (string, error) {
	if seq == 0 {
		return "", nil
	}
	value := log.Get(number(seq))
	if value == nil {
		return "", missing(seq)
	}
	rec, err := parseRecord(number(seq), value)
	return text(rec.hash), err
}
