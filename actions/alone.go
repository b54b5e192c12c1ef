package actions

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// aloneKeeper is what can leave a note with the new primary, false where its
// platform can't. Without a note that one waits in recovery when it is restarted
// and the old primary doesn't answer.
func (x *execution) aloneKeeper() (AloneKeeper, bool) {
	k, ok := x.hands.Machines[x.plan.To].(AloneKeeper)
	return k, ok
}

// mayBeAlone says whether the new primary can have a note that it was left to
// take writes alone: by this plan, or by the one that a rejoin makes good.
func (x *execution) mayBeAlone() bool { return x.plan.After == Degrade || x.plan.Kind == KindRejoin }

// noteAlone lets the new primary start again without the old one. It takes
// writes in any case, so a note that can't be left ends nothing.
func (x *execution) noteAlone(ctx context.Context) {
	if x.plan.After != Degrade || x.plan.Kind == KindRejoin {
		return
	}
	err := x.step(ctx, OpAlone, x.plan.To, x.leaveNote)
	if err != nil && !errors.Is(err, errTakenOver) { // what follows ends on that
		x.todo("%s has no note that it takes writes alone (%v): don't restart it before %s is its standby, for without an answer of that one it would wait in recovery.", x.plan.To, err, x.plan.From)
	}
}

// leaveNote looks first: a former attempt may have come further, and where
// commits wait for the old primary again that one may be promoted.
func (x *execution) leaveNote(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "the note on "+x.plan.To)
	defer cancel()
	k, ok := x.aloneKeeper()
	if !ok {
		return "no driver keeps notes on " + x.plan.To, nil
	}
	if err := x.regain(ctx, false); err != nil {
		return "", err
	}
	o := x.to().Observe(ctx)
	if o.Server == nil {
		return "", o.Failure
	}
	if names := o.Server.Settings["synchronous_standby_names"]; names != "" {
		return fmt.Sprintf("not alone: commits wait for %s already", names), nil
	}
	return fmt.Sprintf("alone, timeline %d", o.Server.Timeline), k.NoteAlone(ctx, o.Server.Timeline)
}

// eligible lets commits wait for the old primary, which can then be promoted
// without loss: so the note that the new one may start without it goes before,
// and no sooner than that one streams.
func (x *execution) eligible(ctx context.Context, patience time.Duration) error {
	if x.mayBeAlone() {
		err := x.step(ctx, OpTogether, x.plan.To, func(ctx context.Context) (string, error) { return x.forgetNote(ctx, patience) })
		if err != nil {
			return err
		}
	}
	return x.step(ctx, OpSync, x.plan.To, x.synchronousWithin(patience))
}

func (x *execution) forgetNote(ctx context.Context, patience time.Duration) (string, error) {
	ctx, cancel := within(ctx, patience, "waiting for "+x.plan.From+" to stream")
	defer cancel()
	if err := x.awaitStandby(ctx, func(s Standby) bool { return s.State == "streaming" }); err != nil {
		return "", err
	}
	k, ok := x.aloneKeeper()
	if !ok {
		return "no driver keeps notes on " + x.plan.To, nil
	}
	if err := x.regain(ctx, false); err != nil {
		return "", err
	}
	return "no note is left on " + x.plan.To, k.ForgetAlone(ctx)
}
