package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/approvals"
)

// Options are what a Desk works with. Everything is needed but At, and what says so.
type Options struct {
	Pairs      []Pair
	Hands      map[string]Hands // by pair
	Policy     approvals.Policy
	Directory  approvals.Directory
	Roster     approvals.Roster  // nil where the policy has no group
	Factors    approvals.Factors // nil, as Codes, where the policy asks for no codes
	Codes      approvals.Codes
	Store      approvals.Store
	Journal    Journal
	Memory     Memory
	Archive    Archive // for what is asked of the past
	Timeouts   Timeouts
	Thresholds Thresholds
	Now        func() time.Time
	NewID      func() string // unique, sortable by time
	NewNonce   func() string // unguessable
	Log        *slog.Logger
	// At, when set, is called right before and right after each labelled
	// effect; an error counts as the effect's. Tests use it.
	At func(context.Context, Point) error
}

// Desk owns the use cases: everybody who asks, votes or looks goes through it,
// whichever way they came. Its methods may be called by many at once; Run must
// be running for approved requests to be executed.
type Desk struct {
	opt   Options
	start chan string // ids of requests to execute
	arms  chan arming // latches to show

	lookouts map[string]*lookout      // by pair
	recipes  map[string]chan struct{} // by pair: places for those who try it out

	mu      sync.Mutex
	changed map[string]chan struct{} // closed when the request changes; only where somebody waits
	running map[string]bool          // requests that a goroutine of Run has in hand
	arming  map[string]arming        // by pair: what is in arms or under way
}

// NewDesk checks the policy and the pairs.
func NewDesk(o Options) (*Desk, error) {
	if err := errors.Join(o.Policy.Validate(), o.checkGroup(), o.checkFactor()); err != nil {
		return nil, err
	}
	for _, p := range o.Pairs {
		for _, n := range p.Nodes {
			if o.Hands[p.Name].Databases[n.Name] == nil {
				return nil, fmt.Errorf("pair %s: node %s has no database driver", p.Name, n.Name)
			}
		}
	}
	d := &Desk{
		opt: o, start: make(chan string, 1024), arms: make(chan arming, len(o.Pairs)),
		lookouts: map[string]*lookout{}, recipes: map[string]chan struct{}{},
		changed: map[string]chan struct{}{}, running: map[string]bool{}, arming: map[string]arming{},
	}
	for _, p := range o.Pairs {
		d.lookouts[p.Name], d.recipes[p.Name] = newLookout(), make(chan struct{}, recipesAtOnce)
	}
	return d, nil
}

func (d *Desk) now() time.Time { return d.opt.Now() }

func (d *Desk) at(ctx context.Context, p Point) error {
	if d.opt.At == nil {
		return nil
	}
	return d.opt.At(ctx, p)
}

// Pairs lists the configured pairs.
func (d *Desk) Pairs() []Pair { return d.opt.Pairs }

