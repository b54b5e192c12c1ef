package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// noTest gives a context to code that runs outside of a test.
type noTest struct{}

func (noTest) Context() context.Context { return context.Background() }

// TestKillInTheMiddle kills a writing process with -9 again and again, at a
// random moment, and looks at what it left.
func TestKillInTheMiddle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := map[string]uint64{}
	for round := range 12 {
		p := start(t, "write", path)
		lines := killAfter(t, p, 1+random.IntN(60))
		for _, line := range lines {
			var id string
			var version uint64
			if n, err := fmt.Sscan(line, &id, &version); n == 2 && err == nil { // the last line may be cut off
				told[id] = max(told[id], version)
			}
		}
		s := open(t, path, store.Options{LockTimeout: 10 * time.Second})
		consistent(t, s)
		for id, version := range told {
			r, err := s.Request(t.Context(), id)
			must(t, err)
			if r.Version < version {
				t.Fatalf("round %d: request %s was told to be in version %d and is in %d", round, id, version, r.Version)
			}
		}
		must(t, s.Close())
		checkFile(t, path)
	}
	if len(told) < 12 {
		t.Errorf("only %d requests were ever made", len(told))
	}
}

// killAfter gives everything that the child said before it was killed.
func killAfter(t *testing.T, p *process, lines int) []string {
	t.Helper()
	var out []string
	for line := range p.lines {
		if len(out) == 0 && line != "open" {
			t.Errorf("the child says %q", line)
		}
		if out = append(out, line); len(out) > lines {
			break
		}
	}
	must(t, p.cmd.Process.Kill())
	rest, err := p.end()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the child ended by itself: %v, %v", rest, err)
	}
	return append(out, rest...)[1:]
}

// consistent checks what must hold of any store at any moment: the chain, each
// request's version equal to the number of its events, journal and steps alike,
// and the list of open requests.
func consistent(t *testing.T, s *store.Store) {
	t.Helper()
	changes, steps := map[string]uint64{}, map[string]int{}
	must(t, s.Audit(t.Context(), 0, func(e approvals.Event) error {
		if e.Kind == store.StepEvent {
			steps[e.Subject]++
		} else {
			changes[e.Subject]++
		}
		return nil
	}))
	all, err := s.Requests(t.Context(), store.Filter{}, 1<<30)
	must(t, err)
	open, err := s.Open(t.Context())
	must(t, err)
	for _, r := range all {
		subject := approvals.RequestSubject(r.ID)
		entries, err := s.Entries(t.Context(), r.ID)
		must(t, err)
		if r.Version != changes[subject] || len(entries) != steps[subject] {
			t.Errorf("request %s: version %d with %d events, %d entries with %d events",
				r.ID, r.Version, changes[subject], len(entries), steps[subject])
		}
		for i, e := range entries {
			if e.Seq != uint64(i+1) {
				t.Errorf("request %s: entry %d is numbered %d", r.ID, i+1, e.Seq)
			}
		}
		if !r.State.Ended() {
			open = remove(open, r.ID)
		}
	}
	if len(open) > 0 {
		t.Errorf("listed as open, but ended: %v", open)
	}
}

func remove(requests []approvals.Request, id string) []approvals.Request {
	for i, r := range requests {
		if r.ID == id {
			return append(requests[:i:i], requests[i+1:]...)
		}
	}
	return append(requests, approvals.Request{ID: "missing " + id})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	p := start(t, "full", path)
	lines, err := p.end()
	if err != nil {
		t.Fatalf("%v: %s", err, lines[max(0, len(lines)-3):])
	}
	full := lines[len(lines)-1]
	if !strings.Contains(full, "nothing was changed") || !strings.Contains(full, "free space") {
		t.Errorf("a full disk reads as %q", full)
	}
	s := open(t, path, store.Options{})
	consistent(t, s)
	must(t, s.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "there is room again"}}))
}

func TestOpenRefusesALockedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	p := start(t, "hold", path)
	if line := <-p.lines; line != "open" {
		t.Fatalf("the child says %q", line)
	}
	refused(t, "held by another process", path, store.ErrLocked)
	waiting := make(chan error, 1)
	go func() {
		s, err := store.Open(path, store.Options{LockTimeout: time.Minute})
		if err == nil {
			err = s.Close()
		}
		waiting <- err
	}()
	must(t, p.stdin.Close())
	if rest, err := p.end(); err != nil {
		t.Errorf("the child: %v %v", rest, err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the file is free again, but %v", err)
	}
	s := open(t, path, store.Options{})
	refused(t, "held by this process", path, store.ErrLocked)
	other := start(t, "hold", path)
	if lines, err := other.end(); err == nil || !strings.Contains(fmt.Sprint(lines), "in use by another bot") {
		t.Errorf("another process says %v, %v", lines, err)
	}
	must(t, s.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "still here"}}))
}

