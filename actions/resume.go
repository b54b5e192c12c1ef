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
		return x.rejoinOnly(ctx)
	case !intended(entries, OpStop) && !intended(entries, OpFreeze):
		x.out.Serving = x.plan.From
		return ending{cause: approvals.Abort, why: "the bot was restarted before anything was stopped or frozen. Nothing changed."}
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
	return x.switchoverAgain(ctx)
}

// recall takes back from the journal what the former attempt knew.
func (x *execution) recall(entries []Entry) {
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
	err := poll(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		if x.onTo == nil {
			s, err := x.to().Lock(ctx, x.pair.LockKey())
			if err != nil {
				return false, nil
			}
			x.onTo = s
		}
		seen = x.to().Observe(ctx)
		return seen.Server != nil, nil
	})
	return seen, err
}

// promotedBefore: the former attempt got as far as the promotion. If the old
// primary answers as one, too, nobody but people can choose.
func (x *execution) promotedBefore(ctx context.Context) ending {
	if o := x.from().Observe(ctx); o.Server != nil && !o.Server.InRecovery {
		return x.lost(errors.New("both nodes accept writes"), fmt.Sprintf("Stop %s now: %s was promoted from it.", x.plan.From, x.plan.To))
	}
	return x.promoted(ctx, errNotFollowing)
}

// switchoverAgain: the stop was ordered, the new primary is still in recovery.
func (x *execution) switchoverAgain(ctx context.Context) ending {
	calm := context.WithoutCancel(ctx)
	old := x.from().Observe(calm)
	if old.Server != nil && !old.Server.InRecovery {
		return x.takeBack(calm, errors.New("the bot was restarted and the old primary still serves"), true)
	}
	end, err := x.to().LastRecord(calm)
	if err != nil || gatePassed(end, x.mark.LSN, x.mark.Timeline) != nil {
		return x.takeBack(calm, errors.New("the bot was restarted before the gate was passed"), true)
	}
	clear, err := x.clearAgain(calm, old, end)
	if err != nil {
		return x.takeBack(calm, err, true)
	}
	x.out.Gate = end.End
	return x.forward(ctx, clear)
}

// clearAgain derives the clearance anew: the old primary is in recovery, or
// stopped for good.
func (x *execution) clearAgain(ctx context.Context, old Observation, end WALEnd) (Clearance, error) {
	if old.Server != nil {
		return clearStandby(x.plan.From, old)
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the stop of "+x.plan.From)
	defer cancel()
	if err := x.machine().Stopped(ctx); err != nil {
		return Clearance{}, err
	}
	return clearStopped(x.plan.From, end, x.mark.LSN, x.mark.Timeline)
}

// failoverAgain repeats everything from the freeze on: each of it is
// idempotent, and the approved facts are compared again first.
func (x *execution) failoverAgain(ctx context.Context) ending {
	x.frozen = true
	x.onTo.Close()
	x.onTo = nil
	return x.failover(ctx)
}
