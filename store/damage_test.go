package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// filled makes a store with something of everything: nested buckets, branches,
// values in overflow pages, and free pages.
func filled(t *testing.T) (path string, image []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	clock := storetest.NewClock()
	s := open(t, path, store.Options{Now: clock.Now})
	store.NoSync(s)
	for i := range 12 {
		must(t, runRequest(t, s, fmt.Sprintf("%02d", i), "orders", clock.Now()))
		must(t, s.SetPlace(t.Context(), fmt.Sprint("request/", i), strings.Repeat("place ", 300*i)))
		_, err := s.Seen(t.Context(), fmt.Sprint(i), time.Hour)
		must(t, err)
	}
	for i := range 150 {
		must(t, s.AddSample(t.Context(), fmt.Sprint("pair", i%2), actions.Sample{At: clock.Now().Add(time.Duration(i) * time.Second), State: "ok"}))
	}
	must(t, s.SetPlace(t.Context(), "request/11", "")) // leaves free pages
	must(t, s.Close())
	image, err := os.ReadFile(path)
	must(t, err)
	return path, image
}

// runRequest walks a request from asking to its end.
func runRequest(t testing.TB, s *store.Store, id, pair string, at time.Time) error {
	r, events := storetest.Ask(id, pair, at)
	if _, err := s.Create(t.Context(), r, events); err != nil {
		return err
	}
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		if _, err := s.Update(t.Context(), id, storetest.Yes(who, at)); err != nil {
			return err
		}
	}
	if _, err := s.Claim(t.Context(), id, "attempt"); err != nil {
		return err
	}
	if err := s.Record(t.Context(), id, actions.Entry{Attempt: "attempt", Op: actions.OpStop, Phase: actions.Intent}); err != nil {
		return err
	}
	return s.Finish(t.Context(), id, approvals.Succeed, "verified", actions.Outcome{Pair: pair})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const pageSize = 4096 // of the machines that the tests run on; filled checks nothing that depends on it

// refused opens path and expects want in one sentence, and that nothing in the
// folder has changed.
func refused(t *testing.T, title, path string, want error) {
	t.Helper()
	before := folder(t, filepath.Dir(path))
	s, err := store.Open(path, store.Options{LockTimeout: time.Millisecond})
	if err == nil {
		t.Errorf("%s: it was opened", title)
		must(t, s.Close())
		return
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("%s: refused with %q, want %q", title, err, want)
	}
	if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 600 {
		t.Errorf("%s: that is not one clear sentence: %q", title, err)
	}
	if diff := cmp.Diff(before, folder(t, filepath.Dir(path))); diff != "" {
		t.Errorf("%s: something was written:\n%s", title, diff)
	}
}

// folder gives each file's size, time and the digest of its content.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		raw := []byte(nil)
		if info.Mode().IsRegular() {
			raw, err = os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
		}
		out[e.Name()] = fmt.Sprintf("%s %d %s %x", info.Mode(), info.Size(), info.ModTime(), sha256.Sum256(raw))
	}
	return out
}

func TestOpenRefusesATruncatedFile(t *testing.T) {
	t.Parallel()
	_, image := filled(t)
	path := filepath.Join(t.TempDir(), "store.db")
	used := usedBytes(image)
	for page := 0; page*pageSize < used; page++ {
		for _, size := range []int{page * pageSize, page*pageSize + 1 + page*37%pageSize} {
			must(t, os.WriteFile(path, image[:min(size, used-1)], 0o600))
			want := store.ErrDamaged
			if size > 0 && size < 80 {
				want = store.ErrForeign // not even a header is left
			}
			refused(t, fmt.Sprintf("cut off at %d of %d bytes", size, len(image)), path, want)
		}
	}
	must(t, os.WriteFile(path, image[:used], 0o600))
	s := open(t, path, store.Options{})
	must(t, s.Audit(t.Context(), 0, func(approvals.Event) error { return nil }))
}

