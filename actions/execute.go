package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"twokey/approvals"
)

// execute brings one approved or unfinished request to its end. A request can
// be queued twice, by its approval and by the look for what is open; the second
// one must not find the first in the middle and take it for one that was left.
func (d *Desk) execute(ctx context.Context, id string) {
	if !d.begin(id) {
		return
	}
	defer d.end(id)
	d.bring(ctx, id)
}

func (d *Desk) begin(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running[id] {
		return false
	}
	d.running[id] = true
	return true
}

func (d *Desk) end(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, id)
}

// bring is execute for the one goroutine that has the request in hand.
func (d *Desk) bring(ctx context.Context, id string) {
	log := d.opt.Log.With("request", id)
	r, err := d.opt.Store.Request(ctx, id)
	if err != nil {
		log.Error("the request can't be read", "error", err)
		return
	}
	resumed := r.State.Running()
	if r.State == approvals.Approved {
		if r, err = d.claim(ctx, r); err != nil {
			log.Warn("the request doesn't run", "error", err)
			return
		}
	}
	if !r.State.Running() {
		return
	}
	x, err := d.execution(r)
	if err != nil {
		cause := approvals.Abort // it was just claimed: nothing has been done
		resumed = resumed && Kind(r.Subject.Kind) != KindDrill
		if resumed {
			cause = approvals.Lose
		}
		d.finish(ctx, r.ID, ending{cause: cause, why: err.Error()}, notCarriedOut(r, resumed))
		return
	}
	defer x.close()
	d.finish(ctx, r.ID, x.run(ctx, resumed), x.out)
}

// notCarriedOut is the report of a request that can't be gone on with: what it
// has done so far stands in the journal, and people have to end it.
func notCarriedOut(r approvals.Request, resumed bool) Outcome {
	out := Outcome{Kind: Kind(r.Subject.Kind), Pair: r.Subject.Pair}
	if resumed {
		out.Todo = []string{"The bot was restarted in the middle and can't go on with this plan. Look which steps were done, which node is out of recovery and whether one still has to be started; start none as a primary that was stopped for the other."}
	}
	return out
}

func (x *execution) run(ctx context.Context, resumed bool) ending {
	switch {
	case resumed:
		return x.resume(ctx)
	case x.plan.Kind == KindSwitchover:
		return x.switchover(ctx)
	case x.plan.Kind == KindFailover:
		return x.failover(ctx)
	case x.plan.Kind == KindRejoin:
		return x.rejoinOnly(ctx)
	case x.plan.Kind == KindDrill:
		return x.drill(ctx)
	}
	return ending{cause: approvals.Abort, why: fmt.Sprintf("a plan of kind %q can't be carried out", x.plan.Kind)}
}

// claim checks once more that the request may run (the voters' accounts, the
// world against the plan) and takes it.
func (d *Desk) claim(ctx context.Context, r approvals.Request) (approvals.Request, error) {
	if r.Policy != d.opt.Policy.Version() {
		return r, d.outdate(ctx, r.ID, "the approval policy or the list of approvers changed")
	}
	plan, err := planOf(r)
	if err != nil {
		return r, d.outdate(ctx, r.ID, err.Error())
	}
	rep, mayVote, err := d.lookWhileAsking(ctx, r, plan)
	if mayVote != nil {
		return r, mayVote
	}
	if err != nil {
		return r, d.outdate(ctx, r.ID, "the pair could not be observed: "+err.Error())
	}
	if diff := d.differences(plan, rep); len(diff) > 0 {
		return r, d.outdate(ctx, r.ID, describe(diff))
	}
	claimed, err := d.opt.Journal.Claim(ctx, r.ID, d.opt.NewID())
	switch {
	case approvals.Refused(err) == approvals.CodePaused:
		return r, d.outdate(ctx, r.ID, err.Error())
	case err == nil:
		d.tell(r.ID)
	}
	return claimed, err
}

// lookWhileAsking looks at the pair while the voters' accounts are looked up:
// each only reads, and the request waits for both. Accounts that took their time
// leave an old look behind; then it is looked once more.
func (d *Desk) lookWhileAsking(ctx context.Context, r approvals.Request, p Plan) (rep Report, mayVote, err error) {
	began := d.now()
	asked := make(chan error, 1)
	go func() { asked <- d.votersStillMay(ctx, r) }()
	rep, err = d.Verify(ctx, p.Pair)
	mayVote = <-asked
	if mayVote == nil && d.now().Sub(began) > d.opt.Timeouts.Observe {
		rep, err = d.Verify(ctx, p.Pair)
	}
	return rep, mayVote, err
}

