package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"twokey/approvals"
)

// resume goes on with an execution whose bot ended in the middle. It never
// repeats blindly: it takes the locks, looks what is true, and then finishes,
// takes back, or says that somebody must look.
func (x *execution) resume(ctx context.Context) ending {
	entries, err := x.desk.opt.Journal.Entries(ctx, x.req.ID)
	if err != nil {
		return ending{interrupted: true}
	}
	x.recall(entries)
	x.log.Info("resuming", "request", x.req.ID, "entries", len(entries))
	switch {
	case x.plan.Kind == KindRejoin:
		return x.rejoinAgain(ctx, entries)
	case x.plan.Kind == KindDrill:
		return ending{cause: approvals.Abort, why: "the bot was restarted in the middle of the drill"}
	case !intended(entries, OpStop) && !intended(entries, OpFreeze):
		return x.beforeAnything(ctx)
	}
	seen, err := x.lookAgain(ctx)
	if ctx.Err() != nil {
		return ending{interrupted: true}
	}
	if err != nil {
		return x.lost(err, fmt.Sprintf("The bot was restarted in the middle and %s can't be reached. Look whether it is out of recovery before anything is started.", x.plan.To))
	}
	if !seen.Server.InRecovery {
		return x.promotedBefore(ctx)
	}
	if x.plan.Kind == KindFailover {
		return x.failoverAgain(ctx)
	}
	return x.switchoverAgain(ctx, intended(entries, OpUndo))
}

// beforeAnything ends a request of which nothing more than the preparation can
// have happened.
func (x *execution) beforeAnything(ctx context.Context) ending {
	end := x.takeBack(ctx, errors.New("the bot was restarted before anything was stopped or frozen"), false)
	if x.plan.Kind == KindFailover && !end.interrupted {
		x.out.Serving = ""
		end.why = "the bot was restarted before anything was frozen. Nothing changed."
	}
	return end
}

// rejoinAgain compares with the plan only while nothing was done: the rejoin
// itself changes what the plan was made from.
func (x *execution) rejoinAgain(ctx context.Context, entries []Entry) ending {
	if !intended(entries, OpSettleDisk) {
		return x.rejoinOnly(ctx)
	}
	if err := x.step(ctx, OpLock, x.plan.To, x.lock); err != nil {
		if ctx.Err() != nil {
			return ending{interrupted: true}
		}
		return ending{cause: approvals.Fail, why: err.Error()}
	}
	return x.rejoinGoOn(ctx)
}

// recall takes back from the journal what the former attempt knew.
func (x *execution) recall(entries []Entry) {
	x.prepared = intended(entries, OpPrepare)
	x.promoting = intended(entries, OpPromote)
	for _, e := range entries {
		if e.Op == OpStop && e.Phase == Intent {
			if err := json.Unmarshal(e.Data, &x.mark); err != nil {
				x.log.Error("the journal's mark can't be read", "error", err)
			}
			x.mark.At = time.Time{} // the pause of two lives is not measured
			x.out.OldTimeline = x.mark.Timeline
		}
	}
}

func intended(entries []Entry, op Op) bool {
	for _, e := range entries {
		if e.Op == op && e.Phase == Intent {
			return true
		}
	}
	return false
}

// lookAgain takes the lock on the new primary, which ends what a former bot
// may still have under way, and then observes it.
func (x *execution) lookAgain(ctx context.Context) (Observation, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Fence, "reaching "+x.plan.To+" after a restart")
	defer cancel()
	var seen Observation
	err := insist(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		if x.onTo == nil {
			s, err := x.to().Lock(ctx, x.pair.LockKey())
			if err != nil {
				return err
			}
			x.onTo = s
		}
		if seen = x.to().Observe(ctx); seen.Server == nil {
			return seen.Failure
		}
		return nil
	})
	return seen, err
}

// perhapsPromoted is what people do when nobody can tell whether a former
// attempt has sent the promotion.
func (x *execution) perhapsPromoted() string {
	return fmt.Sprintf("%s may have been told to promote before the bot was restarted. Don't start %s as a primary. Look whether %s is out of recovery (SELECT pg_is_in_recovery()); if it is, ask for a rejoin of %s; if it isn't, compare the ends of both nodes' WAL (pg_controldata) before you choose.", x.plan.To, x.plan.From, x.plan.To, x.plan.From)
}

