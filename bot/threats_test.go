package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

// forged is a press as somebody could sign it who has the signing secret, or
// as another app of the workspace would send it.
type forged struct {
	team, user, userTeam, app, channel, message, action, value, trigger string
}

func (b *bundle) genuinePress(m slacksim.Message, user, action string) forged {
	value := ""
	for _, btn := range m.Buttons() {
		if btn.ActionID == action {
			value = btn.Value
		}
	}
	if value == "" {
		b.t.Fatalf("no button %s in:\n%s", action, m.Text)
	}
	return forged{team: team, user: user, userTeam: team, app: slacksim.AppID, channel: ops, message: m.TS, action: action, value: value, trigger: "forged-" + user + action}
}

func (b *bundle) sendPress(f forged) {
	b.t.Helper()
	payload, err := json.Marshal(map[string]any{
		"type": "block_actions", "trigger_id": f.trigger, "api_app_id": f.app, "team": map[string]any{"id": f.team},
		"user": map[string]any{"id": f.user, "team_id": f.userTeam}, "channel": map[string]any{"id": f.channel},
		"container": map[string]any{"type": "message", "message_ts": f.message, "channel_id": f.channel},
		"actions":   []any{map[string]any{"action_id": f.action, "value": f.value, "action_ts": "1.1", "type": "button"}},
	})
	b.must(err)
	if d, err := b.Deliver(b.ctx, "interaction", json.RawMessage(payload)); err != nil || !d.Acknowledged() || len(d.Response) != 0 {
		b.t.Fatalf("%v: %s %s", err, d, d.Response)
	}
}

// untouched demands that a request has no vote.
func (b *bundle) untouched() {
	b.t.Helper()
	if r := b.asked(); r.State != approvals.Pending || len(r.Votes) != 0 {
		b.t.Errorf("the request is %s with votes %+v", r.State, r.Votes)
	}
}

func TestThreatReplayedRequestInsideFiveMinutes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d := b.say(oncall, "insert-test")
	b.message("test row 42")
	for range 3 {
		b.Replay(b.ctx, d)    // the same bytes
		b.Redeliver(b.ctx, d) // the same trigger, signed anew
	}
	b.stop()
	b.startBot() // what is in memory is gone, what is stored isn't
	b.Replay(b.ctx, d)
	b.Redeliver(b.ctx, d)
	m := b.ask()
	press := b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
	b.Replay(b.ctx, press)
	b.Redeliver(b.ctx, press)
	b.stop()
	if n := b.store.count("test-row"); n != 1 {
		t.Errorf("%d test rows from one command", n)
	}
	if n := b.store.count("approve"); n != 1 {
		t.Errorf("%d votes from one press", n)
	}
}

func TestThreatAnInterruptedDeliveryIsNotLostWithItsCopy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.setDelay(func(context.Context) error { return errors.New("killed in the middle") })
	d := b.say(oncall, "insert-test")
	b.whisper(oncall, "incident")
	b.stop()
	b.desk.setDelay(nil)
	b.startBot()
	b.Redeliver(b.ctx, d)
	b.message("test row 42")
}

func TestThreatFutureDatedTimestamp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if status, _ := b.post("/slack/commands", b.SigningSecret(), time.Now().Add(6*time.Minute), commandForm("insert-test")); status != http.StatusUnauthorized {
		t.Errorf("taken: %d", status)
	}
}

func TestThreatClockJump(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	shift := time.Duration(0)
	b := newBundle(t, func(s *setup) {
		s.bot.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(shift)
		}
	})
	body := commandForm("insert-test")
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		mu.Lock()
		shift = jump
		mu.Unlock()
		if status, _ := b.post("/slack/commands", b.SigningSecret(), time.Now(), body); status != http.StatusUnauthorized {
			t.Errorf("with the clock %s off a request was taken: %d", jump, status)
		}
	}
	mu.Lock()
	shift = 0
	mu.Unlock()
	b.say(oncall, "status")
	b.message("orders: synchronous") // and deliveries go on
}