// TestManyCreateAtOnce: of many that find no file and make one, one has it.
func TestManyCreateAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	var opened atomic.Int32
	var g sync.WaitGroup
	held := make(chan *store.Store, 16)
	for range 8 {
		g.Go(func() {
			s, err := store.Open(path, store.Options{LockTimeout: time.Millisecond})
			switch {
			case err == nil:
				opened.Add(1)
				held <- s
			case !errors.Is(err, store.ErrLocked):
				t.Error(err)
			}
		})
	}
	g.Wait()
	close(held)
	for s := range held {
		must(t, s.Close())
	}
	if opened.Load() != 1 {
		t.Errorf("%d opened it at the same time", opened.Load())
	}
	if files := folder(t, dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	checkFile(t, path)
}

// TestFailedFsync: the transaction may or may not be on the disk, so nothing
// is answered any more.
func TestFailedFsync(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, store.Options{})
	must(t, s.SetPlace(t.Context(), "a", "b"))
	err := store.CommitFailed(s, false, syscall.ENOSPC)
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, store.ErrFailed) {
		t.Errorf("nothing was written, but: %v", err)
	}
	must(t, s.SetPlace(t.Context(), "a", "c"))
	if err := store.CommitFailed(s, true, syscall.EIO); !errors.Is(err, syscall.EIO) || !errors.Is(err, store.ErrFailed) {
		t.Errorf("it is visible and perhaps not durable, but: %v", err)
	}
	if err := s.SetPlace(t.Context(), "a", "d"); !errors.Is(err, store.ErrFailed) {
		t.Errorf("the next write: %v", err)
	}
	if _, _, err := s.Place(t.Context(), "a"); !errors.Is(err, store.ErrFailed) {
		t.Errorf("the next read: %v", err)
	}
	if err := s.Writable(t.Context()); !errors.Is(err, store.ErrFailed) {
		t.Errorf("it calls itself writable: %v", err)
	}
	must(t, s.Close())
	again := open(t, path, store.Options{})
	if v, _, err := again.Place(t.Context(), "a"); v != "c" || err != nil {
		t.Errorf("opened again: %q, %v", v, err)
	}
}

