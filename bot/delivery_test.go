package bot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot/slacksim"
)

func alert(pair string) approvals.Event {
	data := fmt.Sprintf(`{"pair":%q,"health":"writes block","was":"synchronous","severity":3,"text":"The standby is away.","since":"2026-03-14T12:00:00Z"}`, pair)
	return approvals.Event{At: noon, Subject: approvals.PairSubject(pair), Kind: "alert", Data: json.RawMessage(data)}
}

// calls counts the requests to a method so far.
func (b *bundle) calls(method string) int { return b.Snapshot().Calls(method) }

func TestAnUncertainPostIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{
		"the answer is lost":             slacksim.Lost().Times(1),
		"the answer is lost three times": slacksim.Lost().Times(3),
		"the connection breaks":          slacksim.Down().Times(2),
		"the answer is a web page":       slacksim.Garbage().Times(2),
		"Slack has an internal error":    slacksim.Error("internal_error").Times(2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.Fail("chat.postMessage", f)
			b.say(oncall, "failover -- because")
			b.message("0 of 2 approvals")
			b.store.Append(alert("orders"))
			b.message("orders: writes block")
			b.settled()
			if r, a := b.messages("0 of 2 approvals"), b.messages("writes block"); r != 1 || a != 1 {
				t.Errorf("%d requests and %d alerts in the channel:\n%s", r, a, b.Transcript())
			}
		})
	}
}

func TestAMessagePostedRightBeforeTheBotWasKilledIsFound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail("chat.postMessage", slacksim.Lost())
	b.Fail("conversations.history", slacksim.Down())
	b.store.Append(alert("orders"))
	b.message("orders: writes block")
	b.stop()
	if b.store.cursor() != 0 {
		t.Fatal("the cursor passed an event whose delivery isn't known")
	}
	b.Heal(slacksim.Any)
	b.startBot()
	b.settled()
	if n := b.messages("writes block"); n != 1 {
		t.Errorf("%d alerts:\n%s", n, b.Transcript())
	}
}

func TestARestartRepeatsNothingAndForgetsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.store.Append(alert("orders"))
	b.message("writes block")
	b.settled()
	b.stop()
	posts := b.calls("chat.postMessage")
	b.must(b.desk.change(b.ctx, b.asked().ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Approve(approvals.Ballot{Person: "dba-1", At: time.Now(), Digest: r.Digest().Short(), Place: r.Place}, b.desk.policy)
	}))
	b.startBot()
	b.await("the update", func(s *slacksim.Snapshot) bool {
		return s.Messages(ops)[0].TS == m.TS && strings.Contains(s.Messages(ops)[0].Text, "1 of 2 approvals")
	})
	b.settled()
	if n := b.calls("chat.postMessage"); n != posts {
		t.Errorf("%d posts instead of %d:\n%s", n, posts, b.Transcript())
	}
}

func TestADeletedRequestIsPostedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.must(b.DeleteMessage(ops, m.TS))
	again := b.message("0 of 2 approvals")
	if again.TS == m.TS {
		t.Fatal("it is still there")
	}
	b.settled()
	b.press(dba1, again.TS, "approve")
	b.message("1 of 2 approvals")
}

func TestARequestDeletedWhileNobodyRanIsPostedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.stop()
	b.must(b.DeleteMessage(ops, m.TS))
	b.startBot()
	b.message("0 of 2 approvals")
}

func TestAVoteCountsWhileSlackIsDown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.Fail(slacksim.Any, slacksim.Down())
	b.press(dba1, m.TS, "approve")
	b.until("the vote to count", func() bool { return b.asked().State == approvals.Partial })
	b.Heal(slacksim.Any)
	b.message("1 of 2 approvals")
}

func TestAMessageThatSlackRefusesIsSentSimpler(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail("chat.postMessage", slacksim.Error("msg_blocks_too_long").Times(1))
	b.say(oncall, "failover")
	m := b.message("0 of 2 approvals")
	if len(m.Buttons()) != 4 || strings.Contains(string(m.Blocks), "promote dc2") {
		t.Errorf("the short form has %d buttons and these blocks: %s", len(m.Buttons()), m.Blocks)
	}
	b.Fail("chat.postMessage", slacksim.Error("invalid_blocks").Times(2))
	b.store.Append(alert("orders"))
	if m := b.message("writes block"); len(m.Blocks) > 4 {
		t.Errorf("the plain form has blocks: %s", m.Blocks)
	}
	if !strings.Contains(b.logs.String(), "code=msg_blocks_too_long") {
		t.Errorf("no useful line in the log:\n%s", b.logs)
	}
}

