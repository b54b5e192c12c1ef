package actions_test

import (
	"slices"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

// noted is the timeline of the note with a node, 0 without one.
func (b *bundle) noted(node string) uint32 {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	return b.world.server(node).alone
}

// TestNoteToBeAlone: it is there as soon as the new primary has taken writes
// alone, and gone before commits wait for the old one again.
func TestNoteToBeAlone(t *testing.T) {
	t.Parallel()
	for _, s := range []story{alone, disastre} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				seen := map[actions.Op]uint32{}
				s.begin(b)
				o := b.start(func(_ *bot, p actions.Point) error {
					if p.After {
						seen[p.Op] = b.noted("dc2")
					}
					return nil
				})
				b.wantState(b.awaitEnd(o.ask(s.question).ID), approvals.Succeeded)
				for op, want := range map[actions.Op]uint32{
					actions.OpConfirm: 0, actions.OpAlone: 2, actions.OpSettleDisk: 2, actions.OpTogether: 0, actions.OpTidy: 0,
				} {
					if got, passed := seen[op]; !passed || got != want {
						b.Errorf("after %s the note is about timeline %d (passed by: %t), want %d", op, got, passed, want)
					}
				}
				b.wantOrder("note alone dc2", "forget alone dc2", "set names dc2")
			})
		})
	}
}

// wantOrder: the last of each of these calls, in this order.
func (b *bundle) wantOrder(calls ...string) {
	b.Helper()
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	last := -1
	for _, call := range calls {
		at := len(b.world.calls) - 1
		for at >= 0 && b.world.calls[at] != call {
			at--
		}
		if at <= last {
			b.Errorf("%q came at %d, after %d: %q", call, at, last, b.world.calls)
		}
		last = at
	}
}

// TestNobodyIsNotedAloneUnderBlock, for commits wait from the first one on.
func TestNobodyIsNotedAloneUnderBlock(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		planned.begin(b)
		b.wantState(b.awaitEnd(b.start(nil).ask(planned.question).ID), approvals.Succeeded)
		if n := b.count("note alone dc2"); n != 0 {
			b.Errorf("noted %d times", n)
		}
	})
}

// TestNoteThatCantBeTakenAwayKeepsTheOldPrimaryOut: commits don't wait for it,
// so that nobody can take it for one that has everything.
func TestNoteThatCantBeTakenAwayKeepsTheOldPrimaryOut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		disastre.begin(b)
		b.world.hook.Lock()
		b.world.fault = func(call, _ string) error {
			if call == "forget alone" {
				return errInjected
			}
			return nil
		}
		b.world.hook.Unlock()
		r := b.awaitEnd(b.start(nil).ask(disastre.question).ID)
		b.wantState(r, approvals.Succeeded)
		b.wantTodo(b.outcome(r))
		if truth := b.wantServing("dc2"); truth.whole {
			b.Error("commits wait for dc1 although dc2 may start without it")
		}
		if got := b.noted("dc2"); got != 2 {
			b.Errorf("the note is about timeline %d", got)
		}
	})
}

// TestNoteOfAnEarlierFailoverGoesWithTheRejoin that makes it good.
func TestNoteOfAnEarlierFailoverGoesWithTheRejoin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		rejoin.begin(b)
		b.world.mu.Lock()
		b.world.server("dc1").alone = 1
		b.world.mu.Unlock()
		b.wantState(b.awaitEnd(b.start(nil).ask(rejoin.question).ID), approvals.Succeeded)
		b.wantOrder("forget alone dc1", "set names dc1")
		if got := b.noted("dc1"); got != 0 {
			b.Errorf("the note is still there, about timeline %d", got)
		}
	})
}

// TestNodeWithoutADriverGetsNoNote, and the failover ends all the same.
func TestNodeWithoutADriverGetsNoNote(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.unled["dc2"] = true
		disastre.begin(b)
		r := b.awaitEnd(b.start(nil).ask(disastre.question).ID)
		b.wantState(r, approvals.Succeeded)
		told := slices.ContainsFunc(b.entries(r.ID), func(e actions.Entry) bool {
			return e.Op == actions.OpAlone && e.Text == "no driver keeps notes on dc2"
		})
		if !told {
			b.Error("the journal doesn't say that no note was left")
		}
	})
}
