package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"twokey/store/internal/pages"
)

// AuditFile reads the audit log straight from a store's file, which it neither
// opens as a store nor changes: a file that Open refuses, one of an older layout
// and a copy that may not be written can be read, too. It returns a *ChainError
// at the first entry whose bytes are not as they were written, what visit
// returns, or ErrLocked, ErrNewer, ErrDamaged, ErrForeign as Open does.
func AuditFile(path string, patience time.Duration, visit func(AuditEntry) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the store can't be opened: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from; its end gives the lock back
	if err := lockAs(file, syscall.LOCK_SH, patience); err != nil {
		return fmt.Errorf("the store %s can't be read: %w", path, err)
	}
	if err := auditFile(file, visit); err != nil {
		return fmt.Errorf("the store %s: %w", path, err)
	}
	return nil
}

func auditFile(file *os.File, visit func(AuditEntry) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	look, found := inspection{}, false
	err = pages.Check(file, info.Size(), func(bucket [][]byte, key, value []byte) error {
		found = found || isEvent(bucket)
		return look.visit(bucket, key, value)
	})
	if err != nil {
		return damage(info, err)
	}
	if _, err := parseSchema(look.schema); err != nil {
		return err
	}
	if !found {
		return nil
	}
	return pages.Check(file, info.Size(), func(bucket [][]byte, key, value []byte) error {
		if !isEvent(bucket) {
			return nil
		}
		return visitRecord(key, value, visit)
	})
}

func isEvent(bucket [][]byte) bool { return len(bucket) == 1 && string(bucket[0]) == bucketEvents }

// visitRecord passes an entry on that belongs to the check.
func visitRecord(key, value []byte, visit func(AuditEntry) error) error {
	seq, err := parseNumber(key)
	if err != nil {
		return err
	}
	rec, err := parseRecord(key, value)
	if err != nil {
		return &ChainError{Seq: seq, Why: "its bytes don't match their checksum",
			Means: "The disk, or something that is not this program, changed the file."}
	}
	return visit(rec.entry())
}

// damage is what the check of a file's pages says about a store.
func damage(info os.FileInfo, err error) error {
	switch {
	case info.Size() == 0:
		return fmt.Errorf("%w: it is empty; if it never held anything, remove it", ErrDamaged)
	case errors.Is(err, pages.ErrNotBolt):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return fmt.Errorf("%w: %w; restore it from a backup", ErrDamaged, err)
}