func TestWhatCannotBeDeliveredStopsNothingElse(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.Fail("chat.postMessage", slacksim.Error("message_is_cursed"))
	b.store.Append(alert("orders"))
	b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
	b.settled() // the alert was given up
	if !strings.Contains(b.logs.String(), "a message is given up") {
		t.Errorf("log:\n%s", b.logs)
	}
	b.Heal(slacksim.Any)
	b.store.Append(alert("billing"))
	b.message("billing: writes block")
}

func TestABotThatIsNotInTheChannelSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code, remedy string
	}{
		"not in the channel":   {"not_in_channel", "invite the bot"},
		"a wrong channel":      {"channel_not_found", "channel's id"},
		"a token that is void": {"token_revoked", "reinstall the app"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.bot.Pace.GiveUp = time.Hour })
			b.Fail("chat.postMessage", slacksim.Error(c.code))
			b.store.Append(alert("orders"))
			b.logged(c.remedy)
			if _, answer := b.get("/readyz"); !strings.Contains(answer, c.code) {
				t.Errorf("readyz says %s", answer)
			}
			b.Heal(slacksim.Any)
			b.message("writes block")
			b.settled()
			if _, answer := b.get("/readyz"); strings.Contains(answer, c.code) {
				t.Errorf("readyz still says %s", answer)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail("chat.postMessage", slacksim.RateLimit(time.Second).Times(1))
	b.store.Append(alert("orders"), alert("billing"))
	b.message("billing: writes block")
	b.settled() // the call is listed once it was answered
	var at []time.Time
	for _, c := range b.Calls() {
		if c.Method == "chat.postMessage" {
			at = append(at, c.At)
		}
	}
	if len(at) != 3 || at[1].Sub(at[0]) < time.Second {
		t.Errorf("posts at %v", at)
	}
}

func TestNewsComeInOrder(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for i := range 12 {
		b.store.Append(alert(fmt.Sprintf("pair-%02d", i)))
	}
	b.message("pair-11")
	var got []string
	for _, m := range b.Messages(ops) {
		got = append(got, strings.Fields(m.Text)[1])
	}
	for i, name := range got {
		if want := fmt.Sprintf("pair-%02d:", i); name != want {
			t.Fatalf("position %d is %s: %v", i, name, got)
		}
	}
}

func TestManyStepsBecomeFewUpdates(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.bot.Pace.StepEvery = 200 * time.Millisecond })
	r := b.approved()
	b.must(b.desk.claim(b.ctx, r.ID))
	b.settled()
	before, started := b.calls("chat.update"), time.Now()
	for i := range 300 {
		b.store.record(r.ID, actions.Entry{At: time.Now(), Op: actions.OpRejoin, Node: "dc1", Phase: actions.Note, Text: fmt.Sprintf("%d MiB copied", i)})
	}
	b.message("299 MiB copied")
	allowed := 2 + int(time.Since(started)/(200*time.Millisecond))
	if n := b.calls("chat.update") - before; n > allowed {
		t.Errorf("%d updates for 300 steps, %d allowed", n, allowed)
	}
}

func TestTheRatesOfSlackAreKept(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) {
		s.sim.RateLimits = true
		s.bot.Pace.PostEvery = time.Second
	})
	for i := range 5 {
		b.store.Append(alert(fmt.Sprintf("pair-%d", i)))
	}
	b.message("pair-4")
	for _, c := range b.Calls() {
		if c.Status == 429 {
			t.Errorf("%s was limited", c.Method)
		}
	}
}

func TestAStoreThatFailsForAWhileLosesNoMessage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.store.Append(alert("orders"))
	b.message("orders: writes block")
	b.store.breakWith(fmt.Errorf("disk full"))
	b.store.Append(alert("billing"))
	b.logged("disk full")
	b.store.breakWith(nil)
	b.message("billing: writes block")
	b.settled()
	if n := b.messages("billing"); n != 1 {
		t.Errorf("%d messages:\n%s", n, b.Transcript())
	}
}
