package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/approvals"
)

// forward is the way on from a clearance: promote, confirm, and bring the old
// primary back as a standby. Nothing in it leads back.
func (x *execution) forward(ctx context.Context, clear Clearance) ending {
	calm := context.WithoutCancel(ctx)
	followed := x.followFirst(calm)
	err := x.quick(calm, OpPromote, x.plan.To, func(ctx context.Context) (string, error) {
		return clear.proof, x.promote(ctx, clear)
	})
	if err != nil {
		return x.promotionLost(calm, errors.Join(err, followError(followed)))
	}
	return x.promoted(ctx, followed)
}

// followFirst starts the old primary beside the promotion where commits will
// wait for it. Where they won't, it is nil, and the old primary is started after
// the probe: a server that comes up beside the promotion only slows it down, and
// clients would find it refusing them before they find the new primary.
func (x *execution) followFirst(ctx context.Context) <-chan error {
	if x.plan.After == Degrade {
		return nil
	}
	return x.followBeside(ctx)
}

// followBeside starts the old primary as a standby of the new one, by cascade
// where that one is still being promoted; only after a clean stop, whose history
// ends before the fork.
func (x *execution) followBeside(ctx context.Context) <-chan error {
	if x.plan.Kind != KindSwitchover || x.machine() == nil {
		return notFollowing()
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "starting "+x.plan.From+" as a standby")
		defer cancel()
		done <- x.follow(ctx)
	}()
	return done
}

// notFollowing is the end of a follow that was never begun.
func notFollowing() <-chan error {
	done := make(chan error, 1)
	done <- errNotFollowing
	return done
}

// followError is the error of a follow that was tried.
func followError(following <-chan error) error {
	if following == nil {
		return nil
	}
	err := <-following
	if errors.Is(err, errNotFollowing) {
		return nil
	}
	return err
}

var errNotFollowing = errors.New("the old primary was not started as a standby")

func (x *execution) follow(ctx context.Context) error {
	_, err := x.effect(ctx, OpFollow, x.plan.From, func(ctx context.Context) (string, error) {
		return "", x.machine().Follow(ctx, x.plan.From)
	})
	return err
}

func (x *execution) promote(ctx context.Context, clear Clearance) error {
	if err := mayPromote(x.grant, x.req, x.plan, clear); err != nil {
		return err
	}
	x.out.Clearance, x.out.Proof = clear.kind, clear.proof
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Promote, "the promotion of "+x.plan.To)
	defer cancel()
	err := x.onTo.Promote(ctx)
	if err != nil && ctx.Err() != nil { // whatever a driver says of an answer that never came
		err = &Uncertain{Err: err}
	}
	if _, sent := errors.AsType[*Uncertain](err); err == nil || sent {
		return err
	}
	return x.promoteAnew(ctx, clear, err)
}

