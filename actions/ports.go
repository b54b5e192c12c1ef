package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"twokey/approvals"
)

// Database is one node's server as the bot's own role sees it. Every method
// takes its deadline from ctx; an error after which the effect may still
// happen is an *Uncertain.
type Database interface {
	// Observe never fails as a call: what went wrong is in the observation.
	Observe(ctx context.Context) Observation
	// Checkpoint returns when a checkpoint (restartpoint on a standby) is done.
	Checkpoint(ctx context.Context) error
	// EnsureSlot makes a physical slot that keeps WAL from now on, unless it is there.
	EnsureSlot(ctx context.Context, slot string) error
	// DropSlot removes a physical slot; one that isn't there is no error.
	DropSlot(ctx context.Context, slot string) error
	// SetSyncNames sets synchronous_standby_names and returns only after the
	// checkpointer has taken it over (reload, then CHECKPOINT).
	SetSyncNames(ctx context.Context, names string) error
	// SetSyncedSlots sets synchronized_standby_slots (17), the physical slots that
	// logical subscribers wait for: one that exists, or "" for none.
	SetSyncedSlots(ctx context.Context, slots string) error
	// LastRecord says how this server's WAL ends as far as it has replayed it.
	LastRecord(ctx context.Context) (WALEnd, error)
	// Forks gives where each timeline up to this one began, oldest first.
	Forks(ctx context.Context, timeline uint32) ([]Fork, error)
	// ProbeWrite commits one row, on this server's disk alone: it never waits
	// for a standby.
	ProbeWrite(ctx context.Context) error
	// InsertTest commits one test row with the server's own synchronous_commit.
	InsertTest(ctx context.Context, by string) (TestRow, error)
	// Fingerprint counts and sums up the rows of every table of the schema, so
	// that two nodes can be compared.
	Fingerprint(ctx context.Context) (Fingerprint, error)
	// BackupProgress describes a running base backup from this node, "" when none runs.
	BackupProgress(ctx context.Context) (string, error)
	// Lock takes the pair's advisory lock in a session of its own. ErrLocked
	// when another bot has it.
	Lock(ctx context.Context, key int64) (Session, error)
}

// Session is the connection that holds the pair's lock on one node. What may
// only be done by the lock's holder is done in it. Close releases the lock.
type Session interface {
	// Alive fails when the lock is lost.
	Alive(ctx context.Context) error
	// Freeze stops the standby's WAL receiver for good and returns nil only
	// when it was read twice, one retry interval apart, to be stopped; ErrNotFrozen otherwise.
	Freeze(ctx context.Context) error
	// Frozen reads whether the receiver is stopped and stays so.
	Frozen(ctx context.Context) (bool, error)
	// Thaw lets the standby stream again.
	Thaw(ctx context.Context) error
	// Promote asks for promotion without waiting, then polls until the server is
	// out of recovery. From the moment it is called there is no way back.
	Promote(ctx context.Context) error
	Close()
}

// WALEnd is how a server's WAL ends as far as it was replayed.
type WALEnd struct {
	LSN      LSN    `json:"lsn"` // start of the last record
	End      LSN    `json:"end"` // its end: where the next one would begin
	Shutdown bool   `json:"shutdown"`
	Timeline uint32 `json:"timeline"`
}

// Fork is where a timeline left its parent.
type Fork struct {
	Parent uint32 `json:"parent"`
	At     LSN    `json:"at"`
}

// TestRow is one row of the recipe insert-test.
type TestRow struct {
	ID   int64         `json:"id"`
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took"`
}

// Fingerprint is a table-by-table count and checksum.
type Fingerprint struct {
	Tables []TableSum `json:"tables"`
}

// TableSum is one table's rows by count and checksum (of the ordered rows' text).
type TableSum struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Sum   string `json:"sum"`
}

// Power is what a platform says about a node's server.
type Power string

// On means that it runs, Off that it can't acknowledge anything and can't come
// back without somebody starting it.
const (
	PowerOn      Power = "on"
	PowerOff     Power = "off"
	PowerUnknown Power = "unknown"
)

// Fencer takes the power from a node's server.
type Fencer interface {
	// Describe names the fence for the plan: what it does and what its proof is.
	Describe() string
	// Off orders it; it doesn't prove anything. Idempotent. An error after which
	// it may have been taken all the same is an *Uncertain.
	Off(ctx context.Context) error
	// Read says what is true now, PowerUnknown when the platform can't tell.
	Read(ctx context.Context) (Power, error)
}

