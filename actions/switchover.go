package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/approvals"
)

// switchover is the planned case: the old primary is stopped cleanly, and the
// new one promoted once it holds the other's shutdown checkpoint. Until the
// gate is passed every failure is taken back; after it, the only way is on.
func (x *execution) switchover(ctx context.Context) ending {
	err := x.beforeStop(ctx)
	if err == nil {
		err = context.Cause(ctx) // told to end: no pause is begun any more
	}
	if err != nil {
		return x.takeBack(ctx, err, false)
	}
	calm := context.WithoutCancel(ctx) // a bot that is told to end doesn't leave writers waiting
	clear, err := x.stopAndGate(calm)
	if err != nil {
		return x.takeBack(calm, err, x.ordered)
	}
	return x.forward(ctx, clear)
}

// beforeStop is everything that can be done while writes go on.
func (x *execution) beforeStop(ctx context.Context) error {
	for _, s := range []struct {
		op   Op
		node string
		do   func(context.Context) (string, error)
	}{
		{OpLock, x.plan.To, x.lock},
		{OpRecheck, "", x.recheck},
		{OpPrepare, x.plan.To, x.prepare},
		{OpCheckpoint, x.plan.From, x.checkpoints},
	} {
		if err := x.step(ctx, s.op, s.node, s.do); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the new primary ready for being one: a slot for the old one,
// and its names as the policy wants them, confirmed by its checkpointer.
func (x *execution) prepare(ctx context.Context) (string, error) {
	x.prepared = true
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "preparing "+x.plan.To)
	defer cancel()
	old, _ := x.pair.Node(x.plan.From)
	if err := x.holdsLock(ctx); err != nil {
		return "", err
	}
	if err := x.to().EnsureSlot(ctx, old.Slot); err != nil {
		return "", fmt.Errorf("slot %s: %w", old.Slot, err)
	}
	if err := x.holdsLock(ctx); err != nil {
		return "", err
	}
	want := ""
	if x.plan.After == Block {
		want = old.Name
	}
	names, err := x.names(ctx, want)
	if err != nil {
		return "", err
	}
	slots, err := x.syncedSlots(ctx, want != "", x.plan.Kind == KindSwitchover)
	return names + slots, err
}

// syncedSlots makes logical subscribers of the new primary wait for the old one,
// or for nobody, where the pair makes them wait at all: else they would wait for
// the slot of a standby that is the primary now. The old primary's own setting
// counts where that one can be asked.
func (x *execution) syncedSlots(ctx context.Context, waiting, askOld bool) (string, error) {
	const name = "synchronized_standby_slots"
	o := x.to().Observe(ctx)
	if o.Server == nil {
		return "", o.Failure
	}
	used := o.Server.Settings[name] != ""
	if !used && askOld {
		old := x.from().Observe(ctx)
		used = old.Server != nil && old.Server.Settings[name] != ""
	}
	want := ""
	if old, _ := x.pair.Node(x.plan.From); waiting {
		want = old.Slot
	}
	if !used || o.Server.Settings[name] == want {
		return "", nil
	}
	if err := x.to().SetSyncedSlots(ctx, want); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Sprintf(", %s set to %q", name, want), nil
}

// names sets synchronous_standby_names on the new primary unless they are so.
func (x *execution) names(ctx context.Context, want string) (string, error) {
	o := x.to().Observe(ctx)
	if o.Server == nil {
		return "", o.Failure
	}
	is := o.Server.Settings["synchronous_standby_names"]
	if is == want || (want != "" && acceptableNames(is, want)) {
		return fmt.Sprintf("names %q stand already", is), nil
	}
	if err := x.to().SetSyncNames(ctx, want); err != nil {
		return "", fmt.Errorf("synchronous_standby_names: %w", err)
	}
	return fmt.Sprintf("names set to %q", want), nil
}

// checkpoints makes the shutdown checkpoint small: twice on the old primary,
// as the first leaves what was written meanwhile, then on the new one.
func (x *execution) checkpoints(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the checkpoints before the stop")
	defer cancel()
	for _, db := range []Database{x.from(), x.to(), x.from()} {
		if err := db.Checkpoint(ctx); err != nil {
			return "", err
		}
	}
	return "done", nil
}

// stopAndGate orders the stop and waits at the gate.
func (x *execution) stopAndGate(ctx context.Context) (Clearance, error) {
	if err := x.setMark(ctx); err != nil {
		return Clearance{}, &StepError{OpStop, x.plan.From, err}
	}
	if err := x.recordPause(ctx); err != nil {
		return Clearance{}, &StepError{OpStop, x.plan.From, err}
	}
	x.mark.At = x.desk.now()
	x.ordered = true
	if err := x.quick(ctx, OpStop, x.plan.From, x.stop); err != nil {
		return Clearance{}, err
	}
	var clear Clearance
	err := x.quick(ctx, OpGate, x.plan.To, func(ctx context.Context) (string, error) {
		var err error
		clear, err = x.gate(ctx)
		return clear.proof, err
	})
	return clear, err
}

// recordPause journals the intents of everything in the write pause, so that
// nothing in it waits for the bot's disk. A later attempt that finds them may
// not conclude that the promotion was sent, nor that it wasn't: it goes by the
// old primary that still serves, or by the gate (see switchoverAgain).
func (x *execution) recordPause(ctx context.Context) error {
	if err := x.record(ctx, OpStop, x.plan.From, Intent, "", x.mark); err != nil {
		return err
	}
	if err := x.record(ctx, OpFollow, x.plan.From, Intent, "", nil); err != nil {
		return err
	}
	return x.record(ctx, OpPromote, x.plan.To, Intent, "", nil)
}

// setMark looks a last time before the stop: the old primary still waits for
// its standby, and its WAL stands here; the shutdown checkpoint must be newer.
func (x *execution) setMark(ctx context.Context) error {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Observe, "the last look before the stop")
	defer cancel()
	e := x.desk.observe(ctx, x.pair, false)
	r := classify(e)
	if r.primary == nil || r.from.Name != x.plan.From || !synchronousNow(r) {
		return fmt.Errorf("right before the stop %s no longer waits for %s", x.plan.From, x.plan.To)
	}
	if err := errors.Join(x.onFrom.Alive(ctx), x.onTo.Alive(ctx)); err != nil {
		return fmt.Errorf("right before the stop the pair's lock is lost: %w", err)
	}
	x.mark = stopMark{LSN: r.primary.FlushLSN, Timeline: r.primary.Timeline}
	x.out.OldTimeline = r.primary.Timeline
	return nil
}