// usedBytes is where bbolt's high-water mark stands: what lies beyond is spare.
func usedBytes(image []byte) int {
	mark := 0
	for _, at := range []int{0, pageSize} {
		mark = max(mark, int(uint32FromNative(image[at+16+40:])))
	}
	return mark * pageSize
}

// TestOpenRefusesNoise overwrites every page, and many sectors, with noise. Where
// the file is opened all the same, the noise must have hit nothing that counts:
// all of its content is as before.
func TestOpenRefusesNoise(t *testing.T) {
	t.Parallel()
	path, image := filled(t)
	want := dump(t, path)
	noise := rand.NewChaCha8([32]byte{1})
	accepted, rejected := 0, 0
	for _, row := range []struct{ size, every int }{{pageSize, pageSize}, {512, 5 * 512}} {
		for at := 0; at < usedBytes(image); at += row.every {
			if damagedOpens(t, path, image, at, noiseBytes(noise, row.size), want) {
				accepted++
			} else {
				rejected++
			}
		}
	}
	t.Logf("%d places refused, %d without meaning", rejected, accepted)
	if rejected < accepted/2 {
		t.Errorf("only %d of %d places were refused", rejected, rejected+accepted)
	}
}

// TestOpenRefusesABitFlip is the same with single bits at random places.
func TestOpenRefusesABitFlip(t *testing.T) {
	t.Parallel()
	path, image := filled(t)
	want := dump(t, path)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		at := random.IntN(usedBytes(image))
		damagedOpens(t, path, image, at, []byte{image[at] ^ 1<<random.IntN(8)}, want)
	}
}

// damagedOpens writes noise into the file, opens it and puts it right again.
func damagedOpens(t *testing.T, path string, image []byte, at int, noise []byte, want map[string]string) bool {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	_, err = file.WriteAt(noise, int64(at))
	must(t, err)
	defer func() {
		_, err := file.WriteAt(image[at:at+len(noise)], int64(at))
		must(t, err)
	}()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		if !errors.Is(err, store.ErrDamaged) && !(errors.Is(err, store.ErrForeign) && at < pageSize) {
			t.Errorf("%d bytes of noise at %d: %v", len(noise), at, err)
		}
		return false
	}
	must(t, s.Close())
	now, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(image[:at], now[:at]) || !bytes.Equal(image[at+len(noise):], now[at+len(noise):]) {
		t.Errorf("%d bytes of noise at %d: opening wrote something", len(noise), at)
	}
	if got := dump(t, path); !maps.Equal(want, got) {
		t.Errorf("%d bytes of noise at %d were overlooked:\n%s", len(noise), at, cmp.Diff(want, got))
	}
	return true
}

func noiseBytes(source *rand.ChaCha8, n int) []byte {
	out := make([]byte, n)
	source.Read(out)
	return out
}

