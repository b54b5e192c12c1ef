package actions_test

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// TestProgressOfABaseBackupIsNoted: while the old primary is copied anew people
// see how far it is, more seldom the longer it takes, and not after its end.
func TestProgressOfABaseBackupIsNoted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		settleIn()
		b.mustVerify(o)
		b.world.crash("dc1")
		b.world.copyTakes = 10 * time.Minute
		r := b.awaitEnd(o.ask(actions.Question{}).ID)
		b.wantState(r, approvals.Succeeded)
		var notes []string
		done := false
		for _, e := range b.entries(r.ID) {
			done = done || e.Op == actions.OpRejoin && e.Phase == actions.Done
			if e.Phase == actions.Note && strings.HasPrefix(e.Text, "base backup: streaming, ") {
				notes = append(notes, e.Text)
				if e.Op != actions.OpRejoin || done {
					b.Errorf("noted at %s of %s, after its end: %t", e.Op, e.Node, done)
				}
			}
		}
		if len(notes) < 30 || len(notes) > 70 || notes[0] != "base backup: streaming, 0 s of 600 s" {
			b.Errorf("%d notes in ten minutes: %q", len(notes), notes)
		}
	})
}