func (x *execution) stop(ctx context.Context) (string, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "ordering the stop")
	defer cancel()
	if err := x.holdsLock(ctx); err != nil { // the last look and the intent may lie long back
		return "", err
	}
	return "fast shutdown ordered", x.machine().Stop(ctx)
}

// gate waits, at once, for two things: the shutdown checkpoint on the new
// primary, and the old one unable to come back. A platform that can tell the
// latter before it has tidied up is not waited for any longer.
func (x *execution) gate(ctx context.Context) (Clearance, error) {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop, "the stop of "+x.plan.From)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	var end WALEnd
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	began := x.desk.now()
	var arrived, sealed time.Duration // who was waited for, for whoever wants a shorter pause
	group.Go(func() error {
		err := x.awaitEnd(ctx, &end)
		arrived = x.desk.now().Sub(began)
		return err
	})
	grace := time.AfterFunc(2*x.desk.opt.Timeouts.Stop, func() { // until it is set below, the deadline of the stop comes first
		ended(fmt.Errorf("%s has ended, and %s does not have its shutdown checkpoint", x.plan.From, x.plan.To))
	})
	defer grace.Stop()
	stopped := func(ctx context.Context) error {
		err := x.machine().Stopped(ctx)
		if err == nil {
			grace.Reset(gateGrace) // what a stopped server has sent arrives soon or never
		}
		return err
	}
	if s, can := x.machine().(Sealer); can { // that it has ended shows at the gate, and is confirmed after it
		group.Go(func() error {
			err := s.Sealed(ctx)
			sealed = x.desk.now().Sub(began)
			return err
		})
		defer beside(ctx, stopped)()
	} else {
		group.Go(func() error { return stopped(ctx) })
	}
	if err := group.Wait(); err != nil {
		return Clearance{}, err
	}
	x.out.Gate = end.End
	x.log.Info("the gate is passed", "checkpoint_after", arrived, "sealed_after", sealed)
	return clearStopped(x.plan.From, end, x.mark.LSN, x.mark.Timeline)
}

