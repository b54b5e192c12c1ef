package pages_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"twokey/store/internal/pages"
)

// build makes a bbolt file by random transactions and gives its bytes.
func build(t *rapid.T, dir string) []byte {
	path := filepath.Join(dir, "file.db")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(0, 6).Draw(t, "transactions") {
		if err := db.Update(func(tx *bbolt.Tx) error { return change(t, tx) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// change puts and deletes in two buckets and in one that lies in the first.
func change(t *rapid.T, tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "bucket")))
	if err != nil {
		return err
	}
	if rapid.Bool().Draw(t, "nested") {
		if b, err = b.CreateBucketIfNotExists([]byte("nested")); err != nil {
			return err
		}
	}
	first, n := rapid.IntRange(0, 300).Draw(t, "first"), rapid.IntRange(0, 200).Draw(t, "n")
	remove, size := rapid.Bool().Draw(t, "remove"), rapid.SampledFrom([]int{0, 1, 50, 1500, 20_000}).Draw(t, "size")
	for i := range n {
		key := fmt.Appendf(nil, "key %05d", first+i)
		if remove {
			err = b.Delete(key)
		} else {
			err = b.Put(key, bytes.Repeat([]byte{'v'}, size))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seen gathers what Check visits.
func seen(raw []byte) (map[string]string, error) {
	out := map[string]string{}
	err := pages.Check(bytes.NewReader(raw), int64(len(raw)), func(bucket [][]byte, key, value []byte) error {
		out[string(bytes.Join(bucket, []byte("/")))+"/"+string(key)] = string(value)
		return nil
	})
	return out, err
}

// viaBolt reads the same through bbolt, and has it check the file.
func viaBolt(t *rapid.T, path string) map[string]string {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out := map[string]string{}
	var walk func(prefix string, b *bbolt.Bucket) error
	walk = func(prefix string, b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return walk(prefix+"/"+string(k), b.Bucket(k))
			}
			out[prefix+"/"+string(k)] = string(v)
			return nil
		})
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's own check: %v", err)
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error { return walk(string(name), b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCheckAcceptsWhatBoltWrites: any file that bbolt made passes, and Check
// visits exactly what is in it.
func TestCheckAcceptsWhatBoltWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		raw := build(t, dir)
		got, err := seen(raw)
		if err != nil {
			t.Fatalf("a sound file is refused: %v", err)
		}
		if want := viaBolt(t, filepath.Join(dir, "file.db")); !maps.Equal(want, got) {
			t.Fatalf("bbolt reads %d values, Check %d, or other ones", len(want), len(got))
		}
	})
}

// TestCheckRefusesWhatBoltCannotRead damages a file at random. What Check
// accepts, bbolt must be able to open, check and read, with the same keys; if
// it couldn't, this test would die with it.
func TestCheckRefusesWhatBoltCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		raw := build(t, dir)
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
			noise := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "noise")
			copy(raw[at:], noise)
		}
		raw = raw[:rapid.OneOf(rapid.Just(len(raw)), rapid.IntRange(0, len(raw))).Draw(t, "size")]
		got, err := seen(raw)
		if err != nil {
			return
		}
		path := filepath.Join(dir, "damaged.db")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if want := viaBolt(t, path); !maps.Equal(want, got) {
			t.Fatalf("bbolt reads %d values, Check %d, or other ones", len(want), len(got))
		}
	})
}

func TestCheckRefusesAFileWithoutFreelist(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("b")); return err })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seen(raw); err == nil || !strings.Contains(err.Error(), "list of free pages") {
		t.Errorf("bbolt would write into it while opening, but: %v", err)
	}
}

func TestCheckPassesErrorsOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	visit := func([][]byte, []byte, []byte) error { return boom }
	if err := pages.Check(file, 1<<20, visit); !errors.Is(err, boom) {
		t.Errorf("the visitor's error: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pages.Check(file, 1<<20, visit); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an error of reading: %v", err)
	}
}

// FuzzCheck: no bytes whatever make it panic or go on for ever.
func FuzzCheck(f *testing.F) {
	path := filepath.Join(f.TempDir(), "file.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1024})
	if err != nil {
		f.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := range 60 {
			err = errors.Join(err, b.Put(fmt.Appendf(nil, "%02d", i), bytes.Repeat([]byte{'v'}, 20)))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:20<<10])
	f.Add([]byte("no bbolt file"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := seen(raw)
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		if err == nil && len(raw) < 4096 {
			t.Errorf("%d bytes hold %d values", len(raw), len(found))
		}
	})
}