// TestWritable writes at most once in a second, and says so when that fails.
func TestWritable(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	s, err := store.Open(filepath.Join(t.TempDir(), "store.db"), store.Options{Now: clock.Now})
	must(t, err)
	last := func() int {
		id := 0
		must(t, store.RawView(s, func(tx *bbolt.Tx) error { id = tx.ID(); return nil }))
		return id
	}
	must(t, s.Writable(t.Context()))
	first := last()
	must(t, s.Writable(t.Context()))
	if again := last(); again != first {
		t.Errorf("asked twice in a second it wrote transaction %d after %d", again, first)
	}
	clock.Forward(time.Second)
	must(t, s.Writable(t.Context()))
	if later := last(); later == first {
		t.Error("a second later it wrote nothing")
	}
	must(t, s.Close())
	if err := s.Writable(t.Context()); err == nil {
		t.Error("a closed store calls itself writable")
	}
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	must(t, s.Close())
	if err := s.Append(t.Context(), []approvals.Event{{Subject: "bot", Kind: "x"}}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := s.Seen(t.Context(), "x", time.Hour); !errors.Is(err, store.ErrClosed) {
		t.Errorf("shared write: %v", err)
	}
	if _, err := s.Open(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}

// TestEverythingOutlivesTheProcess opens a store again and finds it unchanged.
func TestEverythingOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	clock := storetest.NewClock()
	s := open(t, path, store.Options{Now: clock.Now})
	must(t, runRequest(t, s, "01", "orders", clock.Now()))
	first, err := s.Seen(t.Context(), "trigger", time.Hour)
	must(t, err)
	must(t, s.Advance(t.Context(), "slack", 2))
	seq, hash, err := s.Head(t.Context())
	must(t, err)
	must(t, s.Close())

	again := open(t, path, store.Options{Now: clock.Now})
	consistent(t, again)
	second, err := again.Seen(t.Context(), "trigger", time.Hour)
	must(t, err)
	if !first || second {
		t.Errorf("a replay after a restart is not recognised: %t %t", first, second)
	}
	at, err := again.Cursor(t.Context(), "slack")
	must(t, err)
	newSeq, newHash, err := again.Head(t.Context())
	must(t, err)
	if at != 2 || newSeq != seq || newHash != hash {
		t.Errorf("cursor at %d, head %d %s, want 2, %d %s", at, newSeq, newHash, seq, hash)
	}
	r, err := again.Request(t.Context(), "01")
	if err != nil || r.State != approvals.Succeeded || len(r.Votes) != 2 {
		t.Errorf("the request: %v, %v", r, err)
	}
	must(t, again.AddSample(t.Context(), "orders", actions.Sample{At: clock.Now()}))
}

// TestAuditNoticesTampering changes the log as somebody could who has the file
// and this program's source.
func TestAuditNoticesTampering(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		seq    uint64
		tamper func(log *bbolt.Bucket, key []byte, value []byte) error
	}{
		"an actor is replaced": {3, func(log *bbolt.Bucket, key, value []byte) error {
			return putSealed(log, key, []byte(strings.Replace(string(value), "dba-2", "dba-3", 1)))
		}},
		"an event is taken out": {3, func(log *bbolt.Bucket, key, _ []byte) error { return log.Delete(key) }},
		"an event is replaced by the one before it": {3, func(log *bbolt.Bucket, key, _ []byte) error {
			before := log.Get([]byte{0, 0, 0, 0, 0, 0, 0, 2})
			return putSealed(log, key, before[:len(before)-4])
		}},
	} {
		s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
		must(t, runRequest(t, s, "01", "orders", time.Now()))
		must(t, store.RawUpdate(s, func(tx *bbolt.Tx) error {
			log, key := tx.Bucket([]byte("events")), []byte{0, 0, 0, 0, 0, 0, 0, 3}
			value := log.Get(key)
			return row.tamper(log, key, append([]byte(nil), value[:len(value)-4]...))
		}))
		err := s.Audit(t.Context(), 0, func(approvals.Event) error { return nil })
		broken, ok := errors.AsType[*store.ChainError](err)
		if !ok || broken.Seq != row.seq {
			t.Errorf("%s: %v", title, err)
		}
	}
}

func putSealed(b *bbolt.Bucket, key, payload []byte) error {
	return b.Put(key, store.Seal(key, payload))
}

// TestStoreOfTheFirstVersion: one that was written before there were second
// factors is opened, verified as it is, and has room for them then.
func TestStoreOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, store.Options{})
	must(t, runRequest(t, s, "01", "orders", time.Now()))
	seq, hash, err := s.Head(t.Context())
	must(t, err)
	must(t, store.RawUpdate(s, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("factors")) }))
	must(t, store.SetSchema(s, 1))
	must(t, s.Close())
	if sum, err := verified(path, store.Mark{Seq: seq, Hash: hash}); err != nil || sum.Last != seq {
		t.Errorf("before it is opened: %+v, %v", sum, err)
	}
	again := open(t, path, store.Options{})
	consistent(t, again)
	if newSeq, newHash, err := again.Head(t.Context()); newSeq != seq || newHash != hash || err != nil {
		t.Errorf("head %d %s, %v, want %d %s", newSeq, newHash, err, seq, hash)
	}
	must(t, again.SetFactor(t.Context(), "dba-1", approvals.Factor{Secret: []byte("x")}, nil))
	if f, err := again.Factor(t.Context(), "dba-1"); !f.Enrolled() || err != nil {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestMigration(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	boom := errors.New("boom")
	note := func(text string, err error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			return errors.Join(putSealed(tx.Bucket([]byte("settings")), []byte(text), []byte(text)), err)
		}
	}
	steps := make([]func(*bbolt.Tx) error, store.Schema-1, store.Schema+1) // those of before are done
	steps = append(steps, note("next", nil), note("after that", boom))
	if err := store.Migrate(s, steps...); !errors.Is(err, boom) || !strings.Contains(err.Error(), fmt.Sprint("version ", store.Schema+2)) {
		t.Errorf("a migration that fails: %v", err)
	}
	for text, want := range map[string]bool{"next": true, "after that": false} {
		if _, found, err := s.Setting(t.Context(), text); found != want || err != nil {
			t.Errorf("what the migration %s wrote is there: %t, %v", text, found, err)
		}
	}
	path := s.Path()
	must(t, s.Close())
	refused(t, "a store that was migrated beyond this version", path, store.ErrNewer)
}
