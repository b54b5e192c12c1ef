package store

import (
	"go.etcd.io/bbolt"
)

// Schema is the version that this program writes.
const Schema = schema

// SetSchema rewrites the version of an open store, as another version of this
// program would have.
func SetSchema(s *Store, version int) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return setSchema(tx, version) })
}

// RawUpdate lets a test do to the file what the store never does.
func RawUpdate(s *Store, change func(*bbolt.Tx) error) error { return s.db.Update(change) }

// RawView lets a test see the file's newest transaction.
func RawView(s *Store, look func(*bbolt.Tx) error) error { return s.db.View(look) }

// Seal is the form in which a value is stored.
func Seal(key, payload []byte) []byte { return seal(key, payload) }

// NoSync leaves out fsync, for tests that make very many commits and are about
// something else.
func NoSync(s *Store) { s.db.NoSync = true }

// Migrate runs steps as if they were this program's.
func Migrate(s *Store, steps ...func(*bbolt.Tx) error) error {
	var all []migration
	for _, step := range steps {
		all = append(all, step)
	}
	return s.migrate(all)
}

// CommitFailed plays the end of a commit that bbolt gave back with an error,
// after its header page was written (visible) or before.
func CommitFailed(s *Store, visible bool, cause error) error {
	last := 0
	if err := s.db.View(func(tx *bbolt.Tx) error { last = tx.ID(); return nil }); err != nil {
		return err
	}
	if visible {
		return s.commitFailed(last, cause)
	}
	return s.commitFailed(last+1, cause)
}

// ChainHash is the hash of an event after the one with hash prev.
func ChainHash(prev, body []byte) []byte { return chain(prev, body) }