// beside runs do until end is called, which waits for it. Nobody needs its error.
func beside(ctx context.Context, do func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = do(ctx) // whoever needs to know asks again
	}()
	return func() { cancel(); <-done }
}

// gateGrace is how long after the old primary's end its last WAL may take to be
// replayed on the new one.
const gateGrace = 5 * time.Second

func (x *execution) awaitEnd(ctx context.Context, end *WALEnd) error {
	return insist(ctx, 2*time.Millisecond, func(ctx context.Context) error {
		got, err := x.to().LastRecord(ctx)
		if err != nil {
			return err
		}
		*end = got
		return gatePassed(got, x.mark.LSN, x.mark.Timeline)
	})
}

// takeBack ends a switchover that may not go on: the old primary serves again.
func (x *execution) takeBack(ctx context.Context, cause error, stopped bool) ending {
	if ctx.Err() != nil && !stopped {
		return ending{interrupted: true}
	}
	ctx = context.WithoutCancel(ctx)
	if stopped && !x.mark.At.IsZero() { // their intents were journaled ahead
		x.late = append(x.late, x.entry(OpFollow, x.plan.From, Failing, "not begun", nil), x.entry(OpPromote, x.plan.To, Failing, "not begun", nil))
	}
	if err := x.flush(ctx); err != nil {
		x.log.Error("the journal is behind", "error", err)
	}
	if stopped {
		err := x.undo(ctx)
		if errors.Is(err, errTakenOver) {
			return x.lost(errors.Join(cause, err), x.takenOver(fmt.Sprintf("If nobody does, and %s is in recovery: start %s by hand as it is, as the primary that it was.", x.plan.To, x.plan.From)))
		}
		if err != nil {
			return x.lost(errors.Join(cause, err), fmt.Sprintf("Start %s by hand as it is, as the primary that it was; %s was not promoted and must not be.", x.plan.From, x.plan.To))
		}
	}
	x.tidyUndone(ctx)
	x.out.Serving = x.plan.From
	return ending{cause: approvals.Abort, why: x.whyTakenBack(cause, stopped)}
}

// undo starts the old primary again. A journal that can't be written doesn't
// keep it down: nothing was promoted, so starting it is right whatever happens
// to the bot afterwards.
func (x *execution) undo(ctx context.Context) error {
	begun := false
	err := x.step(ctx, OpUndo, x.plan.From, func(ctx context.Context) (string, error) {
		begun = true
		return x.restart(ctx)
	})
	if begun || err == nil || x.promoting {
		return err
	}
	x.log.Error("the old primary is started without a journal", "error", err)
	_, err = x.restart(ctx)
	return err
}

// whyTakenBack says what is true now, and no more than was seen.
func (x *execution) whyTakenBack(cause error, stopped bool) string {
	switch {
	case stopped && !x.mark.At.IsZero():
		return fmt.Sprintf("%v. %s is the primary again; its writes had paused for %s.", cause, x.plan.From, x.desk.now().Sub(x.mark.At).Round(time.Millisecond))
	case stopped:
		return fmt.Sprintf("%v. %s is the primary again.", cause, x.plan.From)
	case errors.Is(cause, ErrLocked):
		x.out.Serving = ""
		return fmt.Sprintf("%v. This attempt changed nothing; somebody else works on %s: look at its status.", cause, x.plan.Pair)
	}
	return fmt.Sprintf("%v. Nothing was stopped: %s is the primary.", cause, x.plan.From)
}

