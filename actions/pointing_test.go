package actions_test

import (
	"strings"
	"testing"

	"twokey/approvals"
)

// ledTo makes clients be led there.
func (b *bundle) ledTo(node string) {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.world.leads = node
}

// A new pair's clients are led nowhere until somebody has them led to the primary,
// which is seen and never told.
func TestClientsArePointedAtThePrimaryThatIsSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		for _, before := range []string{"", "dc2", "dc1"} {
			b.ledTo(before)
			node, err := o.desk.PointClients(b.Context(), "orders")
			if err != nil || node != "dc1" {
				b.Errorf("from %q: %q, %v", before, node, err)
			}
			b.wantLedTo("dc1")
		}
	})
}

// Where there is no primary to be seen, or somebody works on the pair, nothing is
// changed.
func TestPointingIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		o := b.start(nil)
		b.ledTo("dc2")
		other := b.prepare(nil)
		session, err := b.hands(other.being).Databases["dc1"].Lock(b.Context(), b.pair.LockKey())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := o.desk.PointClients(b.Context(), "orders"); approvals.Refused(err) == "" || !strings.Contains(err.Error(), "Somebody else works on orders") {
			b.Errorf("somebody else: %v", err)
		}
		session.Close()
		if _, err := o.desk.PointClients(b.Context(), "nowhere"); approvals.Refused(err) == "" {
			b.Errorf("another pair: %v", err)
		}
		b.world.crash("dc1")
		if _, err := o.desk.PointClients(b.Context(), "orders"); approvals.Refused(err) == "" || !strings.Contains(err.Error(), "no one primary") {
			b.Errorf("no primary: %v", err)
		}
		b.wantLedTo("dc2")
	})
}