// promoteAnew is for a promotion that was surely not sent: the session that
// held the lock was lost. Whoever had the lock in between may have started the
// old primary again, so what cleared the promotion is derived once more before
// it is sent in a new session with the lock.
func (x *execution) promoteAnew(ctx context.Context, clear Clearance, cause error) error {
	err := x.regain(ctx, true)
	if err == nil {
		err = x.clearedStill(ctx, clear.kind)
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	return x.onTo.Promote(ctx)
}

func (x *execution) promotionLost(ctx context.Context, err error) ending {
	if ferr := x.flush(ctx); ferr != nil {
		x.log.Error("the journal is behind", "error", ferr)
	}
	if errors.Is(err, errGateShut) { // it was passed once: the data folder was replaced, or somebody started the old primary
		return x.lost(err, x.takenOver(fmt.Sprintf("Don't promote %s: it does not hold all that %s acknowledged. If nobody does, start %s by hand as the primary that it was; where it runs as a standby, stop it and remove its standby.signal first. Then see to it that %s follows, or copy it anew.", x.plan.To, x.plan.From, x.plan.From, x.plan.To)))
	}
	if errors.Is(err, errTakenOver) {
		return x.lost(err, x.takenOver(fmt.Sprintf("If nobody does, %s is in recovery and %s is off or a standby: promote %s yourself (SELECT pg_promote()), then ask for a rejoin of %s.", x.plan.To, x.plan.From, x.plan.To, x.plan.From)))
	}
	if _, sent := errors.AsType[*Uncertain](err); !sent {
		return x.lost(err, fmt.Sprintf("%s was not promoted, and %s is not a primary any more. When %s answers again, promote it yourself (SELECT pg_promote()); then ask for a rejoin of %s. Don't start %s as a primary.", x.plan.To, x.plan.From, x.plan.To, x.plan.From, x.plan.From))
	}
	return x.lost(err, fmt.Sprintf("%s was told to promote and may still do so. Don't start %s as a primary. Look whether %s is out of recovery (SELECT pg_is_in_recovery()); if it isn't within a minute, promote it there yourself (SELECT pg_promote()). Then ask for a rejoin of %s.", x.plan.To, x.plan.From, x.plan.To, x.plan.From))
}

// promoted goes on from a node that is out of recovery. The probe comes first:
// writers wait for nothing else. A nil following means that the old primary is
// still to be started.
func (x *execution) promoted(ctx context.Context, following <-chan error) ending {
	calm := context.WithoutCancel(ctx)
	x.out.NewPrimary, x.out.Serving, x.out.Conn = x.plan.To, x.plan.To, x.pair.Conn(x.plan.To)
	probe := x.quick(calm, OpProbe, x.plan.To, x.probe)
	if !x.mark.At.IsZero() && probe == nil {
		x.out.WritePause = x.desk.now().Sub(x.mark.At)
	}
	if following == nil {
		following = x.followBeside(calm)
	}
	followed := <-following
	x.noteFollowed(followed)
	if err := x.flush(calm); err != nil {
		x.log.Error("the journal is behind", "error", err)
	}
	if err := errors.Join(probe, x.step(calm, OpConfirm, x.plan.To, x.confirm)); err != nil {
		if errors.Is(err, errDemoted) {
			return x.demoted(err)
		}
		return x.lost(err, fmt.Sprintf("%s is promoted, but not as expected: compare its timeline history with the journal before anybody writes to it. When it is as it should be, ask for `/pg rejoin %s`: %s is not its standby yet.", x.plan.To, x.plan.Pair, x.plan.From))
	}
	x.pointClients(ctx)
	x.noteAlone(calm)
	return x.finishPair(ctx, followed)
}

var errDemoted = errors.New("is in recovery again")

// demoted ends an execution whose new primary is no primary any more: somebody
// has put other data in its place. Whatever was acknowledged since the promotion
// is in what was promoted, and nowhere else.
func (x *execution) demoted(err error) ending {
	x.out.NewPrimary, x.out.Serving, x.out.Conn = "", "", ConnString{}
	text := fmt.Sprintf("%s was promoted, and what runs there now is something else, perhaps an older copy: see to it that nobody promotes that. Nobody is the primary. Look for the data that were promoted, and put them back if they are there: what was written since is in them alone.", x.plan.To)
	if x.plan.Kind == KindSwitchover {
		text += fmt.Sprintf(" If they are gone, %s has everything up to the switchover: start %s by hand as the primary that it was; where it runs as a standby, stop it and remove its standby.signal first. Then copy %s anew.", x.plan.From, x.plan.From, x.plan.To)
	}
	return x.lost(err, text)
}

func (x *execution) noteFollowed(err error) {
	switch {
	case err == nil:
		x.late = append(x.late, x.entry(OpFollow, x.plan.From, Done, "started as a standby", nil))
	case !errors.Is(err, errNotFollowing):
		x.late = append(x.late, x.entry(OpFollow, x.plan.From, Failing, err.Error(), nil))
	}
}

// confirm checks the new timeline: newer than the old one, and forked at or
// after the end of what the old primary had written.
func (x *execution) confirm(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "confirming the new timeline")
	defer cancel()
	o := x.to().Observe(ctx)
	if o.Server == nil {
		return "", o.Failure
	}
	x.out.NewTimeline = o.Server.Timeline
	if o.Server.InRecovery {
		return "", fmt.Errorf("%s, which was out of recovery, %w on timeline %d", x.plan.To, errDemoted, o.Server.Timeline)
	}
	if o.Server.Timeline <= x.out.OldTimeline {
		return "", fmt.Errorf("%s is on timeline %d after %d", x.plan.To, o.Server.Timeline, x.out.OldTimeline)
	}
	fork, err := x.fork(ctx, o.Server.Timeline)
	if err != nil {
		return "", err
	}
	if fork.At < x.out.Gate {
		return "", fmt.Errorf("timeline %d forked at %s, before the end of the old one at %s", o.Server.Timeline, fork.At, x.out.Gate)
	}
	x.thaw(ctx)
	return fmt.Sprintf("timeline %d, forked from %d at %s", o.Server.Timeline, fork.Parent, fork.At), nil
}

