package actions_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// failing lets every call of that name on that node fail or hang; from the
// nth on, counted from 0.
func failing(call, node string, nth int32, err error) func(b *bundle) {
	var seen atomic.Int32
	return func(b *bundle) {
		var before func(call, node string) error
		before = b.world.setFault(func(c, n string) error {
			if c == call && n == node && seen.Add(1) > nth {
				return err
			}
			if before != nil {
				return before(c, n)
			}
			return nil
		})
	}
}

// atFirst lets the first n calls fail.
func atFirst(call, node string, n int32, err error) func(b *bundle) {
	var seen atomic.Int32
	return func(b *bundle) {
		b.world.setFault(func(c, at string) error {
			return when(c == call && at == node && seen.Add(1) <= n, err)
		})
	}
}

func replaying(takes time.Duration) func(b *bundle) {
	return func(b *bundle) { b.world.replayed = time.Now().Add(takes) }
}

func hanging(call, node string) func(b *bundle) { return failing(call, node, 0, errHang) }

func broken(call, node string) func(b *bundle) {
	return failing(call, node, 0, fmt.Errorf("%s is broken", call))
}

// refusing lets the store fail to take one kind of record.
func refusing(call string, times int32) func(b *bundle) {
	var seen atomic.Int32
	return func(b *bundle) {
		b.ledger.refusing(func(c string) error {
			if c == call && seen.Add(1) <= times {
				return errors.New("disk full")
			}
			return nil
		})
	}
}

func all(faults ...func(b *bundle)) func(b *bundle) {
	return func(b *bundle) {
		for _, f := range faults {
			f(b)
		}
	}
}

// changing does something to the world after the nth call of that name, with
// the world's lock held.
func changing(call string, nth int, do func(w *world)) func(b *bundle) {
	return func(b *bundle) {
		seen := 0
		b.world.after[call] = func(w *world, _ *server) {
			if seen++; seen == nth {
				do(w)
			}
		}
	}
}

// ported is one row: what a driver does, and how a request must end.
type ported struct {
	fault   func(b *bundle)
	state   approvals.State
	serving string // "" for nobody
	whole   bool
	todo    string // words of what is left to do
	why     string // words of the reason
}

func (row ported) run(t *testing.T, s story) {
	inBubble(t, func(b *bundle) {
		s.begin(b)
		row.fault(b)
		r := b.awaitEnd(b.start(nil).ask(s.question).ID)
		b.wantState(r, row.state)
		<-time.After(2 * time.Minute) // whatever is still under way happens now
		b.world.setFault(nil)
		truth, out := b.world.truth(), b.outcome(r)
		if len(truth.split) > 0 || strings.Join(truth.serving, " ") != row.serving || truth.whole != row.whole {
			b.Errorf("%+v, want serving %q, whole %t", truth, row.serving, row.whole)
		}
		if row.serving != "" && len(truth.lost) > 0 {
			b.Errorf("%d of %d acknowledged rows are lost", len(truth.lost), truth.acked)
		}
		if todo := strings.Join(out.Todo, " "); !strings.Contains(todo, row.todo) || (row.todo == "") != (todo == "") {
			b.Errorf("todo %q, want %q", todo, row.todo)
		}
		if !strings.Contains(r.Why, row.why) {
			b.Errorf("%q doesn't say %q", r.Why, row.why)
		}
	})
}