func TestThreatForgedOrUnsignedBody(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	body := commandForm("insert-test")
	h := slacksim.Sign(b.SigningSecret(), time.Now(), body)
	if status, answer := b.send("/slack/commands", h, []byte(strings.Replace(string(body), "insert-test", "cancel", 1))); status != http.StatusUnauthorized || answer != "" {
		t.Errorf("a changed body: %d %q", status, answer)
	}
	if status, answer := b.send("/slack/commands", http.Header{}, body); status != http.StatusUnauthorized || answer != "" {
		t.Errorf("no signature: %d %q", status, answer)
	}
	if strings.Contains(b.logs.String(), h.Get("X-Slack-Signature")) {
		t.Error("the log holds a right signature")
	}
}

func TestThreatPayloadInTheQueryString(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	f := b.genuinePress(m, dba1, "approve")
	payload := `{"type":"block_actions","team":{"id":"` + team + `"},"user":{"id":"` + dba1 + `"},"channel":{"id":"` + ops + `"},"container":{"type":"message","message_ts":"` + m.TS + `"},"actions":[{"action_id":"approve","value":"` + f.value + `"}]}`
	query := url.Values{"payload": {payload}}.Encode()
	if status, _ := b.post("/slack/interactions?"+query, b.SigningSecret(), time.Now(), []byte("x=1")); status != http.StatusBadRequest {
		t.Errorf("%d", status)
	}
	form := url.Values{"text": {"insert-test"}, "team_id": {team}, "channel_id": {ops}, "user_id": {oncall}}.Encode()
	if status, _ := b.post("/slack/commands?"+form, b.SigningSecret(), time.Now(), nil); status != http.StatusBadRequest {
		t.Errorf("%d", status)
	}
	b.stop()
	b.untouched()
}

func TestThreatButtonOfAnotherChannelAppMessageTeamOrPair(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*forged)
		told   string
	}{
		"another channel": {func(f *forged) { f.channel = "C0LOUNGE01" }, ""}, // the person can't be told there
		"another app":     {func(f *forged) { f.app = "A0OTHER001" }, "another Slack app"},
		"another message": {func(f *forged) { f.message = "1700000000.000100" }, "an old copy"},
		"another team":    {func(f *forged) { f.team = "T0OTHER001" }, "another Slack team"},
		"another digest":  {func(f *forged) { f.value = f.value[:len(f.value)-1] + "z" }, "is not the plan of this request"},
		"half a digest":   {func(f *forged) { f.value = f.value[:len(f.value)-4] }, "is not the plan of this request"},
		"no digest":       {func(f *forged) { f.value, _, _ = strings.Cut(f.value, "|") }, "not one of mine"},
		"another request": {func(f *forged) { f.value = "01K0REQUEST9999|0123456789ab" }, "no request"},
		"another action":  {func(f *forged) { f.action = "promote" }, "not one of mine"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.bot.AppID = slacksim.AppID })
			f := b.genuinePress(b.ask(), dba1, "approve")
			c.change(&f)
			b.sendPress(f)
			if c.told != "" {
				b.whisper(dba1, c.told)
			}
			b.stop()
			b.untouched()
		})
	}
}

// TestThreatButtonOfAnotherPair: a button of one pair's request, pressed in the
// message of the other's.
func TestThreatButtonOfAnotherPair(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.pairs = twoPairs() })
	b.say(oncall, "switchover orders -- one")
	orders := b.message("Switchover of orders: 0 of 2")
	b.say(oncall, "switchover billing -- two")
	billing := b.message("Switchover of billing: 0 of 2")
	b.settled()
	f := b.genuinePress(billing, dba1, "approve")
	f.message = orders.TS
	b.sendPress(f)
	b.whisper(dba1, "an old copy")
	mixed := b.genuinePress(orders, dba2, "approve") // this request, the other's digest
	_, digest, _ := strings.Cut(f.value, "|")
	id, _, _ := strings.Cut(mixed.value, "|")
	mixed.value = id + "|" + digest
	b.sendPress(mixed)
	b.whisper(dba2, "is not the plan of this request")
	if n := b.store.count("approve"); n != 0 {
		t.Errorf("%d votes", n)
	}
}

func TestThreatRequesterApproving(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(dba1, "failover orders -- I want it")
	m := b.message("0 of 2 approvals")
	b.settled()
	b.press(dba1, m.TS, "approve")
	b.whisper(dba1, "others must decide")
	b.press(guest, m.TS, "approve")
	b.whisper(guest, "not one of the approvers")
	b.untouched()
}

