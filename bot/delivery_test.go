package bot_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot/slacksim"
)

func alert(pair string) approvals.Event {
	data := fmt.Sprintf(`{"pair":%q,"health":"writes block","was":"synchronous","severity":3,"text":"The standby is away.","since":"2026-03-14T12:00:00Z"}`, pair)
	return approvals.Event{At: time.Now(), Subject: approvals.PairSubject(pair), Kind: "alert", Data: json.RawMessage(data)}
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

func TestADeletedQuestionIsPostedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.approved()
	b.must(b.desk.claim(b.ctx, r.ID))
	b.must(b.desk.hold(b.ctx, r.ID))
	call := b.message("One of:")
	b.settled()
	b.must(b.DeleteMessage(ops, call.TS))
	again := b.message("One of:")
	if again.TS == call.TS {
		t.Fatal("it is still there")
	}
	b.settled()
	b.press(dba2, again.TS, "refuse")
	b.message("dba-2 refused at")
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

// stale makes news of an hour ago.
func stale(e approvals.Event) approvals.Event {
	e.At = time.Now().Add(-time.Hour)
	return e
}

func recovered(pair string) approvals.Event {
	e := alert(pair)
	e.Kind = "recovered"
	return e
}

func TestAnOutageIsFollowedByOneMessageAndNotByAPage(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{
		"surely not sent": slacksim.Error("not_in_channel"), "perhaps sent": slacksim.Garbage(), "sent, and the answer lost": slacksim.Lost().Times(3),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.Fail("chat.postMessage", f)
			for i := range 40 {
				b.store.Append(stale(alert(fmt.Sprintf("pair-%02d", i))), stale(recovered(fmt.Sprintf("pair-%02d", i))))
			}
			b.store.Append(alert("orders"))
			b.until("Slack to fail", func() bool { return b.calls("chat.postMessage") > 0 })
			b.Heal(slacksim.Any)
			m := b.message("Told late: ")
			b.message("orders: writes block")
			b.settled()
			if n := len(b.Messages(ops)); n > 5 {
				t.Errorf("%d messages in the channel:\n%s", n, b.Transcript())
			}
			for _, want := range []string{"pair-39", "synchronous", "earlier ones", "audit entries"} {
				if !strings.Contains(b.Plain(m), want) && !strings.Contains(b.Transcript(), want) {
					t.Errorf("it doesn't tell %q:\n%s", want, b.Plain(m))
				}
			}
		})
	}
}

// TestTheEndOfAnOutageIsNoticed: the first answer of Slack lets everything go,
// however long it would have waited by itself.
func TestTheEndOfAnOutageIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.bot.Pace.RetryFirst, s.bot.Pace.RetryMost = time.Hour, time.Hour })
	b.Fail("chat.postMessage", slacksim.Down())
	for _, pair := range []string{"billing", "orders", "stock"} {
		b.store.Append(alert(pair))
	}
	b.until("each to be tried", func() bool { return b.calls("chat.postMessage") == 3 })
	b.Heal(slacksim.Any)
	b.store.Append(alert("users"))
	for _, pair := range []string{"users", "billing", "orders", "stock"} {
		b.message(pair + ": writes block")
	}
}

func TestAnOldAlertAloneIsTold(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.store.Append(stale(alert("orders")))
	b.message("orders: writes block")
	b.settled()
	if n := len(b.Messages(ops)); n != 1 {
		t.Errorf("%d messages:\n%s", n, b.Transcript())
	}
}

func TestARequestThatEndedDuringAnOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{"surely not sent": slacksim.Error("channel_not_found"), "perhaps sent": slacksim.Garbage()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.Fail("chat.postMessage", f)
			b.say(oncall, "failover orders -- kernel upgrade")
			b.until("a try", func() bool { return b.calls("chat.postMessage") > 0 })
			b.must(b.desk.change(b.ctx, b.asked().ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
				return r.Expire(time.Now().Add(time.Hour))
			}))
			b.Heal(slacksim.Any)
			b.message("orders: expired")
			b.settled()
			if n := len(b.Messages(ops)); n != 1 {
				t.Errorf("%d messages:\n%s", n, b.Transcript())
			}
		})
	}
}