// promotedBefore: the former attempt got as far as the promotion. If the old
// primary answers as one, too, nobody but people can choose.
func (x *execution) promotedBefore(ctx context.Context) ending {
	if !x.promoting {
		return x.lost(fmt.Errorf("%s is out of recovery, and this request did not promote it", x.plan.To), fmt.Sprintf("Somebody promoted %s while the bot was away. Make sure that %s is off, then ask for a rejoin of %s.", x.plan.To, x.plan.From, x.plan.From))
	}
	if o := x.from().Observe(ctx); o.Server != nil && !o.Server.InRecovery {
		return x.lost(errors.New("both nodes accept writes"), fmt.Sprintf("Stop %s now: %s was promoted from it.", x.plan.From, x.plan.To))
	}
	return x.promoted(ctx, notFollowing())
}

// switchoverAgain: the stop was ordered, and the new primary was in recovery
// when it was looked at. The promotion may have been sent all the same: its
// intent is journaled before the gate. So there is a way back only where the
// gate is seen to be shut, or where it had begun to be taken.
func (x *execution) switchoverAgain(ctx context.Context, undoing bool) ending {
	calm := context.WithoutCancel(ctx)
	old := x.from().Observe(calm)
	switch {
	case undoing:
		return x.takeBack(calm, errors.New("the bot was restarted while it took everything back"), true)
	case old.Server != nil && !old.Server.InRecovery:
		return x.takeBack(calm, errors.New("the bot was restarted and the old primary still serves"), true)
	}
	end, err := x.gateAgain(calm)
	switch {
	case errors.Is(err, errPromoted):
		return x.promotedBefore(ctx)
	case errors.Is(err, errGateUnseen):
		return x.lost(err, x.perhapsPromoted())
	case err != nil:
		return x.takeBack(calm, fmt.Errorf("the bot was restarted before the gate was passed: %w", err), true)
	}
	clear, err := x.clearAgain(calm, old, end)
	if err != nil && x.promoting { // the gate was passed: it may have been sent
		return x.lost(err, x.perhapsPromoted())
	}
	if err != nil {
		return x.takeBack(calm, err, true)
	}
	x.out.Gate = end.End
	return x.forward(ctx, clear)
}

var (
	errPromoted   = errors.New("it is out of recovery")
	errGateUnseen = errors.New("whether the gate was passed can't be told")
)

// seeGate looks once whether the gate was passed; errGateUnseen when that can't
// be told.
func (x *execution) seeGate(ctx context.Context) (WALEnd, error) {
	got, err := x.to().LastRecord(ctx)
	if err != nil || got.Timeline > x.mark.Timeline {
		return WALEnd{}, errors.Join(errGateUnseen, err)
	}
	return got, gatePassed(got, x.mark.LSN, x.mark.Timeline)
}

// gateAgain waits at the gate after a restart. A gate that was passed stays so
// as long as the node is in recovery, but for the moment in which a promotion
// takes effect; so only one that is seen to be shut to the end shows that the
// promotion was never sent. Errors: errPromoted; errGateUnseen; any other means
// that the gate is shut.
func (x *execution) gateAgain(ctx context.Context) (WALEnd, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the gate after a restart")
	defer cancel()
	var end WALEnd
	last := errGateUnseen
	err := poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		if o := x.to().Observe(ctx); o.Server != nil && !o.Server.InRecovery {
			return false, errPromoted
		}
		got, err := x.seeGate(ctx)
		if ctx.Err() == nil { // else what was seen before counts
			end, last = got, err
		}
		return err == nil, nil // the deadline decides, not one failed question
	})
	if err != nil {
		return WALEnd{}, errors.Join(err, last)
	}
	return end, nil
}

// clearAgain derives the clearance anew: the old primary is in recovery, or
// stopped for good.
func (x *execution) clearAgain(ctx context.Context, old Observation, end WALEnd) (Clearance, error) {
	if old.Server != nil {
		return clearStandby(x.plan.From, old)
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the stop of "+x.plan.From)
	defer cancel()
	wait := x.machine().Stopped
	if s, can := x.machine().(Sealer); can {
		wait = s.Sealed
	}
	if err := wait(ctx); err != nil {
		return Clearance{}, err
	}
	return clearStopped(x.plan.From, end, x.mark.LSN, x.mark.Timeline)
}

// failoverAgain repeats everything from the freeze on: each of it is
// idempotent, and the approved facts are compared again first. A promotion that
// may have been sent is waited for before.
func (x *execution) failoverAgain(ctx context.Context) ending {
	if x.promoting && x.rises(ctx) {
		return x.promotedBefore(ctx)
	}
	x.frozen = true
	return x.failover(ctx)
}

// rises waits for a promotion that a former bot may have sent.
func (x *execution) rises(ctx context.Context) bool {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Promote, "a promotion that may be under way")
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		o := x.to().Observe(ctx)
		return o.Server != nil && !o.Server.InRecovery, nil
	}) == nil
}
