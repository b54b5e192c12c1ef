package actions

import (
	"context"
	"errors"
	"fmt"
)

// errTakenOver means that the pair's lock was lost on the way and that somebody
// else has it, or has worked on the pair since: what this attempt knows is old,
// and it must not touch anything any more.
var errTakenOver = errors.New("the pair's lock was lost, and somebody else works on the pair or has done so since")

// takenOver is what people do then; otherwise is what is left to do when it
// turns out that nobody else has touched the pair.
func (x *execution) takenOver(otherwise string) string {
	text := fmt.Sprintf("This request did nothing more once it had lost the lock of %s. Look at the status of %s, and at who else works on it, before anything is started or promoted. %s", x.plan.Pair, x.plan.Pair, otherwise)
	if x.prepared {
		old, _ := x.pair.Node(x.plan.From)
		text += fmt.Sprintf(" Drop slot %s on %s unless %s streams through it: it keeps WAL.", old.Slot, x.plan.To, x.plan.From)
	}
	return text
}

// holdsLock fails unless the pair's lock is held at this moment. It is asked
// right before every effect on the way forward that doesn't run in the locking
// session itself: a bot that slept, or that was cut off, may have lost the lock
// to another that has gone on since.
func (x *execution) holdsLock(ctx context.Context) error {
	if x.onTo == nil {
		return errLockGone
	}
	if err := x.onTo.Alive(ctx); err != nil {
		return errors.Join(errLockGone, err)
	}
	return nil
}

var errLockGone = errors.New("the pair's lock is lost")

// regain makes sure that the lock is held, and takes it anew where it was lost.
// Whoever may have had it in between could have changed everything, so then the
// new primary must still be in recovery, or out of it, as this attempt left it.
// Errors: errTakenOver; any other means that the new primary can't be asked.
func (x *execution) regain(ctx context.Context, recovering bool) error {
	if x.holdsLock(ctx) == nil {
		return nil
	}
	if x.onTo != nil {
		x.onTo.Close()
		x.onTo = nil
	}
	s, err := x.lockOn(ctx, x.to(), regainPatience)
	if errors.Is(err, ErrLocked) {
		return errors.Join(errTakenOver, err)
	}
	if err != nil {
		return fmt.Errorf("the pair's lock was lost and can't be taken again: %w", err)
	}
	x.onTo = s
	return x.asLeft(ctx, recovering)
}

// asLeft compares the new primary with what this attempt made of it.
func (x *execution) asLeft(ctx context.Context, recovering bool) error {
	o := x.to().Observe(ctx)
	switch {
	case o.Server == nil:
		return o.Failure
	case o.Server.InRecovery != recovering:
		return fmt.Errorf("%w: %s is in recovery: %t", errTakenOver, x.plan.To, o.Server.InRecovery)
	case !recovering && x.out.NewTimeline != 0 && o.Server.Timeline != x.out.NewTimeline:
		return fmt.Errorf("%w: %s is on timeline %d, not on %d", errTakenOver, x.plan.To, o.Server.Timeline, x.out.NewTimeline)
	}
	return nil
}

// clearedStill derives again what a promotion rests on, after the lock was lost
// and regained: somebody may have started the old primary in between.
func (x *execution) clearedStill(ctx context.Context, kind ClearanceKind) error {
	old := x.lookAtOld(ctx)
	if old.Server != nil && !old.Server.InRecovery {
		return fmt.Errorf("%w: %s answers as a primary", errTakenOver, x.plan.From)
	}
	err := x.restsOn(ctx, kind, old)
	if err != nil {
		return fmt.Errorf("%w: %w", errTakenOver, err)
	}
	return nil
}

func (x *execution) restsOn(ctx context.Context, kind ClearanceKind, old Observation) error {
	switch kind {
	case ClearStopped: // whatever the old primary wrote since would stand behind its checkpoint
		_, err := x.seeGate(ctx)
		return err
	case ClearStandby:
		_, err := clearStandby(x.plan.From, old)
		return err
	case ClearOff:
		if old.Server != nil {
			return nil // in recovery: started as a standby since
		}
		_, err := x.powerOff(ctx)
		return err
	case ClearAccepted:
		frozen, err := x.onTo.Frozen(ctx)
		if err == nil && !frozen {
			err = fmt.Errorf("%s is not frozen any more", x.plan.To)
		}
		return err
	}
	return fmt.Errorf("nothing is known of clearance %q", kind)
}