// Endpoint is what clients connect to where it is not the connection string
// alone: a DNS record, a service. It is moved after a promotion and never
// decides anything.
type Endpoint interface {
	// Describe names it for the plan: what it is, and how soon clients see that
	// it has moved. It doesn't change while the bot runs.
	Describe() string
	// Point makes it lead to the node, and returns nil only when that was read
	// back. It looks before it acts: pointing where it points already changes nothing.
	Point(ctx context.Context, node string) error
	// Read gives the node that it leads to, "" for none of the pair's.
	Read(ctx context.Context) (node string, err error)
}

// Machine is the power that a platform gives over a node's server: one per
// node whose server the bot can start and stop. All methods are idempotent.
type Machine interface {
	Fencer
	// Stop orders a fast shutdown (SIGINT: sessions end, WAL is sent to the
	// standby, shutdown checkpoint) and returns at once.
	Stop(ctx context.Context) error
	// Stopped returns nil when the server has ended its run and can't come back
	// by itself; it waits until ctx ends.
	Stopped(ctx context.Context) error
	// StopHard ends a server that doesn't stop (SIGQUIT), and waits for it.
	StopHard(ctx context.Context) error
	// Start starts the server as it stands on disk, for taking a stop back.
	Start(ctx context.Context) error
	// Follow starts a cleanly stopped server as a standby of its partner under
	// name, and returns once its process runs, or once a platform that starts
	// servers by itself has taken the order. It doesn't wait for streaming.
	Follow(ctx context.Context, name string) error
	// Rejoin makes a server that was a primary a standby of its partner again,
	// however its history ends: rewound or copied anew where it must be. Its
	// steps are told to progress, in words.
	Rejoin(ctx context.Context, order RejoinOrder, progress func(string)) (RejoinReport, error)
}

// Sealer is a Machine whose platform can tell before a server has ended that it
// won't come back by itself.
type Sealer interface {
	// Sealed returns nil when the server that was told to stop can't come back by
	// itself, whether it has ended by then or not; it waits until ctx ends. What
	// shows that it has ended is the shutdown checkpoint on its partner.
	Sealed(ctx context.Context) error
}

// Lingerer is a Machine on whose platform nothing ends a server sooner than its
// grace period.
type Lingerer interface {
	// Lingers is how long the server may still take to end, at most, once it was
	// told to; 0 when none is left.
	Lingers(ctx context.Context) (time.Duration, error)
}

// Insider is a Machine that can also look from within its node.
type Insider interface {
	// Inside changes nothing and never fails as a call: what went wrong is in
	// its answer.
	Inside(ctx context.Context) Inside
}

// RejoinOrder is what Rejoin needs to know.
type RejoinOrder struct {
	Name     string // sync name to end up with
	Timeline uint32 // of the new primary
	Fork     LSN    // where that timeline left the old one
}

// How a server rejoined.
const (
	RejoinedAsIs     = "as it was"
	RejoinedRewound  = "pg_rewind"
	RejoinedFromCopy = "base backup"
	RejoinedUntold   = "by its guard, which has left no word on how"
)

// RejoinReport says how a server was made a standby.
type RejoinReport struct {
	How      string    `json:"how"`
	EndOfWA  LSN       `json:"end_of_wal"`         // of the old primary's own history
	Kept     string    `json:"kept"`               // where its old data lies, "" when nothing had to be kept
	Diverged *Diverged `json:"diverged,omitempty"` // what only it had committed; nil when its history is a part of the new primary's
}

// Diverged are the transactions that were committed on an old primary alone:
// acknowledged to nobody who waited for the standby, but perhaps seen by
// somebody, and gone from the pair.
type Diverged struct {
	Count int      `json:"count"` // -1 when the log could not be read
	XIDs  []uint64 `json:"xids"`  // the first of them, at most DivergedXIDs
	From  LSN      `json:"from"`  // where the histories part
	To    LSN      `json:"to"`    // end of the old primary's own, 0 where that can't be shown
	File  string   `json:"file"`  // on its machine: every record of that range, without rows
}

// DivergedXIDs is how many transactions a report names; the file has all.
const DivergedXIDs = 50