func TestThreatSamePersonTwiceFromTwoDevices(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	f := b.genuinePress(m, dba1, "approve")
	var both sync.WaitGroup
	for _, trigger := range []string{"phone", "laptop"} {
		f := f
		f.trigger = trigger
		both.Go(func() { b.sendPress(f) })
	}
	both.Wait()
	b.whisper(dba1, "approved this request already")
	if r := b.asked(); r.State != approvals.Partial || len(r.Votes) != 1 {
		t.Errorf("%s with %d votes", r.State, len(r.Votes))
	}
}

func TestThreatBothApproversAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	var all sync.WaitGroup
	for _, user := range []string{dba1, dba2, manager} {
		f := b.genuinePress(m, user, "approve")
		all.Go(func() { b.sendPress(f) })
	}
	all.Wait()
	b.message("2 of 2 approvals")
	b.stop()
	if n := b.store.count("approve"); n != 2 || b.asked().State != approvals.Approved {
		t.Errorf("%d votes, %s", n, b.asked().State)
	}
}

func TestThreatApproveAgainstDenyInTheSameInstant(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	b.press(dba1, m.TS, "deny")
	v := b.modal(dba1, "Switchover of orders")
	f := b.genuinePress(m, dba2, "approve")
	var both sync.WaitGroup
	both.Go(func() { b.sendPress(f) })
	both.Go(func() {
		if _, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"text": "stop"}); err != nil {
			b.t.Error(err)
		}
	})
	both.Wait()
	b.stop()
	// Approved can still be denied, so the denial stands in either order; a vote
	// after it doesn't.
	r := b.asked()
	if r.State != approvals.Denied || b.store.count("deny") != 1 {
		t.Errorf("%s after %d denials and votes %+v", r.State, b.store.count("deny"), r.Votes)
	}
}

func TestThreatApproverDeactivatedOrMadeGuestBetweenVotes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*slacksim.Account)
		told   string
	}{
		"deactivated":            {func(a *slacksim.Account) { a.Deleted = true }, "is deactivated"},
		"a guest":                {func(a *slacksim.Account) { a.Restricted = true }, "is a guest"},
		"a single-channel guest": {func(a *slacksim.Account) { a.Restricted, a.UltraRestricted = true, true }, "is a single-channel guest"},
		"a bot":                  {func(a *slacksim.Account) { a.Bot = true }, "is a bot"},
		"moved to another team":  {func(a *slacksim.Account) { a.TeamID = "T0OTHER001" }, "another"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.members = true })
			m := b.ask()
			b.press(dba1, m.TS, "approve")
			b.message("1 of 2 approvals")
			f := b.genuinePress(m, dba2, "approve")
			account, _ := b.Account(dba2)
			c.change(&account)
			b.SetAccount(account)
			b.sendPress(f)
			b.logged(c.told)
			b.stop()
			if r := b.asked(); len(r.Votes) != 1 {
				t.Errorf("votes %+v", r.Votes)
			}
		})
	}
}

// TestThreatApproverRemovedFromTheListBetweenVotes: a list is another policy, under
// which the request is void; out of a group goes one person's say.
func TestThreatApproverRemovedFromTheListBetweenVotes(t *testing.T) {
	t.Parallel()
	short := []approvals.Person{"dba-1", "manager", "somebody else"}
	t.Run("a list", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		m := b.ask()
		b.press(dba1, m.TS, "approve")
		b.message("1 of 2 approvals")
		b.desk.setPolicy(func(p *approvals.Policy) { p.Approvers = short })
		b.press(dba2, m.TS, "approve")
		b.whisper(dba2, "policy changed after this request")
		b.message("What was to be approved is no longer so")
		if r := b.asked(); r.State != approvals.Stale || len(r.Votes) != 1 {
			t.Errorf("%s with votes %+v", r.State, r.Votes)
		}
	})
	t.Run("a group", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		b.desk.setPolicy(func(p *approvals.Policy) { p.Group = "S0DBAS0001" })
		m := b.ask()
		b.press(dba1, m.TS, "approve")
		b.message("1 of 2 approvals")
		b.desk.setPolicy(func(p *approvals.Policy) { p.Approvers = short })
		b.press(dba2, m.TS, "approve")
		b.whisper(dba2, "not one of the approvers any more")
		b.press(manager, m.TS, "approve")
		b.message("2 of 2 approvals")
	})
}

