package approvals

import "context"

// Store keeps requests and the audit log. Every method is one transaction:
// request and events are durable when it returns nil, and none of them is
// there when it returns an error.
type Store interface {
	// Create stores a new request; *Refusal CodeOpen names the open request of
	// the same pair that is in the way.
	Create(ctx context.Context, r Request, events []Event) (Request, error)
	// Request reads one; *Refusal CodeUnknown when there is none.
	Request(ctx context.Context, id string) (Request, error)
	// Open lists the requests that have not ended, oldest first.
	Open(ctx context.Context) ([]Request, error)
	// Update reads the request, calls change and commits what it returns with
	// its events. An error of change is returned as it is and nothing is
	// written; so is a change that returns no events.
	Update(ctx context.Context, id string, change func(Request) (Request, []Event, error)) (Request, error)
}

// Factors keeps everybody's second factor.
type Factors interface {
	// Factor gives who's; the zero Factor when there is none.
	Factor(ctx context.Context, who Person) (Factor, error)
	// UpdateAs is Store.Update for a change that who brings about: it is given
	// who's factor as well, and what it returns is stored in the same transaction.
	UpdateAs(ctx context.Context, id string, who Person, change func(Request, Factor) (Request, Factor, []Event, error)) (Request, error)
}

// Roster knows who the approvers are right now, where that is a group that
// others keep. It returns a *Refusal CodeLookup when it couldn't find out.
type Roster interface {
	Approvers(ctx context.Context) ([]Person, error)
}

// Filter narrows a list of requests; its zero value lets everything through.
type Filter struct {
	Pair   string // only of this pair
	Before string // only older than the request of this id, for the next page
}

// Directory knows whether a person's account may vote right now. It returns
// nil, a *Refusal CodeAccount (deactivated, guest, bot, other team), or a
// *Refusal CodeLookup when it couldn't find out.
type Directory interface {
	Check(ctx context.Context, who Person) error
}