// votersStillMay asks for every voter's account again. One that can't be
// looked up only delays, until the request expires; one that may not vote any
// more voids it.
func (d *Desk) votersStillMay(ctx context.Context, r approvals.Request) error {
	ctx, cancel := context.WithDeadlineCause(ctx, r.ExpiresAt, errors.New("the request expired before its voters' accounts could be looked up"))
	defer cancel()
	for _, v := range r.Votes {
		err := poll(ctx, accountRetry, func(ctx context.Context) (bool, error) {
			err := d.stillMay(ctx, r, v.Person)
			if approvals.Refused(err) == approvals.CodeLookup {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil && approvals.Refused(err) != "" {
			return d.outdate(ctx, r.ID, fmt.Sprintf("%s may not vote any more: %v", v.Person, err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const accountRetry = 2 * time.Second

// outdate makes the request stale, and always returns an error that says so.
func (d *Desk) outdate(ctx context.Context, id, why string) error {
	_, err := d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Outdate(d.now(), why)
	})
	return errors.Join(fmt.Errorf("stale: %s", why), err)
}

// differences compares a plan's facts with a fresh report.
func (d *Desk) differences(p Plan, rep Report) []Difference {
	return p.Facts.Diff(factsOf(rep.Evidence, rep.Verdict, p.InEarnest(), p.After))
}

// planOf decodes a request's plan and refuses one that doesn't read as the
// text that was approved.
func planOf(r approvals.Request) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(r.Subject.Data, &p); err != nil {
		return Plan{}, fmt.Errorf("the stored plan can't be read: %w", err)
	}
	if p.Text() != r.Subject.Text || string(p.Kind) != r.Subject.Kind || p.Pair != r.Subject.Pair {
		return Plan{}, errors.New("the stored plan doesn't read as the text that was approved")
	}
	return p, nil
}

func (d *Desk) execution(r approvals.Request) (*execution, error) {
	plan, err := planOf(r)
	if err != nil {
		return nil, err
	}
	pair, err := d.pair(plan.Pair)
	if err != nil {
		return nil, err
	}
	if err := d.canCarryOut(plan, pair); err != nil {
		return nil, err
	}
	grant, err := approvals.MintGrant(r)
	if err != nil {
		return nil, err
	}
	return &execution{
		desk: d, pair: pair, hands: d.opt.Hands[pair.Name], plan: plan, req: r, grant: grant,
		log: d.opt.Log.With("request", r.ID, "pair", pair.Name),
		out: Outcome{Kind: plan.Kind, Pair: pair.Name, OldPrimary: plan.From, Conn: pair.Conn(plan.From)},
	}, nil
}

// canCarryOut refuses a plan that a former run made under another config: for
// nodes that are not there any more, or for a driver that is gone.
func (d *Desk) canCarryOut(p Plan, pair Pair) error {
	_, from := pair.Node(p.From)
	_, to := pair.Node(p.To)
	switch {
	case !from || !to || p.From == p.To:
		return fmt.Errorf("the plan goes from %s to %s, but the pair's nodes are %s and %s now", p.From, p.To, pair.Nodes[0].Name, pair.Nodes[1].Name)
	case p.InEarnest() == KindSwitchover && d.opt.Hands[pair.Name].Machines[p.From] == nil:
		return fmt.Errorf("no driver can stop and start %s any more", p.From)
	}
	return nil
}

// finish commits the end. It is tried until it is durable or the bot ends: the
// effect has happened, and only its record is missing. Until then the pair's
// next request is refused.
func (d *Desk) finish(ctx context.Context, id string, end ending, out Outcome) {
	log := d.opt.Log.With("request", id)
	if end.interrupted {
		log.Info("left in the middle, the next run goes on")
		return
	}
	if p, ok := d.answeredBy(ctx, id); ok {
		out.AcceptedBy = string(p)
	}
	err := poll(ctx, finishRetry, func(ctx context.Context) (bool, error) {
		err := d.opt.Journal.Finish(context.WithoutCancel(ctx), id, end.cause, strings.TrimSpace(end.why), out)
		if err != nil && approvals.Refused(err) == "" {
			log.Error("the end is not recorded yet", "cause", end.cause, "error", err)
			return false, nil
		}
		return true, err
	})
	d.tell(id)
	if err != nil {
		log.Error("the end was not recorded; the next run looks and records it", "cause", end.cause, "error", err)
		return
	}
	log.Info("finished", "cause", end.cause, "why", end.why)
}

const finishRetry = 5 * time.Second

func (d *Desk) answeredBy(ctx context.Context, id string) (approvals.Person, bool) {
	r, err := d.opt.Store.Request(context.WithoutCancel(ctx), id)
	if err != nil {
		return "", false
	}
	p, ok := answered(r)
	return p.By, ok && p.Answer == approvals.Accept
}