// TestThreatEqualNameOrEmailOfAnotherTeam: whoever calls himself like an approver
// is nobody; only (team, user id) counts.
func TestThreatEqualNameOrEmailOfAnotherTeam(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.members = true })
	genuine, _ := b.Account(dba1)
	twins := map[string]string{"U0TWIN0001": "", "U0TWIN0002": "T0OTHER001"} // of this team, and of another
	for id, home := range twins {
		twin := genuine
		twin.ID, twin.TeamID = id, home
		b.SetAccount(twin)
	}
	m := b.ask()
	for id, home := range twins {
		f := b.genuinePress(m, dba1, "approve")
		f.user, f.userTeam, f.trigger = id, team, "twin "+id
		if home != "" {
			f.userTeam = home
		}
		b.sendPress(f)
	}
	b.whisper("U0TWIN0001", "not one of the approvers")
	b.logged("another Slack team")
	b.untouched()
	if who := people().Person("T0OTHER001", dba1); who == "dba-1" {
		t.Error("the id of an approver, in another team, is the approver")
	}
	b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
}

func TestThreatAccountThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{
		"down": slacksim.Down(), "garbage": slacksim.Garbage(), "limited": slacksim.RateLimit(time.Second), "an error": slacksim.Error("internal_error"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.members = true })
			m := b.ask()
			b.Fail("users.info", f)
			b.press(dba1, m.TS, "approve")
			b.whisper(dba1, "Try again in a moment")
			b.untouched()
			b.Heal(slacksim.Any)
			b.press(dba1, m.TS, "approve")
			b.message("1 of 2 approvals")
		})
	}
}

func TestThreatSlackConnectStranger(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.members = true })
	f := b.genuinePress(b.ask(), dba1, "approve") // the same user id, but of another organisation
	f.userTeam = "T0OTHER001"
	b.sendPress(f)
	b.logged("another Slack team")
	b.stop()
	b.untouched()
}

func TestThreatStrangerAskingByCommand(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	fields := commandFields("failover orders")
	fields["team_id"] = "T0OTHER001"
	d, err := b.Deliver(b.ctx, "command", fields)
	if err != nil || !strings.Contains(string(d.Response), "another Slack team") || len(b.store.order) != 0 {
		t.Errorf("answered %s, %v", d.Response, err)
	}
}

func TestThreatStalePlan(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	f := b.genuinePress(m, dba1, "approve")
	b.must(b.desk.change(b.ctx, b.asked().ID, func(r approvals.Request) (approvals.Request, []approvals.Event, error) {
		return r.Outdate(time.Now(), "dc2 timeline: was 3, is 4")
	}))
	b.message("dc2 timeline: was 3, is 4")
	b.sendPress(f)
	b.whisper(dba1, "request is stale")
	if r := b.asked(); len(r.Votes) != 0 {
		t.Errorf("votes %+v", r.Votes)
	}
}

func TestThreatExpiredByOneSecond(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.bot.Now = time.Now })
	m := b.ask()
	b.store.mu.Lock()
	r := b.store.requests[b.store.order[0]]
	r.ExpiresAt = time.Now().Add(-time.Second)
	b.store.requests[r.ID] = r
	b.store.mu.Unlock()
	f := b.genuinePress(m, dba1, "approve")
	f.value = r.ID + "|" + r.Digest().Short()
	b.sendPress(f)
	b.whisper(dba1, "This request expired")
	b.message("orders: expired")
	if got := b.asked(); got.State != approvals.Expired || len(got.Votes) != 0 {
		t.Errorf("%s with votes %+v", got.State, got.Votes)
	}
}

func TestThreatOrphanedButtonOfAPurgedRequest(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.store.purge(b.asked().ID)
	b.press(dba1, m.TS, "approve")
	b.whisper(dba1, "There is no request")
	b.press(dba2, m.TS, "deny")
	b.modal(dba2, "There is no request")
	b.press(manager, m.TS, "details")
	b.modal(manager, "There is no request")
}

func TestThreatSlackDownSlowRateLimitingOrAnsweringGarbage(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]slacksim.Failure{
		"down": slacksim.Down(), "slow": slacksim.Slow(400 * time.Millisecond), "limiting": slacksim.RateLimit(time.Second), "garbage": slacksim.Garbage(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			m := b.ask()
			b.Fail(slacksim.Any, f)
			b.press(dba1, m.TS, "approve")
			b.press(dba2, m.TS, "approve")
			b.until("both votes to count", func() bool { return b.asked().State == approvals.Approved })
			b.store.Append(alert("orders"))
			b.Heal(slacksim.Any)
			b.message("2 of 2 approvals")
			b.message("writes block")
			b.settled()
			if n := len(b.Messages(ops)); n != 2 {
				t.Errorf("%d messages:\n%s", n, b.Transcript())
			}
		})
	}
}

