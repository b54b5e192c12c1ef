package store

import (
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"twokey/actions"
)

const thinBite = 8 // steps that are merged at once

// thinnedKey is the setting that says up to where a pair's samples are merged,
// in milliseconds: a step that ends there needs no second look.
func thinnedKey(pair string) []byte { return []byte("thinned/" + pair) }

// thin merges a few steps that end before the given time.
func thin(tx *bbolt.Tx, b *bbolt.Bucket, pair string, before time.Time) error {
	from, err := thinnedUpTo(tx, pair)
	if err != nil {
		return err
	}
	at := from
	for range thinBite {
		next, done := nextStep(b, at)
		if done || next+stepMillis > millis(before) {
			break
		}
		if err := mergeStep(b, pair, next); err != nil {
			return err
		}
		at = next + stepMillis
	}
	if at == from {
		return nil
	}
	return put(in(tx, bucketSettings), thinnedKey(pair), strconv.AppendUint(nil, at, 10))
}

const stepMillis = uint64(actions.MergeStep / time.Millisecond)

func thinnedUpTo(tx *bbolt.Tx, pair string) (uint64, error) {
	raw, err := get(in(tx, bucketSettings), thinnedKey(pair))
	if raw == nil || err != nil {
		return 0, err
	}
	at, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: up to where the samples of %s are merged can't be read: %w", ErrDamaged, pair, err)
	}
	return at, nil
}

// nextStep is where the step of the first sample from at on begins.
func nextStep(b *bbolt.Bucket, at uint64) (step uint64, none bool) {
	key, _ := b.Cursor().Seek(number(at))
	if len(key) != 8 {
		return 0, true
	}
	first, _ := parseNumber(key) // it has 8 bytes
	return first - first%stepMillis, false
}

// mergeStep leaves one sample of a step.
func mergeStep(b *bbolt.Bucket, pair string, step uint64) error {
	var keys [][]byte
	var samples []actions.Sample
	c := b.Cursor()
	for key, value := c.Seek(number(step)); key != nil && string(key) < string(number(step+stepMillis)); key, value = c.Next() {
		sample, err := parseSample(pair, key, value)
		if err != nil {
			return err
		}
		keys, samples = append(keys, append([]byte(nil), key...)), append(samples, sample)
	}
	if len(samples) < 2 {
		return nil
	}
	for _, key := range keys[1:] {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return putSample(b, pair, actions.MergeSamples(samples))
}
