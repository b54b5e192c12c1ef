package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"

	"twokey/store/internal/pages"
)

// schema is the version of the layout that this program writes.
const schema = 2

// The buckets. In keys, numbers are 8 bytes, most significant first, and names
// end with a zero byte where something follows.
const (
	bucketMeta      = "meta"              // schema: its number in decimal; must stay so in every version; written: see Writable
	bucketRequests  = "requests"          // id → request
	bucketByPair    = "requests_by_pair"  // pair, id → nothing
	bucketOpen      = "open"              // pair → id of its open request
	bucketEvents    = "events"            // seq → hashes and event
	bucketBySubject = "events_by_subject" // subject, seq → nothing
	bucketJournal   = "journal"           // request, seq → entry
	bucketMemory    = "memory"            // pair → remembered
	bucketSamples   = "samples"           // pair → bucket of time → sample
	bucketCursors   = "cursors"           // name → seq delivered
	bucketPlaces    = "places"            // subject → place
	bucketSeen      = "seen"              // hash of key → until
	bucketSeenUntil = "seen_until"        // until, hash of key → nothing
	bucketSettings  = "settings"          // name → value
	bucketFactors   = "factors"           // person → second factor; since version 2

	keySchema = "schema"
)

func buckets() []string {
	return []string{
		bucketMeta, bucketRequests, bucketByPair, bucketOpen, bucketEvents, bucketBySubject, bucketJournal,
		bucketMemory, bucketSamples, bucketCursors, bucketPlaces, bucketSeen, bucketSeenUntil, bucketSettings, bucketFactors,
	}
}

func in(tx *bbolt.Tx, bucket string) *bbolt.Bucket { return tx.Bucket([]byte(bucket)) }

// whole makes sure that in never gives nil.
func whole(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if in(tx, name) == nil {
			return fmt.Errorf("%w: its part %q is missing; restore it from a backup", ErrDamaged, name)
		}
	}
	return nil
}

// found fills a new file.
func found(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return setSchema(tx, schema)
}

func setSchema(tx *bbolt.Tx, version int) error {
	return put(in(tx, bucketMeta), []byte(keySchema), strconv.AppendInt(nil, int64(version), 10))
}

// migration brings a store from one schema to the next, within a transaction.
type migration func(*bbolt.Tx) error

// migrations holds at index i what leads from schema i+1 to i+2.
func migrations() []migration { return []migration{addFactors} }

func addFactors(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists([]byte(bucketFactors))
	return err
}

// migrate brings an older file to this program's schema, one transaction for
// each version, so that an interrupted one goes on where it was.
func (s *Store) migrate(steps []migration) error {
	from, err := s.schema()
	if err != nil {
		return err
	}
	for _, step := range steps[from-1:] {
		from++
		if err := s.db.Update(stepTo(from, step)); err != nil {
			return fmt.Errorf("the store %s could not be brought to version %d of its layout: %w", s.path, from, err)
		}
		s.opt.Log.Info("store migrated", "path", s.path, "schema", from)
	}
	return s.db.View(whole)
}

func stepTo(version int, step migration) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		if err := step(tx); err != nil {
			return err
		}
		return setSchema(tx, version)
	}
}

func (s *Store) schema() (version int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		raw, err := get(in(tx, bucketMeta), []byte(keySchema))
		if err == nil {
			version, err = parseSchema(raw)
		}
		return err
	})
	return version, err
}

func parseSchema(value []byte) (int, error) {
	v, err := strconv.Atoi(string(value))
	switch {
	case err != nil || v < 1:
		return 0, fmt.Errorf("%w: it has no readable version", ErrForeign)
	case v > schema:
		return 0, fmt.Errorf("%w (layout %d; this one knows up to %d): start that version, or go back to a backup of before", ErrNewer, v, schema)
	}
	return v, nil
}

// inspect reads the whole locked file and refuses it unless it is a store that
// this program can read without surprise.
func inspect(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	look := inspection{}
	err = pages.Check(file, info.Size(), look.visit)
	if err != nil {
		return damage(info, err)
	}
	return look.judge()
}

// inspection gathers what the check of the pages doesn't know: the schema, the
// buckets, and the first value whose checksum is wrong. A newer layout may
// keep its values in another way, so the schema is judged first.
type inspection struct {
	ours   bool // it has a value with our kind of checksum
	schema []byte
	wrong  error
}

func (i *inspection) visit(bucket [][]byte, key, value []byte) error {
	if len(bucket) == 0 {
		i.note(fmt.Errorf("the key %q lies outside of any bucket", key))
		return nil
	}
	sealed := key
	for _, nested := range slices.Backward(bucket[1:]) {
		sealed = under(string(nested), sealed...)
	}
	payload, err := unseal(sealed, value)
	if err != nil {
		i.note(fmt.Errorf("in %q: %w", bucket[0], err))
		return nil
	}
	i.ours = true
	if string(bucket[0]) == bucketMeta && string(key) == keySchema {
		i.schema = slices.Clone(payload)
	}
	return nil
}

func (i *inspection) note(err error) {
	if i.wrong == nil {
		i.wrong = err
	}
}

func (i *inspection) judge() error {
	_, err := parseSchema(i.schema)
	switch {
	case errors.Is(err, ErrNewer):
		return err
	case i.wrong != nil && i.ours:
		return fmt.Errorf("%w: %w; restore it from a backup", ErrDamaged, i.wrong)
	}
	return err
}