// TestSwitchoverWithFaultyDrivers: each driver call fails, hangs, or does its
// work and says that it failed.
func TestSwitchoverWithFaultyDrivers(t *testing.T) {
	t.Parallel()
	aborted := func(why string, faults ...func(*bundle)) ported {
		return ported{all(faults...), approvals.Aborted, "dc1", true, "", why}
	}
	loseStream := func(w *world) { w.server("dc2").frozen = true }
	loseLock := func(w *world) { delete(w.locks, "dc2") }
	gateShut := changing("stop dc1", 1, loseStream)
	for title, row := range map[string]ported{
		"the lock is held by another bot":                                aborted("lock on dc2: another bot holds this pair's lock", failing("lock", "dc2", 0, actions.ErrLocked)),
		"the primary's lock hangs":                                       aborted("asking for the lock took longer than 3s", hanging("lock", "dc1")),
		"the slot can't be made":                                         aborted("ensure slot is broken", broken("ensure slot", "dc2")),
		"the slot hangs":                                                 aborted("preparing dc2 took longer than 10s", hanging("ensure slot", "dc2")),
		"the standby's checkpoint hangs":                                 aborted("the checkpoints before the stop took longer than 30s", hanging("checkpoint", "dc2")),
		"the order to stop fails":                                        aborted("stop is broken", broken("stop", "dc1")),
		"the order to stop hangs":                                        aborted("ordering the stop took longer than 10s", hanging("stop", "dc1")),
		"the stop is never confirmed":                                    aborted("the stop of dc1 took longer than 30s", hanging("stopped", "dc1")),
		"the stop takes for ever":                                        aborted("the stop of dc1 took longer than 30s", func(b *bundle) { b.world.stopTakes = time.Hour }),
		"the standby's end of WAL can't be read":                         aborted("last record is broken", broken("last record", "dc2")),
		"the order to stop can't be journaled":                           aborted("disk full", refusing("record stop intent", 1)),
		"the intent to promote can't be journaled":                       aborted("disk full", refusing("record promote intent", 1)),
		"the standby loses its stream before the stop":                   {changing("checkpoint dc1", 2, loseStream), approvals.Aborted, "dc1", false, "", "right before the stop dc1 no longer waits for dc2"},
		"the standby loses its stream during the stop":                   {gateShut, approvals.Aborted, "dc1", false, "", "is no shutdown checkpoint"},
		"the gate stays shut and the start fails":                        {all(gateShut, broken("start", "dc1")), approvals.Unknown, "", false, "Start dc1 by hand as it is, as the primary that it was; dc2 was not promoted and must not be.", "start is broken"},
		"the gate stays shut and the hard stop fails":                    {all(gateShut, broken("stop hard", "dc1")), approvals.Unknown, "", false, "Start dc1 by hand", "stop hard is broken"},
		"the gate stays shut and the start isn't seen":                   {all(gateShut, changing("start dc1", 1, func(w *world) { w.unheard["dc1"] = true })), approvals.Unknown, "dc1", false, "Start dc1 by hand", "starting dc1 again took longer than 30s"},
		"what was prepared can't be taken back":                          {all(broken("stop", "dc1"), broken("drop slot", "dc2")), approvals.Aborted, "dc1", true, "Drop slot twokey_dc1 on dc2", "stop is broken"},
		"the old primary can't follow, but rejoins":                      {broken("follow", "dc1"), approvals.Succeeded, "dc2", true, "", "dc1 is its synchronous standby"},
		"the old primary can neither follow nor rejoin":                  {all(broken("follow", "dc1"), broken("rejoin", "dc1")), approvals.Succeeded, "dc2", false, "then ask for `/pg rejoin orders`", "dc1 is not its standby yet"},
		"the promotion is refused":                                       {broken("promote", "dc2"), approvals.Unknown, "", false, "Don't start dc1 as a primary", "promote is broken"},
		"the promotion hangs":                                            {hanging("promote", "dc2"), approvals.Unknown, "", false, "Don't start dc1 as a primary", "the promotion of dc2 took longer than 30s"},
		"the promotion comes a minute late":                              {func(b *bundle) { b.world.promoteTakes = time.Minute }, approvals.Unknown, "dc2", true, "dc2 was told to promote and may still do so", "the promotion of dc2 took longer than 30s"},
		"the promotion is reported as failed":                            {doubting("promote", "dc2"), approvals.Unknown, "dc2", true, "dc2 was told to promote and may still do so", "connection reset"},
		"the probe write fails":                                          {broken("probe", "dc2"), approvals.Unknown, "dc2", true, "compare its timeline history", "probe is broken"},
		"the probe write hangs":                                          {hanging("probe", "dc2"), approvals.Unknown, "dc2", true, "compare its timeline history", "the probe write took longer than 10s"},
		"the timeline's history can't be read":                           {broken("forks", "dc2"), approvals.Unknown, "dc2", true, "compare its timeline history", "its timeline history can't be read"},
		"the lock's session is lost before the stop":                     aborted("the pair's lock is lost", changing("checkpoint dc1", 2, loseLock)),
		"the lock's session is lost before the promotion, and had again": {changing("stop dc1", 1, loseLock), approvals.Succeeded, "dc2", true, "", "dc1 is its synchronous standby"},
		"the lock's session is lost before the promotion, and another bot has it": {all(changing("stop dc1", 1, loseLock), failing("lock", "dc2", 1, actions.ErrLocked)),
			approvals.Unknown, "", false, "Look at the status of orders, and at who else works on it", "another bot holds this pair's lock"},
		"the lock's session is lost while the gate stays shut, and another bot has it": {all(changing("stop dc1", 1, func(w *world) { loseStream(w); loseLock(w) }), failing("lock", "dc2", 1, actions.ErrLocked)),
			approvals.Unknown, "", false, "Look at the status of orders, and at who else works on it", "another bot holds this pair's lock"},
		"the lock's session is lost while the gate stays shut, and had again": {changing("stop dc1", 1, func(w *world) { loseStream(w); loseLock(w) }), approvals.Aborted, "dc1", false, "", "dc2 does not have its shutdown checkpoint"},
		"the gate stays shut and the undo can't be journaled":                 {all(gateShut, refusing("record undo intent", 1)), approvals.Aborted, "dc1", false, "", "dc2 does not have its shutdown checkpoint"},
		"the new timeline forked before the old one's end": {func(b *bundle) {
			b.world.risen = func(s *server) { s.forks[len(s.forks)-1].At -= 0x400 }
		}, approvals.Unknown, "dc2", true, "compare its timeline history", "before the end of the old one"},
		"the promoted node is on no new timeline": {func(b *bundle) {
			b.world.risen = func(s *server) { s.timeline, s.forks = 1, nil }
		}, approvals.Unknown, "dc2", true, "compare its timeline history", "is on timeline 1 after 1"},
		"older data are put in the place of what was promoted": {changing("probe dc2", 1, func(w *world) {
			s := w.server("dc2")
			s.recovery, s.timeline, s.forks, s.wal = true, 1, nil, s.wal[:1]
		}), approvals.Unknown, "", false, "start dc1 by hand as the primary that it was", "dc2, which was out of recovery, is in recovery again"},
		"the old primary's process lingers after its shutdown checkpoint": aborted("the stop of dc1 took longer than 30s", func(b *bundle) { b.world.lingers = time.Hour }),
		"the new primary's checkpoint fails":                              {failing("checkpoint", "dc2", 1, errors.New("no space")), approvals.Succeeded, "dc2", true, "no space", "the guarantee is not back"},
		"the old slot can't be dropped":                                   {broken("drop slot", "dc1"), approvals.Succeeded, "dc2", true, "drop slot is broken", ""},
		"the end is recorded at the third attempt":                        {refusing("finish", 2), approvals.Succeeded, "dc2", true, "", "dc1 is its synchronous standby"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			row.run(t, planned)
		})
	}
}