// TestOneSearchSettlesAllUncertainPosts: after an outage each message may be
// there or not; looking for each by itself would use up the history's rate.
func TestOneSearchSettlesAllUncertainPosts(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail("chat.postMessage", slacksim.Lost())
	b.Fail("conversations.history", slacksim.Down())
	for i := range 20 {
		b.store.Append(alert(fmt.Sprintf("pair-%02d", i)))
	}
	b.message("pair-19")
	b.Heal(slacksim.Any)
	before := b.calls("conversations.history")
	b.settled()
	if n := b.calls("conversations.history") - before; n > 12 {
		t.Errorf("%d searches for 20 messages", n)
	}
	if n := len(b.Messages(ops)); n != 20 {
		t.Errorf("%d messages:\n%s", n, b.Transcript())
	}
}

// TestNothingIsGivenUpWhileNothingGetsThrough: who reinstalls the app in the
// morning finds the night's messages.
func TestNothingIsGivenUpWhileNothingGetsThrough(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"token_revoked", "not_in_channel", "channel_not_found", "is_archived", "missing_scope"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.bot.Pace.GiveUp = time.Millisecond })
			b.Fail("chat.postMessage", slacksim.Error(code))
			b.store.Append(alert("orders"), alert("billing"))
			b.until("several tries", func() bool { return b.calls("chat.postMessage") >= 3 })
			b.Heal(slacksim.Any)
			b.message("orders: writes block")
			b.message("billing: writes block")
			b.settled()
			if n := strings.Count(b.logs.String(), "slack takes no messages"); n != 1 {
				t.Errorf("the log says so %d times", n)
			}
		})
	}
}

func TestTheRequesterIsToldThatApproversSeeNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.must(b.LeaveChannel(slacksim.BotUserID, ops))
	b.store.Append(alert("orders"))
	b.until("the trouble to be known", func() bool { _, answer := b.get("/readyz"); return strings.Contains(answer, "not_in_channel") })
	b.say(oncall, "failover -- dc1 is on fire")
	m := b.whisper(oncall, "The approvers can't see it yet")
	if !strings.Contains(m.Text, "invite the bot to the channel") {
		t.Errorf("it says %s", m.Text)
	}
	b.must(b.JoinChannel(slacksim.BotUserID, ops))
	b.message("0 of 2 approvals")
}

// TestUpdatesStayWithinTheWorkspacesBudget: many executions at once share it,
// and what people wait for doesn't wait behind progress.
func TestUpdatesStayWithinTheWorkspacesBudget(t *testing.T) {
	t.Parallel()
	const every = 100 * time.Millisecond
	names := []string{"orders", "billing", "stock", "users", "mail", "search", "audit", "cart"}
	b := newBundle(t, func(s *setup) {
		s.bot.Pace.UpdateEvery = every
		s.pairs = nil
		for _, name := range names {
			p := ordersPair()
			p.Name = name
			s.pairs = append(s.pairs, p)
		}
	})
	for _, name := range names {
		b.say(oncall, "failover "+name)
		b.message("Switchover of " + name + ": 0 of 2 approvals")
	}
	b.settled()
	began, before := time.Now(), b.calls("chat.update")
	b.store.mu.Lock()
	ids := slices.Clone(b.store.order)
	b.store.mu.Unlock()
	for _, id := range ids[1:] {
		b.executing(id)
		for i := range 100 {
			b.store.record(id, actions.Entry{At: time.Now(), Op: actions.OpRejoin, Node: "dc1", Phase: actions.Note, Text: fmt.Sprintf("%d MiB copied", i)})
		}
	}
	m := b.message("Switchover of orders")
	b.press(dba1, m.TS, "approve")
	b.message("orders: 1 of 2 approvals")
	if n := b.messages("99 MiB copied"); n == len(names)-1 {
		t.Log("all progress was shown before the vote") // a slow machine: nothing to tell
	}
	b.settled()
	b.await("the last progress of all", func(*slacksim.Snapshot) bool { return b.messages("99 MiB copied") == len(names)-1 })
	if n, most := b.calls("chat.update")-before, 5+1+int(time.Since(began)/every); n > most {
		t.Errorf("%d updates, %d are in the budget", n, most)
	}
}

