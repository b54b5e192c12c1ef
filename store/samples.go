package store

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"twokey/actions"
)

// AddSample implements actions.Samples. Times are kept in milliseconds; a
// second sample of the same pair and millisecond replaces the first. Each call
// also removes a few samples that are older than Options.SampleAge, of this
// pair and of one other, so that pairs of which nothing comes any more shrink
// as well, and merges a few of this pair that are older than Options.SampleFull.
func (s *Store) AddSample(ctx context.Context, pair string, sample actions.Sample) error {
	if err := name("pair", pair); err != nil {
		return err
	}
	oldest := number(millis(s.opt.Now().Add(-s.opt.SampleAge)))
	return s.share(ctx, func(tx *bbolt.Tx) error {
		all := in(tx, bucketSamples)
		b, err := all.CreateBucketIfNotExists([]byte(pair))
		if err != nil {
			return fmt.Errorf("storing a sample of %s: %w", pair, err)
		}
		b.FillPercent = 1 // samples come in order, at the end
		if err := putSample(b, pair, sample); err != nil {
			return err
		}
		if err := prune(b, oldest); err != nil {
			return err
		}
		if err := thin(tx, b, pair, s.opt.Now().Add(-s.opt.SampleFull)); err != nil {
			return err
		}
		return s.pruneNext(all, oldest)
	})
}

// putSample seals the sample with its pair's name as well: bbolt wouldn't notice
// a bucket whose name was overwritten.
func putSample(b *bbolt.Bucket, pair string, sample actions.Sample) error {
	key := number(millis(sample.At))
	if err := b.Put(key, seal(under(pair, key...), encodeSample(sample))); err != nil {
		return fmt.Errorf("storing a sample of %s: %w", pair, err)
	}
	return nil
}

// pruneNext prunes one pair after the other, a bite each time.
func (s *Store) pruneNext(all *bbolt.Bucket, oldest []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := all.Cursor()
	pair, _ := c.Seek(append(s.pruned, 0)) // the name after the last one
	if pair == nil {
		pair, _ = c.First()
	}
	s.pruned = append([]byte(nil), pair...)
	b := all.Bucket(s.pruned)
	if err := prune(b, oldest); err != nil {
		return err
	}
	if key, _ := b.Cursor().First(); key == nil {
		return all.DeleteBucket(s.pruned)
	}
	return nil
}

func prune(b *bbolt.Bucket, oldest []byte) error {
	var over [][]byte
	c := b.Cursor()
	for key, _ := c.First(); key != nil && len(over) < pruneBite && string(key) < string(oldest); key, _ = c.Next() {
		over = append(over, append([]byte(nil), key...))
	}
	for _, key := range over {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// Samples implements actions.Samples: from since on, oldest first.
func (s *Store) Samples(ctx context.Context, pair string, since time.Time) ([]actions.Sample, error) {
	if err := name("pair", pair); err != nil {
		return nil, err
	}
	var out []actions.Sample
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		b := in(tx, bucketSamples).Bucket([]byte(pair))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for key, value := c.Seek(number(millis(since))); key != nil; key, value = c.Next() {
			sample, err := parseSample(pair, key, value)
			if err != nil {
				return err
			}
			out = append(out, sample)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func parseSample(pair string, key, value []byte) (actions.Sample, error) {
	at, err := parseNumber(key)
	if err != nil {
		return actions.Sample{}, err
	}
	raw, err := unseal(under(pair, key...), value)
	if err != nil {
		return actions.Sample{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	sample, err := decodeSample(raw)
	if err != nil {
		return actions.Sample{}, fmt.Errorf("%w: the sample of %d: %w", ErrDamaged, at, err)
	}
	sample.At = time.UnixMilli(int64(at)).UTC()
	return sample, nil
}

// millis is a time as a key; times before 1970 are the first there is.
func millis(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }
