package bot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

// post sends a body to the bot, signed as of at unless secret is empty.
func (b *bundle) post(path, secret string, at time.Time, body []byte) (status int, answer string) {
	b.t.Helper()
	h := http.Header{}
	if secret != "" {
		h = slacksim.Sign(secret, at, body)
	}
	return b.send(path, h, body)
}

func (b *bundle) send(path string, h http.Header, body []byte) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if req.Header = h; h == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func commandForm(text string) []byte {
	return []byte(url.Values{
		"team_id": {team}, "channel_id": {ops}, "user_id": {oncall}, "command": {"/pg"}, "text": {text}, "trigger_id": {"t1"},
	}.Encode())
}

// commandFields are those of commandForm.
func commandFields(text string) map[string]string {
	return map[string]string{
		"team_id": team, "channel_id": ops, "user_id": oncall, "command": "/pg", "text": text, "trigger_id": "t1",
	}
}

func TestOnlyWhatSlackSignedNowIsTaken(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	body := commandForm("insert-test")
	for _, path := range []string{"/slack/commands", "/slack/interactions", "/slack/events"} {
		for name, try := range map[string]func() (int, string){
			"unsigned":     func() (int, string) { return b.post(path, "", time.Now(), body) },
			"wrongly":      func() (int, string) { return b.post(path, "not the secret", time.Now(), body) },
			"old":          func() (int, string) { return b.post(path, b.SigningSecret(), time.Now().Add(-302*time.Second), body) },
			"future-dated": func() (int, string) { return b.post(path, b.SigningSecret(), time.Now().Add(310*time.Second), body) },
			"other content": func() (int, string) {
				return b.send(path, slacksim.Sign(b.SigningSecret(), time.Now(), body), append(body, '&'))
			},
		} {
			if status, answer := try(); status != http.StatusUnauthorized || answer != "" {
				t.Errorf("%s, %s: %d %q", path, name, status, answer)
			}
		}
	}
	if n := b.store.count("test-row"); n != 0 {
		t.Errorf("%d test rows were written", n)
	}
}

func TestABodyOverTheLimitIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	body := append(commandForm("status"), bytes.Repeat([]byte("x"), 1<<20)...)
	if status, answer := b.post("/slack/commands", b.SigningSecret(), time.Now(), body); status != http.StatusRequestEntityTooLarge || answer != "" {
		t.Errorf("%d %q", status, answer)
	}
}

func TestMalformedPayloadsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	form := func(payload string) string { return url.Values{"payload": {payload}}.Encode() }
	cases := []struct{ name, path, body string }{
		{"no form", "/slack/commands", "%zz"},
		{"an empty command", "/slack/commands", ""},
		{"a command without a person", "/slack/commands", "team_id=" + team + "&channel_id=" + ops},
		{"no payload", "/slack/interactions", "x=1"},
		{"no JSON", "/slack/interactions", form("{")},
		{"another kind of JSON", "/slack/interactions", form(`[1]`)},
		{"fields of another kind", "/slack/interactions", form(`{"type":"block_actions","user":{"id":7}}`)},
		{"nobody pressed", "/slack/interactions", form(`{"type":"block_actions"}`)},
		{"an event of words", "/slack/events", "hello"},
	}
	for _, c := range cases {
		if status, answer := b.post(c.path, b.SigningSecret(), time.Now(), []byte(c.body)); status != http.StatusBadRequest || answer != "" {
			t.Errorf("%s: %d %q", c.name, status, answer)
		}
	}
	harmless := []struct{ name, path, body string }{
		{"a press without an action", "/slack/interactions", form(`{"type":"block_actions","user":{"id":"U1"},"actions":[]}`)},
		{"a kind of interaction that we don't use", "/slack/interactions", form(`{"type":"shortcut","user":{"id":"U1"}}`)},
		{"a view that isn't ours", "/slack/interactions", form(`{"type":"view_submission","user":{"id":"U1"},"view":{"callback_id":"x","private_metadata":"y"}}`)},
		{"a closed view", "/slack/interactions", form(`{"type":"view_closed","user":{"id":"U1"}}`)},
		{"an event that we don't use", "/slack/events", `{"type":"event_callback","team_id":"` + team + `","event_id":"E1","event":{"type":"reaction_added"}}`},
		{"a test of the certificate", "/slack/commands", "ssl_check=1&token=x"},
	}
	for _, c := range harmless {
		if status, answer := b.post(c.path, b.SigningSecret(), time.Now(), []byte(c.body)); status != http.StatusOK || answer != "" {
			t.Errorf("%s: %d %q", c.name, status, answer)
		}
	}
}

// FuzzPayload: whatever comes with a right signature breaks nothing, and none of
// it is a vote that doesn't name the open request and its digest.
func FuzzPayload(f *testing.F) {
	f.Add("payload=%7B%22type%22%3A%22block_actions%22%7D")
	f.Add("payload=" + url.QueryEscape(`{"type":"view_submission","user":{"id":"U1"},"view":{"id":"V1","callback_id":"deny","private_metadata":"{\"r\":\"x\"}","state":{"values":{"text":{"text":{"value":"no"}}}}}}`))
	f.Add("payload=" + url.QueryEscape(`{"type":"block_actions","team":{"id":"T0TWOKEY01"},"user":{"id":"U1"},"channel":{"id":"C0OPS00001"},"container":{"type":"message"},"actions":[{"action_id":"approve","value":"a|b"}]}`))
	f.Add(`{"type":"event_callback","team_id":"T0TWOKEY01","event_id":"E1","event":{"type":"message","subtype":"message_deleted","channel":"C0OPS00001","deleted_ts":"1.2"}}`)
	f.Add(`{"type":"event_callback","team_id":"T0TWOKEY01","event_id":"E2","event":{"type":"app_home_opened","user":"U0DBA00001","tab":"home"}}`)
	f.Add(`{"type":"url_verification","challenge":"\u0000<>"}`)
	f.Add("text=failover+--+%3C%21channel%3E&team_id=T0TWOKEY01&channel_id=C0OPS00001&user_id=U0DBA00001&response_url=https://slack.com.evil.example/")
	b := newBundle(f)
	withCodes(b, approvals.FactorOptional, "dba-2")
	m := b.ask()
	r := b.asked()
	for _, digest := range []string{"0123456789ab", r.Digest().Short()[:11], string(r.Digest())[1:14]} {
		f.Add("payload=" + url.QueryEscape(`{"type":"block_actions","trigger_id":"`+digest+`","team":{"id":"T0TWOKEY01"},"user":{"id":"U0DBA00001"},"channel":{"id":"C0OPS00001"},"container":{"type":"message","message_ts":"`+m.TS+`"},"actions":[{"action_id":"approve","value":"`+r.ID+`|`+digest+`"}]}`))
		f.Add("payload=" + url.QueryEscape(`{"type":"view_submission","trigger_id":"v`+digest+`","team":{"id":"T0TWOKEY01"},"user":{"id":"U0DBA00002"},"view":{"id":"V1","callback_id":"approve","private_metadata":"{\"r\":\"`+r.ID+`\",\"d\":\"`+digest+`\",\"c\":\"C0OPS00001\",\"m\":\"`+m.TS+`\"}","state":{"values":{"code":{"code":{"value":"100001"}}}}}}`))
	}
	f.Fuzz(func(t *testing.T, body string) {
		b := *b
		b.t = t
		for _, path := range []string{"/slack/interactions", "/slack/commands", "/slack/events"} {
			if status, answer := b.post(path, b.SigningSecret(), time.Now(), []byte(body)); status >= 500 && status != http.StatusServiceUnavailable {
				t.Fatalf("%s: %d %s", path, status, answer)
			}
		}
		if strings.Contains(b.logs.String(), "panicked") {
			t.Fatalf("panic:\n%s", b.logs)
		}
		now, err := b.store.Request(b.ctx, r.ID)
		if decoded, _ := url.QueryUnescape(body); err != nil || len(now.Votes) > 0 && !strings.Contains(decoded, r.Digest().Short()) {
			t.Fatalf("a vote without the digest: %+v, %v", now.Votes, err)
		}
	})
}

