package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/approvals"
)

// Rehearsal is what a drill found. Times count from the asking.
type Rehearsal struct {
	Kind     Kind            `json:"kind"`  // what was rehearsed
	Votes    []time.Duration `json:"votes"` // until each approval
	Ready    time.Duration   `json:"ready"` // until the first step of a real one could have begun
	Loss     Loss            `json:"loss"`  // at the dry run
	Verdict  string          `json:"verdict"`
	Warnings []string        `json:"warnings,omitempty"` // checks that are not fine
}

// planDrill turns a plan into the rehearsal of it: asked for, approved and
// claimed as in earnest, and then only looked at. It allows no clearance, so
// nothing could be promoted under it.
func (p *Plan) planDrill() {
	p.Rehearses, p.Rehearsed, p.Clearances = p.Kind, p.Steps, nil
	p.Kind, p.Steps = KindDrill, nil
	p.Pause = "Nothing, for this is a drill. In earnest: " + p.Pause
	p.add(OpLock, p.To, "take the pair's lock, as in earnest; it is given back at the end")
	p.add(OpRecheck, "", "observe both nodes again; stop here if anything that matters differs")
	p.add(OpDryRun, "", "look what a %s would do now, and do none of it", p.Rehearses)
}

// drill walks everything of an execution that changes nothing.
func (x *execution) drill(ctx context.Context) ending {
	x.out.Rehearsal = &Rehearsal{Kind: x.plan.Rehearses}
	if x.plan.Rehearses == KindSwitchover {
		x.out.Serving = x.plan.From
	}
	for _, s := range []struct {
		op   Op
		node string
		do   func(context.Context) (string, error)
	}{
		{OpLock, x.plan.To, x.lock},
		{OpRecheck, "", x.recheck},
		{OpDryRun, "", x.dryRun},
	} {
		if err := x.step(ctx, s.op, s.node, s.do); err != nil {
			if ctx.Err() != nil {
				return ending{interrupted: true}
			}
			return ending{cause: approvals.Abort, why: err.Error()}
		}
	}
	return ending{cause: approvals.Succeed}
}

// dryRun reports what a real one would have met.
func (x *execution) dryRun(ctx context.Context) (string, error) {
	r := x.out.Rehearsal
	r.Ready = x.desk.now().Sub(x.req.CreatedAt)
	for _, v := range x.req.Votes {
		r.Votes = append(r.Votes, v.At.Sub(x.req.CreatedAt))
	}
	rep, err := x.desk.look(ctx, x.plan.Pair)
	if err != nil {
		return "", err
	}
	r.Loss, r.Verdict = rep.Verdict.Loss, rep.Verdict.Headline
	for _, c := range rep.Verdict.Checks {
		if c.Status != OK {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %s (%s)", c.Title, c.Status, c.Detail))
		}
	}
	return fmt.Sprintf("a %s would have begun here; its %d steps were not taken", r.Kind, len(x.plan.Rehearsed)), nil
}

// endDrill makes room for a real request where only a drill is in the way. A
// drill that runs is over in a moment; then the real one is asked for again.
func (d *Desk) endDrill(ctx context.Context, open error, real Plan) bool {
	refusal, _ := errors.AsType[*approvals.Refusal](open)
	if refusal.Request == "" {
		return false
	}
	r, err := d.opt.Store.Request(ctx, refusal.Request)
	if err != nil || Kind(r.Subject.Kind) != KindDrill {
		return false
	}
	_, err = d.update(ctx, r.ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Outdate(d.now(), fmt.Sprintf("a %s was asked for in earnest", real.Kind))
	})
	return err == nil
}