// doubting lets a call have its effect and fail all the same.
func doubting(call, node string) func(b *bundle) {
	return func(b *bundle) {
		b.world.doubt = func(c, n string) error {
			if c == call && n == node {
				return &actions.Uncertain{Err: errors.New("connection reset")}
			}
			return nil
		}
	}
}

// TestNoStopWithoutItsIntent: what could not be journaled was not done, and
// what was not done is not taken back from a primary that serves.
func TestNoStopWithoutItsIntent(t *testing.T) {
	t.Parallel()
	for _, fault := range []func(*bundle){
		refusing("record stop intent", 1), changing("checkpoint dc1", 2, func(w *world) { w.server("dc2").frozen = true }), broken("checkpoint", "dc1"), broken("stop", "dc1"),
	} {
		inBubble(t, func(b *bundle) {
			planned.begin(b)
			fault(b)
			r := b.awaitEnd(b.start(nil).ask(planned.question).ID)
			b.wantState(r, approvals.Aborted)
			b.wantUntouchedBeforeStop(actions.Point{Op: actions.OpCheckpoint})
			if stopped := b.count("stop dc1"); stopped == 0 && !strings.Contains(r.Why, "Nothing was stopped") && !strings.Contains(r.Why, "stop is broken") {
				b.Errorf("nothing was stopped, and the reason is %q", r.Why)
			}
			if pause := b.world.servers[0].started; !pause.Equal(b.world.servers[1].started) {
				b.Errorf("the primary was started again at %s", pause)
			}
		})
	}
}

