package store_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"twokey/approvals"
	"twokey/store"
	"twokey/store/storetest"
)

// logged makes a closed store with the log of two requests, and gives its heads.
func logged(t testing.TB) (path string, heads []store.Mark) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	clock := storetest.NewClock()
	s, err := store.Open(path, store.Options{Now: clock.Now})
	must(t, err)
	for _, id := range []string{"01", "02"} {
		must(t, runRequest(t, s, id, "orders", clock.Now()))
	}
	must(t, s.Audit(t.Context(), 0, func(e approvals.Event) error {
		heads = append(heads, store.Mark{Seq: e.Seq, Hash: e.Hash})
		return nil
	}))
	must(t, s.Close())
	return path, heads
}

// verified verifies a file's log.
func verified(path string, heads ...store.Mark) (store.AuditSummary, error) {
	v := store.NewVerifier(heads...)
	if err := store.AuditFile(path, time.Second, v.Add); err != nil {
		return store.AuditSummary{}, err
	}
	return v.End()
}

func TestAuditFileFits(t *testing.T) {
	t.Parallel()
	path, heads := logged(t)
	before := folder(t, filepath.Dir(path))
	must(t, os.Chmod(path, 0o400))
	sum, err := verified(path, heads...)
	last := heads[len(heads)-1]
	if err != nil || sum.First != 1 || sum.Head() != last || sum.Before != "" || len(heads) != 12 {
		t.Errorf("%+v, %v", sum, err)
	}
	if short := (store.Mark{Seq: last.Seq, Hash: last.Hash[:16]}); err == nil {
		_, err = verified(path, short)
	}
	if err != nil {
		t.Errorf("a head that was cut: %v", err)
	}
	must(t, os.Chmod(path, 0o600))
	if diff := cmp.Diff(before, folder(t, filepath.Dir(path))); diff != "" {
		t.Errorf("verifying changed something:\n%s", diff)
	}
}

// rawRecord is a stored event, taken apart: prev, hash, text.
func rawRecord(value []byte) (prev, hash, body []byte) {
	return value[:32], value[32:64], value[64 : len(value)-4]
}

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// tampered changes the log through bbolt, as somebody could who has the file
// and this program's source.
func tampered(t *testing.T, path string, change func(log *bbolt.Bucket) error) {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	must(t, err)
	must(t, store.RawUpdate(s, func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("events"))) }))
	must(t, s.Close())
}

// rewrite computes the chain anew from an entry on, after change had its text.
func rewrite(log *bbolt.Bucket, from uint64, change func(seq uint64, body []byte) []byte) error {
	_, prev, _ := rawRecord(log.Get(seqKey(from - 1)))
	prev = bytes.Clone(prev)
	for seq := from; ; seq++ {
		value := log.Get(seqKey(seq))
		if value == nil {
			return nil
		}
		_, _, body := rawRecord(value)
		text := change(seq, bytes.Clone(body))
		hash := store.ChainHash(prev, text)
		if err := putSealed(log, seqKey(seq), slices.Concat(prev, hash, text)); err != nil {
			return err
		}
		prev = hash
	}
}

func TestAuditVerifyNamesTheFirstEntryThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(t *testing.T, path string)
		head   bool // give the posted heads
		seq    uint64
		why    string
		means  string
	}{
		"a flipped byte": {func(t *testing.T, path string) { flip(t, path) }, false, 3, "don't match their checksum", "The disk"},
		"a flipped byte, checksum made to fit": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				prev, hash, body := rawRecord(log.Get(seqKey(3)))
				return putSealed(log, seqKey(3), slices.Concat(prev, hash, bytes.Replace(body, []byte("dba-2"), []byte("dba-3"), 1)))
			})
		}, false, 3, "doesn't match its hash", "changed after"},
		"an entry removed": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error { return log.Delete(seqKey(5)) })
		}, false, 5, "is missing", "removed"},
		"the first entry removed": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error { return log.Delete(seqKey(1)) })
		}, true, 1, "is missing", "removed"},
		"two entries exchanged": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				a, b := bytes.Clone(log.Get(seqKey(4))), bytes.Clone(log.Get(seqKey(5)))
				return errors.Join(putSealed(log, seqKey(4), b[:len(b)-4]), putSealed(log, seqKey(5), a[:len(a)-4]))
			})
		}, false, 4, "doesn't follow", "replaced"},
		"an entry put in, chain computed anew": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				_, _, body := rawRecord(bytes.Clone(log.Get(seqKey(4))))
				return rewrite(log, 5, func(seq uint64, old []byte) []byte {
					if seq == 5 {
						return body
					}
					return old
				})
			})
		}, false, 5, "its text calls it 4", "hashes made for it"},
		"a voter exchanged, chain computed anew": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				return rewrite(log, 3, func(_ uint64, old []byte) []byte {
					return bytes.Replace(old, []byte("dba-2"), []byte("dba-3"), 1)
				})
			})
		}, true, 3, "was posted", "written anew"},
		"a vote turned into something else, chain computed anew": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				return rewrite(log, 3, func(seq uint64, old []byte) []byte {
					if seq == 3 {
						return bytes.Replace(old, []byte(`"kind":"approve"`), []byte(`"kind":"nothing"`), 1)
					}
					return old
				})
			})
		}, false, 4, "it tells of a claim, but request 01 was partial with 1 of 2 approvals", "hashes that fit"},
		"the tail cut off": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				return errors.Join(log.Delete(seqKey(12)), log.Delete(seqKey(11)))
			})
		}, true, 11, "up to entry 12", "cut off"},
		"everything removed": {func(t *testing.T, path string) {
			tampered(t, path, func(log *bbolt.Bucket) error {
				for seq := range uint64(12) {
					if err := log.Delete(seqKey(seq + 1)); err != nil {
						return err
					}
				}
				return nil
			})
		}, true, 1, "up to entry 12", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, heads := logged(t)
			c.tamper(t, path)
			if !c.head {
				heads = nil
			}
			_, err := verified(path, heads...)
			broken, ok := errors.AsType[*store.ChainError](err)
			if !ok || broken.Seq != c.seq || !strings.Contains(broken.Why, c.why) || !strings.Contains(broken.Means, c.means) {
				t.Errorf("%v; want entry %d, %q, %q", err, c.seq, c.why, c.means)
			}
		})
	}
}

// TestAuditTailCutOffShowsOnlyAgainstAHead holds what verify says of itself.
func TestAuditTailCutOffShowsOnlyAgainstAHead(t *testing.T) {
	t.Parallel()
	path, _ := logged(t)
	tampered(t, path, func(log *bbolt.Bucket) error { return log.Delete(seqKey(12)) })
	if sum, err := verified(path); err != nil || sum.Last != 11 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// flip changes one digit of entry 3, also in the copies on pages that are free.
func flip(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.ReplaceAll(raw, []byte(`"seq":3,"at"`), []byte(`"seq":7,"at"`)), 0o600))
}

func TestAuditFileRefuses(t *testing.T) {
	t.Parallel()
	none := func(store.AuditEntry) error { return nil }
	dir := t.TempDir()
	if err := store.AuditFile(filepath.Join(dir, "none.db"), 0, none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{"text": {[]byte(strings.Repeat("x", 9000)), store.ErrForeign}, "empty": {nil, store.ErrDamaged}} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, c.raw, 0o600))
		if err := store.AuditFile(path, 0, none); !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := filepath.Join(dir, "newer.db")
	altered(func(s *store.Store) error { return store.SetSchema(s, 99) })(t, newer)
	if err := store.AuditFile(newer, 0, none); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer layout: %v", err)
	}
	s := open(t, filepath.Join(dir, "locked.db"), store.Options{})
	if err := store.AuditFile(s.Path(), time.Millisecond, none); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a bot's file: %v", err)
	}
}

func TestAuditExportReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, store.Options{})
	must(t, s.Append(t.Context(), []approvals.Event{
		{Subject: "bot", Kind: "hostile", Actor: "a\u2028b<>&\"\\", Data: []byte(`{ "x" : "<\u2029>" }`)},
		{Subject: "bot", Kind: "plain", Actor: "\xff"},
	}))
	must(t, runRequest(t, s, "01", "orders", time.Now()))
	var lines bytes.Buffer
	all, err := s.AuditEntries(t.Context(), 0, 3)
	must(t, err)
	rest, err := s.AuditEntries(t.Context(), 3, 99)
	must(t, err)
	for _, e := range append(all, rest...) {
		if !json.Valid(e.Line()) || bytes.Count(e.Line(), []byte("\n")) != 1 {
			t.Errorf("no line of JSON: %s", e.Line())
		}
		lines.Write(e.Line())
	}
	v := store.NewVerifier()
	must(t, store.ReadAudit(&lines, v.Add))
	sum, err := v.End()
	seq, hash, headErr := s.Head(t.Context())
	must(t, headErr)
	if err != nil || sum.Head() != (store.Mark{Seq: seq, Hash: hash}) {
		t.Errorf("%+v, %v, want %d:%s", sum, err, seq, hash)
	}
	late := store.NewVerifier(store.Mark{Seq: 2, Hash: all[1].Hash})
	if err := late.Add(rest[0]); err == nil {
		t.Error("a log that begins in the middle fits")
	}
	late.Late = true
	for _, e := range rest {
		must(t, late.Add(e))
	}
	if sum, err := late.End(); sum.Before != all[2].Hash || err == nil || !strings.Contains(err.Error(), "begins at entry 4") {
		t.Errorf("a late part: %+v, %v", sum, err)
	}
}

func TestParseMark(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0af9", 16)
	for _, good := range []string{"57:" + hash, " 57:" + strings.ToUpper(hash) + "\n", "57:" + hash[:16]} {
		m, err := store.ParseMark(good)
		if err != nil || m.Seq != 57 || !strings.HasPrefix(hash, m.Hash) {
			t.Errorf("%q: %v, %v", good, m, err)
		}
	}
	for _, bad := range []string{"", "57", "57:", "0:" + hash, "-1:" + hash, "57:" + hash[:15], "57:" + hash + "0", "57:" + strings.Repeat("g", 64), hash + ":57", "57:" + hash[:20] + " " + hash[:20]} {
		if m, err := store.ParseMark(bad); err == nil {
			t.Errorf("%q was read as %v", bad, m)
		}
	}
}

// FuzzAudit looks for exports that are read as something else than they say: a
// log that fits is, line by line, what its own entries print.
func FuzzAudit(f *testing.F) {
	path, _ := logged(f)
	var whole []byte
	must(f, store.AuditFile(path, 0, func(e store.AuditEntry) error { whole = append(whole, e.Line()...); return nil }))
	first, rest, _ := bytes.Cut(whole, []byte("\n"))
	for _, seed := range [][]byte{
		nil, whole, rest, append(bytes.Clone(rest), first...), whole[:len(whole)/2], bytes.ToUpper(whole), []byte("null\n"), []byte("{}\n{}"),
		[]byte(`{"seq":18446744073709551615,"prev":"","hash":"","event":{}}`), []byte(`{"seq":1,"prev":"\u0000","hash":"","event":null}`),
		bytes.Replace(whole, []byte(`"event":{`), []byte(`"event":{"seq":9,`), 1), bytes.ReplaceAll(whole, []byte("dba-1"), []byte("dba-2")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v := store.NewVerifier()
		v.Late = true
		var again []byte
		err := store.ReadAudit(bytes.NewReader(text), func(e store.AuditEntry) error {
			again = append(again, e.Line()...)
			return v.Add(e)
		})
		if err != nil {
			return
		}
		if sum, err := v.End(); err != nil || sum.Last != 0 && (sum.First > sum.Last || len(sum.Hash) != 64) {
			t.Fatalf("%+v, %v", sum, err)
		}
		second := store.NewVerifier()
		second.Late = true
		if err := store.ReadAudit(bytes.NewReader(again), second.Add); err != nil {
			t.Fatalf("what fits doesn't fit when it is printed again: %v\n%s", err, again)
		}
	})
}

func ExampleAuditEntry_Line() {
	e := store.AuditEntry{Seq: 1, Hash: "ab", Event: []byte(`{"seq":1}`)}
	fmt.Print(string(e.Line()))
	// Output: {"seq":1,"prev":"","hash":"ab","event":{"seq":1}}
}
