package actions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/approvals"
)

// failover is the disaster case: the old primary is out of reach. Its standby
// is frozen, so that nothing more can be acknowledged through it; then the old
// primary is fenced, or a named person states that it is off.
func (x *execution) failover(ctx context.Context) ending {
	clear, err := x.beforePromotion(ctx)
	if err != nil {
		return x.unfreeze(ctx, err)
	}
	return x.forward(ctx, clear)
}

func (x *execution) beforePromotion(ctx context.Context) (Clearance, error) {
	if err := x.step(ctx, OpLock, x.plan.To, x.lock); err != nil {
		return Clearance{}, err
	}
	if err := x.step(ctx, OpRecheck, "", x.recheck); err != nil { // remembers the timeline, too
		return Clearance{}, err
	}
	clear, err := x.seal(ctx)
	if err != nil {
		return Clearance{}, err
	}
	if err := x.step(ctx, OpSettle, x.plan.To, x.settle); err != nil {
		return Clearance{}, err
	}
	return clear, x.record(ctx, OpPromote, x.plan.To, Intent, "", nil)
}

// seal sees to it that the old primary acknowledges nothing more: the freeze,
// and then the fence. The freeze is only believed when it was read twice, a
// retry interval apart, and that is the longest wait of a failover. What needs
// the freeze to have taken effect, and not yet that proof, fills it:
//   - the fence begins when the freeze was first read, never before: a standby
//     that can't be frozen leaves the old primary as it is. The order of the two
//     is kept, only the proofs of both are awaited together;
//   - the names of a standby count for nothing before its promotion.
//
// Nothing else goes on before both proofs are there. A freeze whose second
// reading fails ends the failover, as ever, with the old primary off.
//
// Where loss can't be excluded people come between the two: see sealAsking.
func (x *execution) seal(ctx context.Context) (Clearance, error) {
	if x.plan.Loss != LossNone {
		return x.sealAsking(ctx)
	}
	x.frozen, x.prepared = true, true // from the intent on: taking it back is harmless where it never took
	var clear Clearance
	var unproven error
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return x.step(gctx, OpFreeze, x.plan.To, x.freeze) })
	group.Go(func() error {
		if err := x.awaitFrozen(gctx); err != nil {
			return err
		}
		clear, unproven = x.tryFence(gctx)
		return nil
	})
	group.Go(func() error {
		if err := x.awaitFrozen(gctx); err != nil {
			return err
		}
		err := x.step(gctx, OpPrepare, x.plan.To, x.prepare)
		x.to().Observe(gctx) // what settles below then needs no new session: reloads have outdated the kept one
		return err
	})
	if err := group.Wait(); err != nil {
		return Clearance{}, err
	}
	return x.cleared(ctx, clear, unproven)
}

// sealAsking is seal one by one: a person accepts the loss in doubt once the
// freeze is proven, and before anything is fenced.
func (x *execution) sealAsking(ctx context.Context) (Clearance, error) {
	x.frozen = true
	if err := x.step(ctx, OpFreeze, x.plan.To, x.freeze); err != nil {
		return Clearance{}, err
	}
	if err := x.acceptLoss(ctx); err != nil {
		return Clearance{}, err
	}
	clear, unproven := x.tryFence(ctx)
	x.prepared = true
	if err := x.step(ctx, OpPrepare, x.plan.To, x.prepare); err != nil {
		return Clearance{}, err
	}
	return x.cleared(ctx, clear, unproven)
}

// awaitFrozen returns when the freeze has taken effect, read once. It asks in
// the session that freezes, between its statements, and ends with the freeze.
func (x *execution) awaitFrozen(ctx context.Context) error {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the freeze of "+x.plan.To)
	defer cancel()
	return poll(ctx, 3*time.Millisecond, x.onTo.Frozen)
}

func (o Observation) timeline() uint32 {
	if o.Server == nil {
		return 0
	}
	return o.Server.Timeline
}

func (x *execution) freeze(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the freeze of "+x.plan.To)
	defer cancel()
	err := x.onTo.Freeze(ctx)
	return "receiver stopped, read twice", err
}

// acceptLoss asks people first where loss can't be excluded: nothing but the
// freeze has happened then, and that is taken back when they refuse. They took
// their time, so the world is compared with the plan once more.
func (x *execution) acceptLoss(ctx context.Context) error {
	next := fmt.Sprintf("%s is fenced", x.plan.From)
	if _, can := x.hands.fencer(x.plan.From); !can {
		next = fmt.Sprintf("you are asked whether %s is off, as no driver can fence it,", x.plan.From)
	}
	question := fmt.Sprintf("%s. By typing %q you accept that; then %s and %s promoted.", strings.TrimSuffix(x.plan.Verdict, "."), x.plan.Pair, next, x.plan.To)
	if _, err := x.hold(ctx, 0, question); err != nil {
		return err
	}
	return x.step(ctx, OpRecheck, "", x.recheck)
}

// tryFence takes the old primary's power and reads it back; the error says why
// that can't be proven.
func (x *execution) tryFence(ctx context.Context) (clear Clearance, unproven error) {
	unproven = x.step(ctx, OpFence, x.plan.From, func(ctx context.Context) (string, error) {
		var err error
		clear, err = x.powerOff(ctx)
		return clear.proof, err
	})
	return clear, unproven
}

