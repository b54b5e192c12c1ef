package actions

import (
	"context"
	"fmt"

	"twokey/approvals"
)

// PairState is what is remembered of a pair since it was last looked at.
type PairState struct {
	Pair   Pair
	Memory Remembered
	Open   *approvals.Request // nil for none
}

// Overview gives every pair's state without looking at any.
func (d *Desk) Overview(ctx context.Context) ([]PairState, error) {
	open, err := d.opt.Store.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open requests can't be read: %w", err)
	}
	out := make([]PairState, len(d.opt.Pairs))
	for i, p := range d.opt.Pairs {
		out[i].Pair = p
		if out[i].Memory, err = d.opt.Memory.Remembered(ctx, p.Name); err != nil {
			return nil, fmt.Errorf("what is remembered of %s can't be read: %w", p.Name, err)
		}
		for j := range open {
			if open[j].Subject.Pair == p.Name {
				out[i].Open = &open[j]
			}
		}
	}
	return out, nil
}

const recentRequests = 30 // of a pair, among which its last promotion is looked for

// LastPromotion gives the newest request that made another node of the pair the
// primary, nil when there is none among the recent ones.
func (d *Desk) LastPromotion(ctx context.Context, pair string) (*approvals.Request, error) {
	past, err := d.opt.Archive.Requests(ctx, approvals.Filter{Pair: pair}, recentRequests)
	if err != nil {
		return nil, err
	}
	for i, r := range past {
		if len(changesIn(past[i:i+1])) == 1 {
			return &r, nil
		}
	}
	return nil, nil
}
