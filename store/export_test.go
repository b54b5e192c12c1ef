package store

import (
	"go.etcd.io/bbolt"
)

// SetSchema rewrites the version of an open store, as another version of this
// program would have.
func SetSchema(s *Store, version int) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return setSchema(tx, version) })
}

// RawUpdate lets a test do to the file what the store never does.
func RawUpdate(s *Store, change func(*bbolt.Tx) error) error { return s.db.Update(change) }

// Seal is the form in which a value is stored.
func Seal(key, payload []byte) []byte { return seal(key, payload) }