// restart brings the old primary back, through a hard stop if it hangs.
func (x *execution) restart(ctx context.Context) (string, error) {
	if x.neverStopped(ctx) {
		return x.plan.From + " still serves", nil
	}
	if err := x.mayRestart(ctx); err != nil {
		return "", err
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Stop+x.lingers(ctx), "starting "+x.plan.From+" again")
	defer cancel()
	if err := x.machine().StopHard(ctx); err != nil {
		return "", err
	}
	if x.onTo != nil { // else the new primary can't be asked, and writers wait
		if err := x.mayRestart(ctx); err != nil {
			return "", err
		}
	}
	if err := x.machine().Start(ctx); err != nil {
		return "", err
	}
	err := poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		o := x.from().Observe(ctx)
		return o.Server != nil && !o.Server.InRecovery, nil
	})
	return x.plan.From + " is the primary again", err
}

// lingers is how much longer the old primary may take to end where nothing ends it
// sooner; nothing is known of that where its platform can't be asked.
func (x *execution) lingers(ctx context.Context) time.Duration {
	l, does := x.machine().(Lingerer)
	if !does {
		return 0
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Observe, "asking how long "+x.plan.From+" may take to end")
	defer cancel()
	left, err := l.Lingers(ctx)
	if err != nil {
		x.log.Warn("how long the old primary may take to end is not known", "error", err)
	}
	return left
}

// mayRestart fails with errTakenOver when somebody else has the pair by now, or
// the new primary was promoted. Where that one can't be asked, the old one is
// started all the same: this attempt did not promote, and somebody has to serve.
func (x *execution) mayRestart(ctx context.Context) error {
	err := x.regain(ctx, true)
	if err != nil && !errors.Is(err, errTakenOver) {
		x.log.Warn("the old primary is started without the pair's lock", "error", err)
		return nil
	}
	return err
}

// neverStopped says whether the old primary answers as one, again and again: the
// order to stop never reached it, and it must not be stopped hard.
func (x *execution) neverStopped(ctx context.Context) bool {
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Observe, "looking whether "+x.plan.From+" still serves")
	defer cancel()
	looks := 0
	err := poll(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		o := x.from().Observe(ctx)
		if o.Server == nil || o.Server.InRecovery {
			return false, errNotServing
		}
		looks++
		return looks == 3, nil
	})
	return err == nil
}

var errNotServing = errors.New("it does not answer as a primary")

// tidyUndone takes back what prepare did; it can wait for people if it fails.
// An attempt that did not come as far must not: what is there then is another's.
func (x *execution) tidyUndone(ctx context.Context) {
	if !x.prepared {
		return
	}
	ctx, cancel := within(ctx, x.desk.opt.Timeouts.Effect, "tidying up")
	defer cancel()
	old, _ := x.pair.Node(x.plan.From)
	err := x.regain(ctx, true)
	if errors.Is(err, errTakenOver) {
		x.log.Warn("nothing is tidied up", "error", err)
		return
	}
	if err == nil {
		err = x.to().DropSlot(ctx, old.Slot)
	}
	if err != nil {
		x.todo("Drop slot %s on %s: it keeps WAL that nobody needs (%v).", old.Slot, x.plan.To, err)
	}
	if x.plan.After == Degrade {
		if _, err := x.names(ctx, old.Name); err != nil {
			x.todo("Set synchronous_standby_names to %s on %s, reload, CHECKPOINT (%v).", old.Name, x.plan.To, err)
		}
	}
}

func (x *execution) todo(format string, args ...any) {
	x.out.Todo = append(x.out.Todo, fmt.Sprintf(format, args...))
}

func (x *execution) lost(err error, instructions string) ending {
	x.todo("%s", instructions)
	return ending{cause: approvals.Lose, why: err.Error()}
}