// fork is where the new timeline left its parent: the last line of its history.
func (x *execution) fork(ctx context.Context, timeline uint32) (Fork, error) {
	forks, err := x.to().Forks(ctx, timeline)
	if err != nil || len(forks) == 0 {
		return Fork{}, errors.Join(errors.New("its timeline history can't be read"), err)
	}
	return forks[len(forks)-1], nil
}

// thaw lets the node stream again when it will be a standby one day; on a
// primary the setting has no effect.
func (x *execution) thaw(ctx context.Context) {
	if x.plan.Kind != KindFailover {
		return
	}
	if err := x.onTo.Thaw(ctx); err != nil {
		x.todo("On %s: ALTER SYSTEM RESET primary_conninfo and reload, else it can't be a standby later (%v).", x.plan.To, err)
	}
}

func (x *execution) probe(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "the probe write")
	defer cancel()
	return "committed", x.to().ProbeWrite(ctx)
}

// finishPair makes the pair whole again. What fails here leaves a working
// primary, so the request still succeeds and says what is left to do.
func (x *execution) finishPair(ctx context.Context, followed error) ending {
	err := x.whole(ctx, followed)
	if err != nil && ctx.Err() != nil {
		return ending{interrupted: true}
	}
	if errors.Is(err, errTakenOver) {
		x.out.Serving = ""
		return x.lost(err, x.takenOver(fmt.Sprintf("If nobody does: ask for a rejoin of %s.", x.plan.From)))
	}
	if err != nil {
		x.todo("%s is not a synchronous standby yet (%v). Mend what it names, then ask for `/pg rejoin %s`.", x.plan.From, err, x.plan.Pair)
	}
	return ending{cause: approvals.Succeed, why: x.summary(err == nil)}
}

func (x *execution) whole(ctx context.Context, followed error) error {
	if err := x.step(ctx, OpSettleDisk, x.plan.To, x.settleDisk); err != nil {
		return err
	}
	if err := x.standbyAgain(ctx, followed); err != nil {
		return err
	}
	if err := x.step(ctx, OpLatch, x.plan.To, x.latch); err != nil {
		return err
	}
	return x.step(ctx, OpTidy, x.plan.From, x.tidy)
}

// standbyAgain waits for an old primary that follows already; one that doesn't,
// or that went away again, is rejoined.
func (x *execution) standbyAgain(ctx context.Context, followed error) error {
	if followed == nil {
		followed = x.eligible(ctx, x.desk.opt.Timeouts.Stop)
	}
	if followed == nil || ctx.Err() != nil {
		return followed
	}
	if err := x.step(ctx, OpRejoin, x.plan.From, x.rejoin); err != nil {
		return err
	}
	return x.eligible(ctx, x.desk.opt.Timeouts.Rejoin)
}

func (x *execution) settleDisk(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Rejoin, "the checkpoint of "+x.plan.To)
	defer cancel()
	return "done", x.to().Checkpoint(ctx)
}

// rejoin makes the old primary a standby, whatever its history ends with.
func (x *execution) rejoin(ctx context.Context) (string, error) {
	m := x.machine()
	if m == nil {
		return "", fmt.Errorf("no driver can start %s", x.plan.From)
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Rejoin, "the rejoin of "+x.plan.From)
	defer cancel()
	if err := x.regain(ctx, false); err != nil {
		return "", err
	}
	old, _ := x.pair.Node(x.plan.From)
	if err := x.to().EnsureSlot(ctx, old.Slot); err != nil {
		return "", err
	}
	order, err := x.rejoinOrder(ctx)
	if err != nil {
		return "", err
	}
	stop := x.followCopy(ctx)
	report, err := m.Rejoin(ctx, order, func(text string) { x.note(ctx, OpRejoin, x.plan.From, text) })
	stop()
	if err == nil || report.Diverged != nil {
		x.out.Rejoin = &report
	}
	if err != nil {
		return "", err
	}
	return "rejoined: " + report.How, nil
}

// Between two looks at a base backup: a small one shows early, a long one
// doesn't fill the journal.
const copyLookFirst, copyLookIdle, copyLookLast = 100 * time.Millisecond, time.Second, 10 * time.Second

// followCopy notes the progress of the base backup that a rejoin may take from
// the new primary, until stop is called.
func (x *execution) followCopy(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.noteCopy(ctx)
	}()
	return func() { cancel(); <-done }
}

