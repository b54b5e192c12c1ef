package actions

import (
	"context"
	"errors"
	"fmt"

	"twokey/approvals"
)

// policy is the policy with the approvers of this moment. A *Refusal CodeLookup
// says that their group can't be looked up: then nobody asks or votes.
func (d *Desk) policy(ctx context.Context) (approvals.Policy, error) {
	p := d.opt.Policy
	if p.Group == "" {
		return p, nil
	}
	who, err := d.opt.Roster.Approvers(ctx)
	if err != nil {
		return p, err
	}
	p.Approvers = who
	return p, nil
}

// admit looks up whether who's account may vote now, and gives the policy under
// which it would.
func (d *Desk) admit(ctx context.Context, who approvals.Person) (approvals.Policy, error) {
	if err := d.opt.Directory.Check(ctx, who); err != nil {
		return approvals.Policy{}, err
	}
	return d.policy(ctx)
}

// stillMay refuses a voter whose account may not vote any more, or who has left
// the approvers' group.
func (d *Desk) stillMay(ctx context.Context, r approvals.Request, who approvals.Person) error {
	p, err := d.admit(ctx, who)
	if err != nil {
		return err
	}
	return r.StillApprover(who, p)
}

// NeedsCode says whether who's approval needs a one-time code, and refuses a
// person of whom no code can be taken now. It asks nobody but the store.
func (d *Desk) NeedsCode(ctx context.Context, who approvals.Person) (bool, error) {
	if !d.opt.Policy.Factor.On() {
		return false, nil
	}
	f, err := d.opt.Factors.Factor(ctx, who)
	if err != nil || !d.opt.Policy.Factor.Asks(f) {
		return false, err
	}
	return true, f.Usable(d.now())
}

// decide commits a decision together with the second factor that it spends, as
// update does.
func (d *Desk) decide(ctx context.Context, id string, b approvals.Ballot, p approvals.Policy, change func(approvals.Request, approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error)) (approvals.Request, error) {
	if !p.Factor.On() {
		return d.update(ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			out, _, events, err := change(r, approvals.Factor{})
			return out, events, err
		})
	}
	var refusal error
	r, err := d.opt.Factors.UpdateAs(ctx, id, b.Person, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		out, used, events, err := change(r, f)
		if err != nil && len(events) > 0 {
			refusal, err = err, nil
		}
		return out, used, events, err
	})
	if err == nil {
		d.tell(id)
	}
	return r, errors.Join(err, refusal)
}

// checkFactor is part of NewDesk.
func (o Options) checkFactor() error {
	if o.Policy.Factor.On() && (o.Factors == nil || o.Codes == nil) {
		return fmt.Errorf("a policy with one-time codes (%s) needs what keeps and checks them", o.Policy.Factor)
	}
	return nil
}

// checkGroup is part of NewDesk.
func (o Options) checkGroup() error {
	if (o.Policy.Group == "") != (o.Roster == nil) {
		return fmt.Errorf("a policy with a group (%q) needs a roster, and only that", o.Policy.Group)
	}
	return nil
}