// executing moves a request to its execution.
func (b *bundle) executing(id string) {
	b.t.Helper()
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		b.must(b.desk.change(b.ctx, id, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
			return r.Approve(approvals.Ballot{Person: who, At: time.Now(), Digest: r.Digest().Short(), Place: r.Place}, b.desk.policy)
		}))
	}
	b.must(b.desk.claim(b.ctx, id))
}

func TestAnAnswerIsTriedAgainWhenSlackLimitsIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail(slacksim.ResponseURLs, slacksim.RateLimit(time.Second).Times(1))
	b.say(oncall, "status")
	if m := b.message("orders: synchronous"); m.From != slacksim.ResponseURLs {
		t.Errorf("it came by %s", m.From)
	}
}

func TestAnAnswerThatSlackRefusesIsSentSimpler(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail(slacksim.ResponseURLs, slacksim.Error("invalid_blocks").Times(2))
	b.say(oncall, "status")
	if m := b.message("orders: synchronous"); m.From != slacksim.ResponseURLs || len(m.Blocks) > 0 {
		t.Errorf("it came by %s with %s", m.From, m.Blocks)
	}
}

// TestWhateverSlackDoesEachMessageIsThereOnce draws failures while news come,
// and looks at what is there in the end.
func TestWhateverSlackDoesEachMessageIsThereOnce(t *testing.T) {
	t.Parallel()
	failures := []slacksim.Failure{
		slacksim.Down(), slacksim.Garbage(), slacksim.Lost(), slacksim.Error("internal_error"), slacksim.Error("ratelimited"),
		slacksim.Error("not_in_channel"), slacksim.Error("token_revoked"), slacksim.Slow(5 * time.Millisecond),
	}
	checks := 0 // fewer than usual, for each makes a workspace; -rapid.checks=400 for a long look
	methods := []string{"chat.postMessage", "chat.postMessage", "chat.update", "conversations.history", slacksim.Any}
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > 20 && flag.Lookup("rapid.checks").Value.String() == "100" {
			return
		}
		b := newBundle(t)
		m := b.ask()
		news := rapid.IntRange(1, 6).Draw(rt, "news")
		for i := range news {
			f := rapid.SampledFrom(failures).Draw(rt, "failure").Times(rapid.IntRange(1, 4).Draw(rt, "times"))
			b.Fail(rapid.SampledFrom(methods).Draw(rt, "method"), f)
			e := alert(fmt.Sprintf("pair-%02d", i))
			e.Subject = approvals.PairSubject(string(rune('a' + i%2)))
			b.store.Append(e)
			if rapid.Bool().Draw(rt, "restart") {
				b.stop()
				b.startBot()
			}
		}
		b.Heal(slacksim.Any)
		b.press(dba1, m.TS, "approve")
		b.message("1 of 2 approvals")
		b.settled()
		var got [2][]string // by subject
		for _, m := range b.Messages(ops)[1:] {
			var i int
			if _, err := fmt.Sscanf(m.Text, "🚨 pair-%d:", &i); err != nil {
				rt.Fatalf("%v in %s", err, m.Text)
			}
			got[i%2] = append(got[i%2], strconv.Itoa(i))
		}
		var want [2][]string
		for i := range news {
			want[i%2] = append(want[i%2], strconv.Itoa(i))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("told (want -, got +):\n%s\n%s\nlog:\n%s", diff, b.Transcript(), b.logs)
		}
		b.stop()
		b.must(b.Close())
	})
}
