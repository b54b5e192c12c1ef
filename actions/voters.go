package actions

import (
	"context"
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

// checkGroup is part of NewDesk.
func (o Options) checkGroup() error {
	if (o.Policy.Group == "") != (o.Roster == nil) {
		return fmt.Errorf("a policy with a group (%q) needs a roster, and only that", o.Policy.Group)
	}
	return nil
}