// TestForeignLockForeignSlot: an attempt that never held the pair's lock leaves
// alone what the lock's holder has prepared.
func TestForeignLockForeignSlot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		failing("lock", "dc2", 0, actions.ErrLocked)(b)
		o := b.start(nil)
		r := o.open(planned.question)
		o.approve(r, "dba-1")
		b.world.mu.Lock()
		b.world.server("dc2").slots["twokey_dc1"] = true // the other bot's
		b.world.mu.Unlock()
		o.approve(r, "dba-2")
		b.wantState(b.awaitEnd(r.ID), approvals.Aborted)
		if t := b.world.truth(); !slices.Equal(t.spurious, []string{"dc2"}) {
			b.Error("the slot of the bot that holds the lock was dropped")
		}
	})
}

func TestFailoverWithFaultyDrivers(t *testing.T) {
	t.Parallel()
	thawed := func(why string, faults ...func(*bundle)) ported {
		return ported{all(faults...), approvals.Aborted, "", false, "", why}
	}
	for title, row := range map[string]ported{
		"the lock is held by another bot":                  thawed("another bot holds this pair's lock", failing("lock", "dc2", 0, actions.ErrLocked)),
		"the receiver is not shown to be stopped":          thawed("not shown to be stopped", failing("freeze", "dc2", 0, actions.ErrNotFrozen)),
		"the freeze hangs":                                 thawed("the freeze of dc2 took longer than 30s", hanging("freeze", "dc2")),
		"the names can't be set":                           thawed("set names is broken", broken("set names", "dc2")),
		"nobody proves the fence, nobody states it":        thawed("nobody stated it in time", broken("off", "dc1")),
		"replay takes longer than anybody waits":           thawed("replaying what dc2 has received took longer than 30s", replaying(time.Hour)),
		"replay takes a while":                             {replaying(20 * time.Second), approvals.Succeeded, "dc2", true, "", "dc1 is its synchronous standby"},
		"the lock is held for a moment by a bot that died": {atFirst("lock", "dc2", 3, actions.ErrLocked), approvals.Succeeded, "dc2", true, "", "dc1 is its synchronous standby"},
		"the thaw fails":                                   {all(failing("freeze", "dc2", 0, actions.ErrNotFrozen), broken("thaw", "dc2")), approvals.Unknown, "", false, "On dc2: ALTER SYSTEM RESET primary_conninfo and reload", "thaw is broken"},
		"the thaw after the promotion fails":               {broken("thaw", "dc2"), approvals.Succeeded, "dc2", true, "On dc2: ALTER SYSTEM RESET primary_conninfo", ""},
		"the promotion is refused":                         {broken("promote", "dc2"), approvals.Unknown, "", false, "Don't start dc1 as a primary", "promote is broken"},
		"the promotion is reported as failed":              {doubting("promote", "dc2"), approvals.Unknown, "dc2", false, "dc2 was told to promote and may still do so", "connection reset"},
		"the old primary can't rejoin":                     {broken("rejoin", "dc1"), approvals.Succeeded, "dc2", false, "then ask for `/pg rejoin orders`", "dc1 is not its standby yet"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			row.run(t, disastre)
		})
	}
}
