package bot

import (
	"context"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// Desk owns the use cases. Its errors are *approvals.Refusal when a person may
// read them (no such pair, not an approver, wrong state, …), else failures
// whose text is for the log.
type Desk interface {
	// Pairs lists the configured pairs. It is cheap: it asks nobody.
	Pairs() []actions.Pair
	// Status looks at a pair now.
	Status(ctx context.Context, pair string) (actions.Report, error)
	// Verify is Status with a look that also tries to arm the latch.
	Verify(ctx context.Context, pair string) (actions.Report, error)
	// Preview plans without asking anybody.
	Preview(ctx context.Context, q actions.Question) (actions.Plan, error)
	// Ask opens a request. CodeOpen names the request that is in the way.
	Ask(ctx context.Context, q actions.Question) (approvals.Request, error)
	Approve(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error)
	Deny(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error)
	Cancel(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error)
	// NeedsCode says whether a person's approval needs a one-time code. It asks
	// nobody but the store; it refuses a person of whom no code can be taken now.
	NeedsCode(ctx context.Context, who approvals.Person) (bool, error)
	// Answer decides a held request with Accept and the typed statement, or Refuse.
	Answer(ctx context.Context, id string, b approvals.Ballot, cause approvals.Cause, typed string) (approvals.Request, error)
	// Pause lets nothing be carried out on a pair until Resume; one approver
	// orders it. It returns the id of a request that runs already and goes on.
	Pause(ctx context.Context, pair string, b approvals.Ballot) (running string, err error)
	Resume(ctx context.Context, pair string, b approvals.Ballot) (was actions.Paused, err error)
	// Request reads one; CodeUnknown when there is none.
	Request(ctx context.Context, id string) (approvals.Request, error)
	// Lag gives what is known of a pair's lag for the given time back from now.
	Lag(ctx context.Context, pair string, back time.Duration) (actions.LagHistory, error)
	// History lists the newest requests, of one pair, or of all with "".
	History(ctx context.Context, pair string, limit int) ([]approvals.Request, error)
	// Audit gives the newest entries of the audit log; with ref those of one
	// request, or the entry of that number.
	Audit(ctx context.Context, ref string, limit int) (actions.Trail, error)
	// Overview gives every pair's state as it was last seen; it looks at none.
	Overview(ctx context.Context) ([]actions.PairState, error)
	// LastPromotion gives the newest request that made another node the primary;
	// nil for none.
	LastPromotion(ctx context.Context, pair string) (*approvals.Request, error)
	// Open lists the requests that have not ended, oldest first.
	Open(ctx context.Context) ([]approvals.Request, error)
	// Journal reads a request's entries in order.
	Journal(ctx context.Context, id string) ([]actions.Entry, error)
	// InsertTest writes one test row on the pair's primary.
	InsertTest(ctx context.Context, pair string, by approvals.Person) (node string, row actions.TestRow, err error)
	// VerifyData compares the rows of both nodes.
	VerifyData(ctx context.Context, pair string) (actions.Comparison, error)
}

// Outbox is the store as the bot needs it: the audit log to deliver from, and
// what is remembered about deliveries. Every method is one transaction.
type Outbox interface {
	// Cursor gives the sequence number up to which name has delivered, 0 at first.
	Cursor(ctx context.Context, name string) (uint64, error)
	// Advance moves it.
	Advance(ctx context.Context, name string, seq uint64) error
	// EventsAfter lists up to limit events after seq, in order.
	EventsAfter(ctx context.Context, seq uint64, limit int) ([]approvals.Event, error)
	// Place gives what SetPlace kept for a message.
	Place(ctx context.Context, subject string) (string, bool, error)
	SetPlace(ctx context.Context, subject, place string) error
	// Seen says whether key is new, and keeps it for ttl.
	Seen(ctx context.Context, key string, ttl time.Duration) (first bool, err error)
	// Subscribe wakes whenever something was committed.
	Subscribe() (wake <-chan struct{}, cancel func())
}
