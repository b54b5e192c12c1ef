package bot_test

import (
	"strings"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
)

// remind appends what the desk does when it is time.
func (b *bundle) remind(id string) {
	b.t.Helper()
	b.must(b.desk.change(b.ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Remind(time.Now(), 24*time.Hour)
	}))
}

func TestWhoHasNotVotedIsRemindedInTheThread(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
	b.remind(b.asked().ID)
	r := b.message("still needs 1 approval")
	if r.ThreadTS != m.TS || !r.Broadcast {
		t.Errorf("the reminder is in thread %q (broadcast %t)", r.ThreadTS, r.Broadcast)
	}
	for _, want := range []string{"<@" + dba2 + ">", "<@" + manager + ">", "in 15 min"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("the reminder lacks %q:\n%s", want, r.Text)
		}
	}
	if strings.Contains(r.Text, "<@"+dba1+">") {
		t.Errorf("somebody who has voted is called:\n%s", r.Text)
	}
}

func TestNobodyIsRemindedOfWhatIsDecided(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail("chat.postMessage", slacksim.RateLimit(time.Second).Times(1))
	b.say(oncall, "failover orders -- kernel upgrade")
	b.until("the request", func() bool { open, err := b.store.Open(b.ctx); return err == nil && len(open) == 1 })
	id := b.asked().ID
	b.remind(id)
	b.say(oncall, "cancel")
	b.settled()
	if n := b.messages("still needs"); n != 0 {
		t.Errorf("%d reminders:\n%s", n, b.Transcript())
	}
}

func TestReminderReads(t *testing.T) {
	t.Parallel()
	s := newTale(t, switchoverPlan()).approve("dba-2")
	s.scene.Now = noon.Add(5 * time.Minute)
	goldenOf(t, "reminder", s.scene.Request, bot.RenderReminder(s.scene))
}

// TestTimeLeft: rounded up, and said anew when it would be said otherwise.
func TestTimeLeft(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		25*time.Hour + time.Second: "26 h, then 25h0m0s", 2*time.Hour + time.Minute: "3 h, then 2h0m0s", 2 * time.Hour: "2 h, then 1h55m0s", 61 * time.Minute: "65 min, then 1h0m0s",
		15 * time.Minute: "15 min, then 10m0s", 14 * time.Minute: "15 min, then 10m0s", 10 * time.Minute: "10 min, then 9m0s", 61 * time.Second: "2 min, then 1m0s",
		30 * time.Second: "1 min, then 0s", 0: ", then", -time.Second: ", then",
	} {
		words, next := bot.Left(noon, noon.Add(left))
		got := words + ", then"
		if !next.IsZero() {
			got += " " + noon.Add(left).Sub(next).String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", left, got, want)
		}
		for range 200 { // it comes to an end
			if next.IsZero() {
				break
			}
			if _, next = bot.Left(next, noon.Add(left)); next.After(noon.Add(left)) {
				t.Fatalf("%s: said anew after its end", left)
			}
		}
		if !next.IsZero() {
			t.Errorf("%s: never ends", left)
		}
	}
}

// TestTheExpiryIsShownLive: the message counts down without anybody doing anything.
func TestTheExpiryIsShownLive(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.expiry = 10*time.Minute + 2*time.Second })
	b.ask()
	b.message("15 min left")
	b.message("10 min left")
	if n := len(b.Messages(ops)); n != 1 {
		t.Errorf("%d messages", n)
	}
}