func TestURLVerificationAnswersTheChallenge(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if d, ok := b.VerifyURL(b.ctx); !ok {
		t.Errorf("answered %d %s", d.Status, d.Response)
	}
}

func TestReadyAndAlive(t *testing.T) {
	t.Parallel()
	broken := errors.New("the store is locked")
	var fail bool
	b := newBundle(t, func(s *setup) {
		s.bot.Ready = []bot.Readiness{{Name: "store", Check: func(context.Context) error {
			if fail {
				return broken
			}
			return nil
		}}}
	})
	fail = true
	status, answer := b.get("/readyz")
	var got struct {
		Status  string
		Reasons map[string]string
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusServiceUnavailable || got.Reasons["store"] != broken.Error() {
		t.Errorf("%d %s %v", status, answer, err)
	}
	if status, answer := b.get("/livez"); status != http.StatusOK || !strings.Contains(answer, "ok") {
		t.Errorf("%d %s", status, answer)
	}
}

func TestBeforeRunNothingIsTaken(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.stop()
	idle, err := bot.New(bot.Options{Team: team, Channel: ops, Token: secret.New("x"), SigningSecret: secret.New("s"), Desk: b.desk, Outbox: b.store})
	b.must(err)
	rec := newRecorder(idle.Handler(), "s", commandForm("status"))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", rec.Code)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	good := bot.Options{Team: team, Channel: ops, Token: secret.New("t"), SigningSecret: secret.New("s"), Desk: &desk{}, Outbox: newMemory(time.Now)}
	for name, c := range map[string]struct {
		change func(*bot.Options)
		want   string
	}{
		"no team":          {func(o *bot.Options) { o.Team = "" }, "team"},
		"no token":         {func(o *bot.Options) { o.Token = secret.Text{} }, "token"},
		"no secret":        {func(o *bot.Options) { o.SigningSecret = secret.Text{} }, "signing secret"},
		"people of others": {func(o *bot.Options) { o.People.Team = "T9" }, "T9"},
		"no address":       {func(o *bot.Options) { o.APIURL = "slack" }, "slack"},
		"no desk":          {func(o *bot.Options) { o.Desk = nil }, "desk"},
	} {
		o := good
		c.change(&o)
		if _, err := bot.New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandsAreAnsweredOnlyInTheChannel(t *testing.T) {
	t.Parallel()
	const lounge = "C0LOUNGE01"
	b := newBundle(t, func(s *setup) {
		s.sim.Channels = append(slacksim.DefaultChannels(), slacksim.Channel{ID: lounge, Name: "lounge", BotMember: true})
	})
	d, err := b.Command(b.ctx, oncall, lounge, "/pg", "failover orders")
	b.must(err)
	if !strings.Contains(string(d.Response), "ephemeral") || !strings.Contains(string(d.Response), ops) {
		t.Errorf("answered %s", d.Response)
	}
	if len(b.store.order) != 0 || len(b.Messages(lounge)) != 0 {
		t.Error("something was asked or said elsewhere")
	}
}

func TestAcknowledgementsDontWaitForTheWork(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	b.desk.setDelay(func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	d := b.say(oncall, "status") // fails unless it is acknowledged while the work hangs
	if len(d.Response) != 0 {
		t.Errorf("answered %s", d.Response)
	}
	close(release)
	b.message("orders: synchronous")
}

func TestAFloodIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	b.desk.setDelay(func(context.Context) error { <-release; return nil })
	busy := 0
	const most, more = 256, 16
	for i := range most + more {
		fields := commandFields("status")
		fields["trigger_id"] = strconv.Itoa(i)
		d, err := b.Deliver(b.ctx, "command", fields)
		if err != nil || !d.Acknowledged() {
			t.Fatalf("%v: %s", err, d)
		}
		if strings.Contains(string(d.Response), "Too many commands") {
			busy++
		}
	}
	close(release)
	if busy != more {
		t.Errorf("%d of %d were told to try again", busy, most+more)
	}
}

func TestAnAnswerGoesToThePersonWhenTheResponseURLFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail(slacksim.ResponseURLs, slacksim.Error("internal_error"))
	b.say(oncall, "status")
	m := b.whisper(oncall, "orders: synchronous")
	if m.From != "chat.postEphemeral" {
		t.Errorf("it came by %s", m.From)
	}
}

func TestAFaultIsShownByItsIncidentAndLoggedWithIts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.bot.NewID = func() string { return "incident-7" } })
	b.desk.setDelay(func(context.Context) error { return errors.New("pgx: password=hunter2 refused") })
	b.say(oncall, "status")
	m := b.whisper(oncall, "incident-7")
	if strings.Contains(m.Text, "pgx") || !strings.Contains(b.logs.String(), "incident=incident-7") {
		t.Errorf("shown: %s\nlogged: %s", m.Text, b.logs)
	}
}

func TestAPanicIsAFaultOfOneDelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.setDelay(func(context.Context) error { panic("nil map") })
	b.say(oncall, "status")
	m := b.whisper(oncall, "That didn't work")
	if strings.Contains(m.Text, "nil map") || strings.Contains(m.Text, "goroutine") {
		t.Errorf("a person sees %s", m.Text)
	}
	b.desk.setDelay(nil)
	b.say(oncall, "status")
	b.message("orders: synchronous")
}

func TestASubmissionThatTakesLongIsAnsweredTwice(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(dba1, m.TS, "deny")
	v := b.modal(dba1, "Switchover of orders")
	release := make(chan struct{})
	b.desk.setDelay(func(context.Context) error { <-release; return nil })
	d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"text": "no"})
	if err != nil || !d.Acknowledged() || !strings.Contains(string(d.Response), "update") {
		t.Fatal(err, string(d.Response))
	}
	b.modal(dba1, "Recording your decision")
	close(release)
	b.modal(dba1, "Your decision is recorded")
	b.message("denied by dba-1")
}

func TestHomeShowsPairsToListedPeopleOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	home := func(user, want string) string {
		b.must(b.OpenHome(user))
		var blocks string
		b.await("a home of "+user, func(s *slacksim.Snapshot) bool {
			v, ok := s.Home(user)
			blocks = string(v.Blocks)
			return ok && strings.Contains(blocks, want)
		})
		return blocks
	}
	home(dba1, "10.0.1.5:5432")
	if got := home(guest, "It works in"); strings.Contains(got, "10.0.1.5") {
		t.Errorf("a stranger sees %s", got)
	}
}

func TestStoppingFinishesTheWorkInHand(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	began, release := make(chan struct{}), make(chan struct{})
	b.desk.setDelay(func(context.Context) error { close(began); <-release; return nil })
	b.say(oncall, "status")
	<-began
	stopped := make(chan struct{})
	go func() { b.stop(); close(stopped) }()
	b.until("the bot to take no more", func() bool {
		_, answer := b.get("/readyz")
		return strings.Contains(answer, "stopping")
	})
	close(release)
	<-stopped
	if b.messages("orders: synchronous") != 1 {
		t.Errorf("the command in hand was dropped:\n%s", b.Transcript())
	}
}

// TestAPressIsAcknowledgedAfterItsCommit: Slack delivers a press once, so its
// acknowledgement must not leave before the vote is durable.
func TestAPressIsAcknowledgedAfterItsCommit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	if votes := b.asked().Votes; len(votes) != 1 {
		t.Errorf("acknowledged with %d votes recorded", len(votes))
	}
}

// TestAPressThatTakesLongIsAcknowledgedInTime: a store or an account look-up
// that hangs must not make Slack show the press as failed; the vote still counts.
func TestAPressThatTakesLongIsAcknowledgedInTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	release := make(chan struct{})
	b.desk.setDelay(func(context.Context) error { <-release; return nil })
	b.press(dba1, m.TS, "approve") // fails unless it is acknowledged while the work hangs
	if votes := b.asked().Votes; len(votes) != 0 {
		t.Errorf("%d votes are recorded by work that hangs", len(votes))
	}
	close(release)
	b.message("1 of 2 approvals")
}