func TestThreatMentionOrLinkInjectedThroughAReasonOrAServersErrorText(t *testing.T) {
	t.Parallel()
	const poison = "<!channel> <@U0MANAGER1> <https://evil.example|orders is fine> ```"
	b := newBundle(t)
	b.desk.plan.Checks = append(b.desk.plan.Checks, actions.Check{Title: "disk", Status: actions.Bad, Detail: "FATAL: " + poison})
	b.say(oncall, "failover -- "+poison)
	m := b.message("0 of 2 approvals")
	b.desk.report.Evidence.Nodes[0] = actions.Observation{Node: "dc1", Failure: &actions.Failure{Reach: actions.Garbled, Text: poison}}
	b.say(oncall, "status")
	s := b.message("garbled")
	b.say(oncall, "status "+poison)
	w := b.whisper(oncall, "no pair")
	for what, m := range map[string]slacksim.Message{"request": m, "status": s, "refusal": w} {
		harmless(t, what, m.Text)
		var blocks []map[string]any
		b.must(json.Unmarshal(m.Blocks, &blocks))
		for _, bl := range blocks {
			if text, ok := bl["text"].(map[string]any); ok && bl["type"] == "section" {
				harmless(t, what, text["text"].(string))
			}
		}
	}
}

func TestThreatResponseURLLeadingElsewhere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	posted := make(chan struct{}, 8)
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { posted <- struct{}{} })
	fields := commandFields("status")
	fields["response_url"] = elsewhere + "/hook"
	if d, err := b.Deliver(b.ctx, "command", fields); err != nil || !d.Acknowledged() {
		t.Fatal(err, d)
	}
	b.whisper(oncall, "orders: synchronous")
	if len(posted) != 0 {
		t.Error("the status was sent to a stranger's server")
	}
}

func TestThreatSecretsInAnyMessageLogLineOrError(t *testing.T) {
	t.Parallel()
	const token, signing, app = "xoxb-planted-token-0123456789", "planted-signing-secret-0123456789", "xapp-planted-0123456789"
	b := newBundle(t, func(s *setup) {
		s.members = true
		s.sim.BotToken, s.sim.SigningSecret, s.sim.AppToken = token, signing, app
	})
	m := b.ask()
	b.Fail("users.info", slacksim.Down().Times(1))
	b.press(dba1, m.TS, "approve")
	b.whisper(dba1, "Try again")
	for _, f := range []slacksim.Failure{slacksim.Down().Times(1), slacksim.Garbage().Times(1), slacksim.Error("invalid_auth").Times(1)} {
		b.Fail("chat.postMessage", f)
		b.Fail(slacksim.ResponseURLs, slacksim.Down().Times(1))
		b.say(oncall, "status nowhere")
		b.say(oncall, "status")
		b.store.Append(alert("orders"))
		b.settled()
	}
	if !b.setup.socket {
		b.post("/slack/commands", "wrong", time.Now(), commandForm("status"))
	}
	_, ready := b.get("/readyz")
	_, err := bot.New(bot.Options{Token: secret.New(token), SigningSecret: secret.New(signing)})
	s := secret.New(signing)
	var log logs
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "options", bot.Options{SigningSecret: s})
	raw, jsonErr := json.Marshal(map[string]any{"s": s, "p": &s})
	b.must(jsonErr)
	all := strings.Join([]string{b.Transcript(), b.logs.String(), ready, err.Error(), log.String(), string(raw), formatted(s)}, "\n")
	for _, planted := range []string{token, signing, app, "706c616e746564"} { // hex of the beginning
		if at := strings.Index(all, planted); at >= 0 {
			t.Errorf("found %q: …%s", planted, all[max(0, at-200):at])
		}
	}
	for what, raw := range b.store.places {
		if strings.Contains(what+raw, "planted") {
			t.Errorf("stored: %s %s", what, raw)
		}
	}
	if strings.Contains(b.logs.String(), "/commands/") || strings.Contains(b.logs.String(), "ticket=") {
		t.Errorf("a response URL in the log:\n%s", b.logs)
	}
}
