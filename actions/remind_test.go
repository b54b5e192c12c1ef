package actions_test

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// reminders counts the events that call for those who have not voted.
func (b *bundle) reminders() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	n := 0
	for _, e := range b.ledger.events {
		if e.Kind == approvals.Reminder {
			n++
		}
	}
	return n
}

func TestWhoHasNotVotedIsRemindedOnce(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		remind   time.Duration
		vote     bool
		decide   bool
		restart  bool
		want     int
		wantWait string
	}{
		"nobody has voted":              {time.Minute, false, false, false, 1, "dba-1, dba-2, manager"},
		"one has voted":                 {time.Minute, true, false, false, 1, "dba-2, manager"},
		"the bot was restarted in that": {time.Minute, true, false, true, 1, "dba-2, manager"},
		"it was decided before":         {time.Minute, true, true, false, 0, "dba-2, manager"},
		"never, by the policy":          {0, true, false, false, 0, "dba-2, manager"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bundle) {
				b.policy.Remind, b.policy.Expiry = row.remind, 6*time.Minute
				settleIn()
				o := b.start(nil)
				r := o.open(actions.Question{})
				if row.vote {
					r = o.approve(r, "dba-1")
				}
				if row.decide {
					_, err := o.desk.Deny(b.Context(), r.ID, ballot(r, "manager"))
					b.must(err)
				}
				<-time.After(290 * time.Second)
				if n := b.reminders(); n != 0 {
					b.Errorf("%d reminders long before the expiry", n)
				}
				<-time.After(30 * time.Second)
				if row.restart {
					o.end()
					b.start(nil)
				}
				<-time.After(30 * time.Second)
				if n := b.reminders(); n != row.want {
					b.Errorf("%d reminders, want %d", n, row.want)
				}
				r = b.request(r.ID)
				var waiting []string
				for _, who := range r.Waiting() {
					waiting = append(waiting, string(who))
				}
				if got := strings.Join(waiting, ", "); got != row.wantWait {
					b.Errorf("waiting for %s, want %s", got, row.wantWait)
				}
				<-time.After(20 * time.Second)
				if n := b.reminders(); n != row.want {
					b.Errorf("%d reminders after the expiry", n)
				}
			})
		})
	}
}