func (x *execution) noteCopy(ctx context.Context) {
	last, wait := "", copyLookFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		text, err := x.to().BackupProgress(ctx)
		if err != nil || text == "" { // it can't be asked, or none runs (yet, or any more)
			wait = min(2*wait, copyLookIdle)
			continue
		}
		if wait = min(2*wait, copyLookLast); text != last {
			x.note(ctx, OpRejoin, x.plan.From, "base backup: "+text)
		}
		last = text
	}
}

func (x *execution) rejoinOrder(ctx context.Context) (RejoinOrder, error) {
	o := x.to().Observe(ctx)
	if o.Server == nil {
		return RejoinOrder{}, o.Failure
	}
	order := RejoinOrder{Name: x.plan.From, Timeline: o.Server.Timeline}
	if o.Server.Timeline == 1 {
		return order, nil // never forked: any end of WAL that it received fits
	}
	fork, err := x.fork(ctx, o.Server.Timeline)
	order.Fork = fork.At
	return order, err
}

// synchronousWithin waits so long until the old primary streams; then commits
// wait for it again, at once where the names stood, else from now on.
func (x *execution) synchronousWithin(patience time.Duration) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := within(ctx, patience, "waiting for "+x.plan.From+" to stream")
		defer cancel()
		return x.synchronous(ctx)
	}
}

func (x *execution) synchronous(ctx context.Context) (string, error) {
	if err := x.awaitStandby(ctx, func(s Standby) bool { return s.State == "streaming" }); err != nil {
		return "", err
	}
	if err := x.regain(ctx, false); err != nil {
		return "", err
	}
	text, err := x.names(ctx, x.plan.From)
	if err != nil {
		return "", err
	}
	if err := x.awaitStandby(ctx, func(s Standby) bool { return s.State == "streaming" && s.SyncState == "sync" }); err != nil {
		return "", err
	}
	slots, err := x.syncedSlots(ctx, true, true)
	return "commits wait for " + x.plan.From + " (" + text + slots + ")", err
}

func (x *execution) awaitStandby(ctx context.Context, fit func(Standby) bool) error {
	return poll(ctx, 10*time.Millisecond, func(ctx context.Context) (bool, error) {
		o := x.to().Observe(ctx)
		if o.Server == nil {
			return false, nil
		}
		all := claimants(o.Server, x.plan.From)
		return len(all) == 1 && fit(all[0]), nil
	})
}

// latch shows that the pair is synchronous from here on. The standby's own word
// can come a moment after the primary's.
func (x *execution) latch(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "arming the latch")
	defer cancel()
	var rep Report
	err := poll(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		var err error
		rep, err = x.desk.arm(ctx, x.pair)
		return !rep.Verdict.Since.IsZero(), err
	})
	if err != nil {
		return "", fmt.Errorf("%w (last seen: %s)", err, rep.Verdict.Headline)
	}
	x.out.Synchronous = rep.Verdict.Since
	return rep.Verdict.Headline, nil
}

// tidy drops the slot through which the new primary had streamed.
func (x *execution) tidy(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "dropping the old slot")
	defer cancel()
	now, _ := x.pair.Node(x.plan.To)
	if err := x.regain(ctx, false); err != nil {
		return "", err
	}
	x.leftSlots(ctx)
	return "slot " + now.Slot + " dropped", x.from().DropSlot(ctx, now.Slot)
}

// leftSlots names the logical slots that the old primary still has: subscribers
// go on at the new one, and until they are dropped they keep WAL, and keep
// PostgreSQL from holding copies of the new primary's under the same names.
func (x *execution) leftSlots(ctx context.Context) {
	o := x.from().Observe(ctx)
	if o.Server == nil {
		return // the step itself says so
	}
	for _, s := range o.Server.Slots {
		if s.Type == "logical" && !s.Synced && !s.Temporary {
			x.todo("Drop slot %s on %s once its subscriber reads from %s: it keeps WAL, and its name is in the way of a copy. `SELECT pg_drop_replication_slot('%s')`.",
				s.Name, x.plan.From, x.plan.To, s.Name)
		}
	}
}

func (x *execution) summary(whole bool) string {
	text := fmt.Sprintf("%s is the primary.", x.plan.To)
	if x.plan.Kind == KindRejoin {
		text = fmt.Sprintf("%s is the primary, as before.", x.plan.To)
	}
	if !whole {
		return text + " " + x.plan.From + " is not its standby yet: the guarantee is not back."
	}
	return text + " " + x.plan.From + " is its synchronous standby."
}