// cleared is the clearance of a fence that was proven; where it wasn't a named
// person has to answer for it.
func (x *execution) cleared(ctx context.Context, clear Clearance, err error) (Clearance, error) {
	if ctx.Err() != nil || errors.Is(err, errLockGone) { // nobody needs to be asked
		return Clearance{}, errors.Join(err, context.Cause(ctx))
	}
	if err == nil {
		return clear, nil
	}
	question := fmt.Sprintf("that %s is off can't be proven (%v). By typing %q you state that %s is off and stays off, and that you accept what can't be proven.", x.plan.From, err, x.plan.Pair, x.plan.From)
	pause, err := x.hold(ctx, x.holdsBefore(), question)
	if err != nil {
		return Clearance{}, err
	}
	return x.accepted(ctx, pause)
}

// holdsBefore is how many statements came before the one about the fence.
func (x *execution) holdsBefore() int {
	if x.plan.Loss == LossNone {
		return 0
	}
	return 1
}

// accepted rests on a person's statement, but never against what can be seen:
// an old primary that answers as one is not off, whoever says so.
func (x *execution) accepted(ctx context.Context, pause approvals.Pause) (Clearance, error) {
	if o := x.lookAtOld(ctx); o.Server != nil && !o.Server.InRecovery {
		return Clearance{}, fmt.Errorf("%s stated that %s is off, but it answers as a primary", pause.By, x.plan.From)
	}
	frozen, err := x.onTo.Frozen(ctx)
	if err != nil {
		return Clearance{}, err
	}
	return clearAccepted(x.plan.From, pause, frozen)
}

func (x *execution) lookAtOld(ctx context.Context) Observation {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Observe, "observing "+x.plan.From)
	defer cancel()
	return x.from().Observe(ctx)
}

// powerOff orders the fence and reads it back, several times in a row.
func (x *execution) powerOff(ctx context.Context) (Clearance, error) {
	f, ok := x.hands.fencer(x.plan.From)
	if !ok {
		return Clearance{}, errors.New("no driver can take its power")
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Fence, "the fence of "+x.plan.From)
	defer cancel()
	if err := x.holdsLock(ctx); err != nil { // people may have taken their time
		return Clearance{}, err
	}
	return takePower(ctx, x.plan.From, f)
}

// settle waits until the standby has replayed all that it received.
func (x *execution) settle(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Promote, "replaying what "+x.plan.To+" has received")
	defer cancel()
	var last LSN
	err := poll(ctx, 5*time.Millisecond, func(ctx context.Context) (bool, error) {
		o := x.to().Observe(ctx)
		if o.Server == nil {
			return false, nil
		}
		last = o.Server.ReplayLSN
		return o.Server.ReplayLSN >= o.Server.ReceiveLSN, nil
	})
	x.out.Gate = last
	return "replayed up to " + last.String(), err
}

// unfreeze ends a failover before its promotion: the standby streams again, as
// soon as there is something to stream from. What was fenced stays off.
func (x *execution) unfreeze(ctx context.Context, cause error) ending {
	if ctx.Err() != nil {
		return ending{interrupted: true}
	}
	if x.promoting {
		return x.lost(cause, x.perhapsPromoted())
	}
	err := x.regainFrozen(ctx)
	if errors.Is(err, errTakenOver) {
		return x.lost(errors.Join(cause, err), x.takenOver(fmt.Sprintf("If nobody does, on %s: ALTER SYSTEM RESET primary_conninfo and reload, so that it can stream again.", x.plan.To)))
	}
	if x.frozen && x.onTo == nil {
		return x.lost(cause, fmt.Sprintf("%s is frozen and its lock could not be had. On it: ALTER SYSTEM RESET primary_conninfo and reload, so that it can stream again.", x.plan.To))
	}
	if x.frozen {
		if err := x.step(ctx, OpUndo, x.plan.To, x.thawStandby); err != nil {
			return x.lost(errors.Join(cause, err), fmt.Sprintf("On %s: ALTER SYSTEM RESET primary_conninfo and reload, so that it can stream again.", x.plan.To))
		}
	}
	x.tidyUndone(context.WithoutCancel(ctx))
	return ending{cause: approvals.Abort, why: fmt.Sprintf("%v. %s was not promoted and is not frozen any more; %s is as it was, or off where it was fenced.", cause, x.plan.To, x.plan.From)}
}

// regainFrozen asks for the lock of a standby that this attempt may have frozen.
func (x *execution) regainFrozen(ctx context.Context) error {
	if !x.frozen {
		return nil
	}
	return x.regain(ctx, true)
}

func (x *execution) thawStandby(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "thawing "+x.plan.To)
	defer cancel()
	return "thawed", x.onTo.Thaw(ctx)
}

// rejoinOnly is a plan of its own: the primary stays, the other node joins it.
func (x *execution) rejoinOnly(ctx context.Context) ending {
	for _, s := range []struct {
		op Op
		do func(context.Context) (string, error)
	}{{OpLock, x.lock}, {OpRecheck, x.recheck}} {
		if err := x.step(ctx, s.op, x.plan.To, s.do); err != nil {
			if ctx.Err() != nil {
				return ending{interrupted: true}
			}
			return ending{cause: approvals.Abort, why: err.Error() + ". Nothing changed."}
		}
	}
	return x.rejoinGoOn(ctx)
}

func (x *execution) rejoinGoOn(ctx context.Context) ending {
	x.out.NewPrimary, x.out.Serving, x.out.Conn = x.plan.To, x.plan.To, x.pair.Conn(x.plan.To)
	x.pointClients(ctx)
	end := x.finishPair(ctx, errNotFollowing)
	if end.cause == approvals.Succeed && x.out.Synchronous.IsZero() {
		end.cause = approvals.Fail
	}
	return end
}
