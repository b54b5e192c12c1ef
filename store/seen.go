package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"go.etcd.io/bbolt"
)

// pruneBite is how many things that are over each write removes: more than it
// adds, so that they never pile up, and few enough not to be felt.
const pruneBite = 8

// Seen remembers key for ttl and says whether this is the first time, so that
// a delivery that comes again is recognised, also after a restart. Of the key
// only a hash is kept.
func (s *Store) Seen(ctx context.Context, key string, ttl time.Duration) (first bool, err error) {
	hash := sha256.Sum256([]byte(key))
	now := s.opt.Now()
	err = s.share(ctx, func(tx *bbolt.Tx) error {
		first = false
		until, err := getNumber(in(tx, bucketSeen), hash[:])
		if err != nil {
			return err
		}
		if until > uint64(now.UnixNano()) {
			return errUnchanged
		}
		first = true
		return see(tx, hash[:], until, now, ttl)
	})
	if err := skipUnchanged(err); err != nil {
		return false, err
	}
	return first, nil
}

// Writable returns nil when a small change was just made durable, and else why
// that fails, as on a full disk. Asked more than once in a second it writes
// once, so that whoever may ask can't wear the disk out.
func (s *Store) Writable(ctx context.Context) error {
	now := number(uint64(s.opt.Now().Unix()))
	err := s.share(ctx, func(tx *bbolt.Tx) error {
		last, err := get(in(tx, bucketMeta), []byte(keyWritten))
		if err != nil {
			return err
		}
		if bytes.Equal(last, now) {
			return errUnchanged
		}
		return put(in(tx, bucketMeta), []byte(keyWritten), now)
	})
	return skipUnchanged(err)
}

// keyWritten is, in the meta bucket, when Writable last wrote, in seconds.
const keyWritten = "written"

func see(tx *bbolt.Tx, hash []byte, old uint64, now time.Time, ttl time.Duration) error {
	if old != 0 {
		if err := in(tx, bucketSeenUntil).Delete(append(number(old), hash...)); err != nil {
			return err
		}
	}
	until := number(uint64(now.Add(ttl).UnixNano()))
	if err := put(in(tx, bucketSeen), hash, until); err != nil {
		return err
	}
	if err := put(in(tx, bucketSeenUntil), append(until, hash...), nil); err != nil {
		return err
	}
	return forget(tx, now)
}

// forget removes a few keys whose time is over.
func forget(tx *bbolt.Tx, now time.Time) error {
	byTime, c := in(tx, bucketSeenUntil), in(tx, bucketSeenUntil).Cursor()
	var over [][]byte
	for key, _ := c.First(); key != nil && len(over) < pruneBite; key, _ = c.Next() {
		until, err := parseNumber(key[:8])
		if err != nil {
			return err
		}
		if until > uint64(now.UnixNano()) {
			break
		}
		over = append(over, append([]byte(nil), key...))
	}
	for _, key := range over {
		if err := byTime.Delete(key); err != nil {
			return err
		}
		if err := in(tx, bucketSeen).Delete(key[8:]); err != nil {
			return err
		}
	}
	return nil
}