func (d *Desk) pair(name string) (Pair, error) {
	var names []string
	for _, p := range d.opt.Pairs {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Pair{}, refuse("There is no pair %q. There is: %s.", name, strings.Join(names, ", "))
}

// Status looks at a pair.
func (d *Desk) Status(ctx context.Context, pair string) (Report, error) { return d.glance(ctx, pair) }

// Verify looks at a pair, and where only the latch is missing shows it with one
// CHECKPOINT on the primary. One that takes longer than an effect may goes on
// beside: this report says so, a later one has the latch.
func (d *Desk) Verify(ctx context.Context, pair string) (Report, error) {
	p, err := d.pair(pair)
	if err != nil {
		return Report{}, err
	}
	rep, err := d.glance(ctx, pair)
	if err != nil || d.executing(ctx, pair) || !onlyUnlatched(rep.Evidence) {
		return rep, err
	}
	patience, cancel := within(ctx, d.opt.Timeouts.Effect, "showing that "+pair+" is synchronous")
	defer cancel()
	select {
	case <-d.showLatch(p, rep.Evidence):
	case <-patience.Done():
		d.opt.Log.Info("the latch is still being shown", "pair", pair, "cause", context.Cause(patience))
	}
	return d.glance(ctx, pair)
}

func (d *Desk) executing(ctx context.Context, pair string) bool {
	open, err := d.opt.Store.Open(ctx)
	for _, r := range open {
		if r.Subject.Pair == pair && r.State.Running() {
			return true
		}
	}
	return err != nil
}

// Preview makes the plan that Ask would ask for, and asks nobody.
func (d *Desk) Preview(ctx context.Context, q Question) (Plan, error) {
	if err := d.knowsNode(q); err != nil {
		return Plan{}, err
	}
	rep, err := d.Verify(ctx, q.Pair)
	if err != nil {
		return Plan{}, err
	}
	return MakePlan(q, rep.Evidence, rep.Verdict)
}

func (d *Desk) knowsNode(q Question) error {
	p, err := d.pair(q.Pair)
	if err != nil || q.To == "" {
		return err
	}
	if _, ok := p.Node(q.To); !ok {
		return refuse("Pair %s has no node %q. Its nodes: %s, %s.", p.Name, q.To, p.Nodes[0].Name, p.Nodes[1].Name)
	}
	return nil
}

// Ask makes a plan and opens a request for it.
func (d *Desk) Ask(ctx context.Context, q Question) (approvals.Request, error) {
	if err := d.notPaused(ctx, q.Pair); err != nil {
		return approvals.Request{}, err
	}
	plan, err := d.Preview(ctx, q)
	if err != nil {
		return approvals.Request{}, err
	}
	policy, err := d.policy(ctx)
	if err != nil {
		return approvals.Request{}, err
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return approvals.Request{}, fmt.Errorf("the plan can't be written down: %w", err)
	}
	r, events, err := approvals.Open(approvals.Asking{
		ID: d.opt.NewID(), Nonce: d.opt.NewNonce(), Requester: q.Requester, Reason: q.Reason, Place: q.Place, At: d.now(),
		Subject: approvals.Subject{Kind: string(plan.Kind), Pair: plan.Pair, Text: plan.Text(), Data: data},
	}, policy)
	if err != nil {
		return approvals.Request{}, err
	}
	created, err := d.opt.Store.Create(ctx, r, events)
	if approvals.Refused(err) == approvals.CodeOpen && plan.Kind != KindDrill && d.endDrill(ctx, err, plan) {
		return d.opt.Store.Create(ctx, r, events)
	}
	return created, err
}

// Request reads one request.
func (d *Desk) Request(ctx context.Context, id string) (approvals.Request, error) {
	return d.opt.Store.Request(ctx, id)
}

// Open lists the requests that have not ended.
func (d *Desk) Open(ctx context.Context) ([]approvals.Request, error) { return d.opt.Store.Open(ctx) }

// Journal reads what an execution has done so far.
func (d *Desk) Journal(ctx context.Context, id string) ([]Entry, error) {
	return d.opt.Journal.Entries(ctx, id)
}

// Approve counts a yes; with the second one the request runs.
func (d *Desk) Approve(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	policy, err := d.admit(ctx, b.Person)
	if err != nil {
		return approvals.Request{}, err
	}
	if err := d.mayBeApproved(ctx, id); err != nil {
		return approvals.Request{}, err
	}
	b = d.dated(b)
	r, err := d.decide(ctx, id, b, policy, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		return r.ApproveWith(b, policy, f, d.opt.Codes)
	})
	if err == nil && r.State == approvals.Approved {
		d.start <- id
	}
	return r, err
}

// Deny ends a request with an approver's no.
func (d *Desk) Deny(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	policy, err := d.admit(ctx, b.Person)
	if err != nil {
		return approvals.Request{}, err
	}
	return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Deny(d.dated(b), policy)
	})
}

// Cancel takes a request back for its requester.
func (d *Desk) Cancel(ctx context.Context, id string, b approvals.Ballot) (approvals.Request, error) {
	return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Cancel(d.dated(b))
	})
}