// String is the finding in one sentence.
func (d Diverged) String() string {
	var b strings.Builder
	switch d.Count {
	case -1:
		b.WriteString("What it had committed alone could not be read")
	case 0:
		b.WriteString("It had committed nothing alone")
	case 1:
		b.WriteString("1 transaction that it had committed alone was taken back")
	default:
		fmt.Fprintf(&b, "%d transactions that it had committed alone were taken back", d.Count)
	}
	for i, xid := range d.XIDs {
		b.WriteString(map[bool]string{true: ": xid ", false: ", "}[i == 0] + strconv.FormatUint(xid, 10))
	}
	if more := d.Count - len(d.XIDs); more > 0 && len(d.XIDs) > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	fmt.Fprintf(&b, " (its log from %s to %s).", d.From, map[bool]string{true: "an end that can't be shown", false: d.To.String()}[d.To == 0])
	if d.File != "" {
		b.WriteString(" They are listed in " + d.File + " on its machine.")
	}
	return b.String()
}

// Journal keeps what an execution is about to do and has done. Each call is
// one transaction; nothing is done before its intent is durable.
type Journal interface {
	// Claim moves the request from approved to executing for this attempt. The
	// same transaction reads what is remembered of the pair, and returns what
	// Remembered.MayRun does.
	Claim(ctx context.Context, request, attempt string) (approvals.Request, error)
	// Record appends an entry.
	Record(ctx context.Context, request string, e Entry) error
	// Entries reads them in order.
	Entries(ctx context.Context, request string) ([]Entry, error)
	// Finish records the outcome and moves the request through approvals.Next.
	Finish(ctx context.Context, request string, cause approvals.Cause, why string, out Outcome) error
}

// Phase is what a journal entry says about a step.
type Phase string

// A step is an intent, then its effect, then its outcome.
const (
	Intent  Phase = "intent"
	Done    Phase = "done"
	Failing Phase = "failed"
	Note    Phase = "note" // progress within a step
)

// Entry is one line of the journal.
type Entry struct {
	Seq     uint64          `json:"seq"` // within the request, given by the store
	At      time.Time       `json:"at"`
	Attempt string          `json:"attempt"`
	Op      Op              `json:"op"`
	Node    string          `json:"node,omitempty"`
	Phase   Phase           `json:"phase"`
	Text    string          `json:"text,omitempty"` // for people
	Data    json.RawMessage `json:"data,omitempty"` // for a later attempt
}

// Memory is what outlives one observation.
type Memory interface {
	// Remembered gives what is known of a pair; the zero value when nothing is.
	Remembered(ctx context.Context, pair string) (Remembered, error)
	// Revise replaces it by what change makes of it, and appends the events, in
	// one transaction. It returns what is remembered from then on.
	Revise(ctx context.Context, pair string, change func(Remembered) (Remembered, []approvals.Event)) (Remembered, error)
}

// Samples keeps the compact history from which charts and metrics are made. What
// is older than about a day may be merged, see MergeSamples.
type Samples interface {
	AddSample(ctx context.Context, pair string, s Sample) error
	Samples(ctx context.Context, pair string, since time.Time) ([]Sample, error)
}

// Archive is what the store still has of the past.
type Archive interface {
	// Samples gives a pair's samples from since on, oldest first.
	Samples(ctx context.Context, pair string, since time.Time) ([]Sample, error)
	// Requests lists requests, newest (by id) first, at most limit of them.
	Requests(ctx context.Context, f approvals.Filter, limit int) ([]approvals.Request, error)
	// EventsOf gives the newest events of one subject, oldest of them first.
	EventsOf(ctx context.Context, subject string, limit int) ([]approvals.Event, error)
	// EventsAfter gives the events that follow seq, in order.
	EventsAfter(ctx context.Context, seq uint64, limit int) ([]approvals.Event, error)
	// Head gives the number and the hash of the last event.
	Head(ctx context.Context) (seq uint64, hash string, err error)
}

// Sample is one sweep's numbers; a pointer is nil where nothing was known.
type Sample struct {
	At        time.Time `json:"t"`
	Primary   string    `json:"p,omitempty"`
	State     string    `json:"s"` // of the verdict: ok, degraded, …
	Write     *uint64   `json:"w,omitempty"`
	Flush     *uint64   `json:"f,omitempty"`
	Replay    *uint64   `json:"r,omitempty"` // bytes behind the primary
	SlotBytes *uint64   `json:"b,omitempty"` // WAL held by the standby's slot
	Waiters   *int      `json:"q,omitempty"` // sessions waiting for the standby

	Behind *time.Duration `json:"d,omitempty"` // age of the oldest change not replayed; known only while bytes are behind
}