// dump reads everything through bbolt alone, each value also by its key.
func dump(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	must(t, err)
	defer db.Close()
	out := map[string]string{}
	var walk func(path string, b *bbolt.Bucket) error
	walk = func(path string, b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return walk(path+"/"+string(k), b.Bucket(k))
			}
			if got := b.Get(k); !bytes.Equal(got, v) {
				return fmt.Errorf("%s/%q is found in order but not by its key", path, k)
			}
			out[path+"/"+string(k)] = string(v)
			return nil
		})
	}
	must(t, db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's own check: %v", err)
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error { return walk(string(name), b) })
	}))
	return out
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		title string
		want  error
		make  func(t *testing.T, path string)
	}{
		{"an empty file", store.ErrDamaged, write(nil)},
		{"one byte", store.ErrForeign, write([]byte("x"))},
		{"a text", store.ErrForeign, write([]byte(strings.Repeat("to whom it may concern\n", 1000)))},
		{"zero bytes", store.ErrForeign, write(make([]byte, 5*pageSize))},
		{"noise", store.ErrForeign, write(noiseBytes(rand.NewChaCha8([32]byte{2}), 9*pageSize))},
		{"another program's bbolt file", store.ErrForeign, foreign},
		{"another program's empty bbolt file", store.ErrForeign, func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			must(t, err)
			must(t, db.Close())
		}},
		{"a folder", store.ErrForeign, func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }},
		{"a pipe", store.ErrForeign, func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }},
		{"a link to nothing", os.ErrNotExist, func(t *testing.T, path string) { must(t, os.Symlink("nowhere", path)) }},
		{"a store of a newer version", store.ErrNewer, altered(func(s *store.Store) error { return store.SetSchema(s, store.Schema+1) })},
		{"a store of version 0", store.ErrForeign, altered(func(s *store.Store) error { return store.SetSchema(s, 0) })},
		{"a newer store that keeps its values in another way", store.ErrNewer, altered(func(s *store.Store) error {
			return errors.Join(store.SetSchema(s, 9), put(s, "requests", "01", []byte("quite different")))
		})},
		{"a store with a value that was not sealed", store.ErrDamaged, altered(func(s *store.Store) error {
			return put(s, "requests", "01", []byte(`{"id":"01"}`))
		})},
		{"a store that lacks a bucket", store.ErrDamaged, altered(func(s *store.Store) error {
			return store.RawUpdate(s, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("journal")) })
		})},
		{"a store with a value moved to another key", store.ErrDamaged, altered(func(s *store.Store) error {
			return put(s, "places", "b", store.Seal([]byte("a"), []byte("place")))
		})},
	} {
		path := filepath.Join(t.TempDir(), "store.db")
		row.make(t, path)
		refused(t, row.title, path, row.want)
	}
}

func write(raw []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) { must(t, os.WriteFile(path, raw, 0o600)) }
}

func foreign(t *testing.T, path string) {
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("meta"))
		return errors.Join(err, b.Put([]byte("version"), []byte("1")))
	}))
	must(t, db.Close())
}

func altered(change func(*store.Store) error) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		s, err := store.Open(path, store.Options{})
		must(t, err)
		must(t, change(s))
		must(t, s.Close())
	}
}

func put(s *store.Store, bucket, key string, value []byte) error {
	return store.RawUpdate(s, func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), value) })
}

// TestOpenRefusesMixedHeaders: a header page of an older copy would take
// transactions back without anybody noticing.
func TestOpenRefusesMixedHeaders(t *testing.T) {
	t.Parallel()
	path, old := filled(t)
	s, err := store.Open(path, store.Options{})
	must(t, err)
	for range 3 {
		must(t, s.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "x"}}))
	}
	must(t, s.Close())
	young, err := os.ReadFile(path)
	must(t, err)
	for page := range 2 {
		mixed := bytes.Clone(young)
		copy(mixed[page*pageSize:(page+1)*pageSize], old[page*pageSize:])
		must(t, os.WriteFile(path, mixed, 0o600))
		refused(t, fmt.Sprintf("header %d of an older copy", page), path, store.ErrDamaged)
	}
	swapped := bytes.Clone(young)
	copy(swapped, young[pageSize:2*pageSize])
	copy(swapped[pageSize:], young[:pageSize])
	must(t, os.WriteFile(path, swapped, 0o600))
	refused(t, "headers that changed places", path, store.ErrDamaged)
	must(t, os.WriteFile(path, young, 0o600))
}

func TestOpenExplainsThePath(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "no", "such", "store.db")
	if _, err := store.Open(missing, store.Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "create it") {
		t.Errorf("a folder that doesn't exist: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := store.Open(filepath.Join(file, "store.db"), store.Options{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a folder that is a file: %v", err)
	}
}

func TestNewFileIsPrivateAndAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store.db"), store.Options{})
	info, err := os.Stat(s.Path())
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestOpenWarnsOfAnOpenDoor: a file that everybody may read is opened, and said so.
func TestOpenWarnsOfAnOpenDoor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o660: false, 0o604: true} {
		s := open(t, path, store.Options{})
		must(t, s.Close())
		must(t, os.Chmod(path, mode))
		var log bytes.Buffer
		s = open(t, path, store.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, s.Close())
		if warned := strings.Contains(log.String(), "every user of this machine"); warned != want {
			t.Errorf("mode %s: %q", mode, log.String())
		}
	}
}