// Answer gives the statement that a held request waits for, or refuses it.
func (d *Desk) Answer(ctx context.Context, id string, b approvals.Ballot, cause approvals.Cause, typed string) (approvals.Request, error) {
	policy, err := d.admit(ctx, b.Person)
	if err != nil {
		return approvals.Request{}, err
	}
	b = d.dated(b)
	return d.decide(ctx, id, b, policy, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		return r.AnswerWith(b, cause, typed, policy, f, d.opt.Codes)
	})
}

func (d *Desk) dated(b approvals.Ballot) approvals.Ballot {
	b.At = d.now()
	return b
}

// update commits a change. A refusal that comes with events (a request found
// expired, say) is committed and still returned.
func (d *Desk) update(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	var refusal error
	r, err := d.opt.Store.Update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		out, events, err := change(r)
		if err != nil && len(events) > 0 {
			refusal, err = err, nil
		}
		return out, events, err
	})
	if err == nil {
		d.tell(id)
	}
	return r, errors.Join(err, refusal)
}

// tell wakes whoever waits for a request.
func (d *Desk) tell(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, waiting := d.changed[id]; waiting {
		close(c)
		delete(d.changed, id)
	}
}

// change gives the channel that is closed at the request's next change.
func (d *Desk) change(id string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed[id] == nil {
		d.changed[id] = make(chan struct{})
	}
	return d.changed[id]
}

// await reads a request whenever it changes, until it is as wanted.
func (d *Desk) await(ctx context.Context, id string, fit func(approvals.Request) bool) (approvals.Request, error) {
	for {
		changed := d.change(id)
		r, err := d.opt.Store.Request(ctx, id)
		if err != nil || fit(r) {
			return r, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
}

// Run executes approved requests, goes on with those that a former run left
// in the middle, ends what is over, and shows latches. It returns when ctx ends and every
// execution has come to rest: a switchover between stop and promotion is
// finished first, everything else is left for the next run.
func (d *Desk) Run(ctx context.Context) error {
	if err := d.pickUp(context.WithoutCancel(ctx)); err != nil { // a quick read; told to end or not, what it finds is right
		return err
	}
	var group errgroup.Group
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return group.Wait()
		case id := <-d.start:
			group.Go(func() error { d.execute(ctx, id); return nil })
		case a := <-d.arms:
			group.Go(func() error { d.show(ctx, a); return nil })
		case <-tick.C:
			d.sweepOver(ctx)
		}
	}
}

// pickUp queues what a former run left.
func (d *Desk) pickUp(ctx context.Context) error {
	open, err := d.opt.Store.Open(ctx)
	if err != nil {
		return fmt.Errorf("open requests can't be read: %w", err)
	}
	for _, r := range open {
		if r.State == approvals.Approved || r.State.Running() {
			d.start <- r.ID
		}
	}
	return nil
}

// sweepOver expires requests and held questions whose time is over.
func (d *Desk) sweepOver(ctx context.Context) {
	open, err := d.opt.Store.Open(ctx)
	if err != nil {
		d.opt.Log.Error("open requests can't be read", "error", err)
		return
	}
	for _, r := range open {
		if err := d.endOver(ctx, r); err != nil && approvals.Refused(err) == "" {
			d.opt.Log.Error("a request that is over can't be ended", "request", r.ID, "error", err)
		}
	}
}

func (d *Desk) endOver(ctx context.Context, r approvals.Request) error {
	now := d.now()
	var change func(approvals.Request) (approvals.Request, []approvals.Event, error)
	switch {
	case r.State.Votable() && !now.Before(r.ExpiresAt):
		change = func(r approvals.Request) (approvals.Request, []approvals.Event, error) { return r.Expire(now) }
	case r.MayRemind(now, d.opt.Policy.Remind):
		change = func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Remind(now, d.opt.Policy.Remind)
		}
	case r.State == approvals.Held && !now.Before(r.OpenPause().Until):
		change = func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Answer(approvals.Ballot{At: now}, approvals.Lapse, "", d.opt.Policy)
		}
	default:
		return nil
	}
	_, err := d.update(ctx, r.ID, change)
	return err
}
