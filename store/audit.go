package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"twokey/approvals"
)

// AuditEntry is one entry of the audit log as it is exported: Event is the text
// that Hash covers, byte for byte, so that anybody can compute the chain again
// with nothing but SHA-256.
type AuditEntry struct {
	Seq   uint64          `json:"seq"`
	Prev  string          `json:"prev"` // hash of the entry before, in hex; "" for the first
	Hash  string          `json:"hash"` // SHA-256 of Prev, a line feed and Event, in hex
	Event json.RawMessage `json:"event"`
}

// Line is the entry as one line of JSON, without changing a byte of Event.
func (a AuditEntry) Line() []byte {
	line := fmt.Appendf(nil, `{"seq":%d,"prev":%q,"hash":%q,"event":`, a.Seq, a.Prev, a.Hash)
	return append(append(line, a.Event...), '}', '\n')
}

// entry shares the record's body with the transaction.
func (r record) entry() AuditEntry {
	return AuditEntry{Seq: r.seq, Prev: text(r.prev), Hash: text(r.hash), Event: r.body}
}

// AuditEntries gives the entries that follow seq, in order, at most limit. It
// verifies nothing but each value's checksum.
func (s *Store) AuditEntries(ctx context.Context, seq uint64, limit int) ([]AuditEntry, error) {
	var out []AuditEntry
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		c := in(tx, bucketEvents).Cursor()
		for key, value := c.Seek(number(seq + 1)); key != nil && len(out) < limit; key, value = c.Next() {
			rec, err := parseRecord(key, value)
			if err != nil {
				return err
			}
			e := rec.entry()
			e.Event = bytes.Clone(e.Event)
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// longestLine bounds one line of an export, in bytes.
const longestLine = 64 << 20

// ReadAudit reads an export, line by line, and verifies nothing but its form.
func ReadAudit(r io.Reader, visit func(AuditEntry) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	n := 0
	for lines.Scan() {
		n++
		var e AuditEntry
		in := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		in.DisallowUnknownFields()
		if err := in.Decode(&e); err != nil {
			return fmt.Errorf("line %d is no entry of an audit log: %w", n, err)
		}
		if _, err := in.Token(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d holds more than one entry", n)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d can't be read: %w", n+1, err)
	}
	return nil
}

// Mark is a place in the audit log and what the chain must be there.
type Mark struct {
	Seq  uint64
	Hash string // in hex; of a posted one at least leastHash digits
}

const (
	wholeHash = 2 * hashSize
	leastHash = 16
)

// ParseMark reads SEQ:HASH as it stands in messages.
func ParseMark(text string) (Mark, error) {
	seq, hash, ok := strings.Cut(strings.TrimSpace(text), ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	hash = strings.ToLower(hash)
	switch {
	case !ok || err != nil || n == 0:
		return Mark{}, fmt.Errorf("%q is no head of an audit log: it is the entry's number, a colon and its hash, as the bot posts them (57:9f86d081884c7d65…)", text)
	case len(hash) < leastHash || len(hash) > wholeHash || strings.Trim(hash, "0123456789abcdef") != "":
		return Mark{}, fmt.Errorf("%q is no head of an audit log: the hash has %d to %d hexadecimal digits, take all that were posted", text, leastHash, wholeHash)
	}
	return Mark{Seq: n, Hash: hash}, nil
}

func (m Mark) String() string { return fmt.Sprintf("%d:%s", m.Seq, m.Hash) }

// ChainError says at which entry the audit log stops being what was written.
type ChainError struct {
	Seq   uint64
	Why   string // what doesn't fit
	Means string // what can lead to that
}

func (c *ChainError) Error() string {
	return fmt.Sprintf("the audit log doesn't fit at entry %d: %s. %s", c.Seq, c.Why, c.Means)
}

func missing(seq uint64) error {
	return &ChainError{Seq: seq, Why: "it is missing", Means: "It was removed after it had been written, or entries were put into another order."}
}

// link is the end of the chain as far as it was verified.
type link struct {
	seq  uint64
	hash string
}

// add verifies that a follows, and gives its event.
func (l *link) add(a AuditEntry) (approvals.Event, error) {
	var e approvals.Event
	prev, err := hex.DecodeString(a.Prev)
	switch {
	case a.Seq > l.seq+1:
		return e, missing(l.seq + 1)
	case a.Seq != l.seq+1:
		return e, &ChainError{Seq: l.seq + 1, Why: fmt.Sprintf("entry %d stands in its place", a.Seq), Means: "Entries were put into another order, or stand there twice."}
	case a.Prev != l.hash:
		return e, &ChainError{Seq: a.Seq, Why: "it doesn't follow the entry before it", Means: "The entry before it was replaced, or this one was put in from elsewhere."}
	case err != nil || a.Hash != hex.EncodeToString(chain(prev, a.Event)):
		return e, &ChainError{Seq: a.Seq, Why: "its text doesn't match its hash", Means: "Its text was changed after it had been written."}
	}
	if err := json.Unmarshal(a.Event, &e); err != nil || e.Seq != a.Seq {
		return e, &ChainError{Seq: a.Seq, Why: fmt.Sprintf("its text calls it %d", e.Seq), Means: "It was written by another program, or moved to another place with hashes made for it."}
	}
	l.seq, l.hash = a.Seq, a.Hash
	e.Prev, e.Hash = a.Prev, a.Hash
	return e, nil
}

// Verifier walks an audit log entry by entry and stops at the first one that
// doesn't fit: to the chain, to a head that was posted, or to the rules of a
// request (see approvals.History). Whoever can write the file can also compute
// a chain of his own from any entry on; then only a posted head shows it.
type Verifier struct {
	// Late takes a log that doesn't begin at 1 for the rest of one whose first
	// part is elsewhere; its first entry is taken as it is.
	Late    bool
	heads   []Mark
	link    link
	history approvals.History
	sum     AuditSummary
}

// AuditSummary is what a verified log holds.
type AuditSummary struct {
	First, Last uint64 // numbers of entries; 0 when there is none
	From, To    time.Time
	Hash        string // of the last one
	Before      string // hash that the first one follows, "" when nothing is before it
}

// Head is the log's end as it is posted.
func (a AuditSummary) Head() Mark { return Mark{Seq: a.Last, Hash: a.Hash} }

// NewVerifier makes one that also demands the given heads.
func NewVerifier(heads ...Mark) *Verifier { return &Verifier{heads: heads} }

// Add takes the next entry.
func (v *Verifier) Add(a AuditEntry) error {
	if v.sum.First == 0 && a.Seq > 1 && v.Late {
		v.link, v.sum.Before = link{seq: a.Seq - 1, hash: a.Prev}, a.Prev
		v.history = approvals.NewLateHistory()
	}
	e, err := v.link.add(a)
	if err != nil {
		return err
	}
	if err := v.history.Add(e); err != nil {
		return &ChainError{Seq: a.Seq, Why: err.Error(), Means: "The bot writes no such log: entries, or the stored request, were made by something else, with hashes that fit."}
	}
	if v.sum.First == 0 {
		v.sum.First, v.sum.From = e.Seq, e.At
	}
	v.sum.Last, v.sum.To, v.sum.Hash = e.Seq, e.At, e.Hash
	return v.meets(a)
}

// meets compares the entry with the posted heads of its number.
func (v *Verifier) meets(a AuditEntry) error {
	for _, head := range v.heads {
		if head.Seq == a.Seq && !strings.HasPrefix(a.Hash, head.Hash) {
			return &ChainError{Seq: a.Seq, Why: fmt.Sprintf("its hash is %s, but %s was posted", a.Hash, head.Hash),
				Means: "This entry or one before it was written anew, with hashes that fit; or the posted head is another bot's."}
		}
	}
	return nil
}

// End says what the log holds, and refuses one that ends before a posted head
// or begins after it.
func (v *Verifier) End() (AuditSummary, error) {
	last := Mark{}
	for _, head := range v.heads {
		if head.Seq < v.sum.First {
			return v.sum, fmt.Errorf("the posted head %s can't be compared: this part of the log begins at entry %d", head, v.sum.First)
		}
		if head.Seq > last.Seq {
			last = head
		}
	}
	if last.Seq > v.sum.Last {
		return v.sum, &ChainError{Seq: v.sum.Last + 1, Why: fmt.Sprintf("it is missing, and so is everything up to entry %d, whose hash was posted", last.Seq),
			Means: "The end of the log was cut off, or an older copy was put in its place; or the posted head is another bot's."}
	}
	return v.sum, nil
}
