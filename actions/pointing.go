package actions

import (
	"context"
	"errors"
	"fmt"
)

// PointClients leads a pair's clients to the node that is seen to be the primary:
// for a new pair, and once people have mended what kept a promotion from doing so.
// It gives that node. Nothing is carried out on the pair meanwhile, for it holds
// the pair's lock there; where somebody else has it that is refused, as is a pair
// without one primary to be seen.
func (d *Desk) PointClients(ctx context.Context, pair string) (node string, err error) {
	p, err := d.pair(pair)
	if err != nil {
		return "", err
	}
	if len(d.opt.Hands[pair].Endpoints) == 0 {
		return "", refuse("%s has no endpoint in the configuration: the connection string names both nodes.", pair)
	}
	if node, err = d.seenPrimary(ctx, pair); err != nil {
		return "", err
	}
	ctx, cancel := within(ctx, d.opt.Timeouts.Effect, "leading the clients of "+pair+" to "+node)
	defer cancel()
	session, err := d.opt.Hands[pair].Databases[node].Lock(ctx, p.LockKey())
	if errors.Is(err, ErrLocked) {
		return "", refuse("Somebody else works on %s right now. Ask again when that is over.", pair)
	}
	if err != nil {
		return "", err
	}
	defer session.Close()
	if again, err := d.seenPrimary(ctx, pair); err != nil || again != node {
		return "", errors.Join(err, refuse("%s is not the primary of %s any more. Ask again.", node, pair))
	}
	var problems []error
	for _, e := range d.opt.Hands[pair].Endpoints {
		if err := e.Point(ctx, node); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", e.Describe(), err))
		}
	}
	d.opt.Log.Info("clients are led to the primary", "pair", pair, "node", node, "error", errors.Join(problems...))
	return node, errors.Join(problems...)
}

// seenPrimary is the one node that is seen to take writes, or would as soon as its
// standby answers.
func (d *Desk) seenPrimary(ctx context.Context, pair string) (string, error) {
	rep, err := d.look(ctx, pair)
	if err != nil {
		return "", err
	}
	if r := classify(rep.Evidence); r.primary != nil {
		return r.from.Name, nil
	}
	return "", refuse("%s: there is no one primary to lead clients to: %s", pair, rep.Verdict.Headline)
}
