package slacksim_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

// payload decodes the interaction that the app got last, by the official client.
func (b *bundle) payload(t *testing.T) slack.InteractionCallback {
	t.Helper()
	all := b.app.requests()
	if len(all) == 0 {
		t.Fatal("the app got nothing")
	}
	last := all[len(all)-1]
	if last.Path != "/slack/interactions" || last.Verified != nil {
		t.Fatalf("the app got %+v", last)
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "/", strings.NewReader(last.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = last.Header
	p, err := slack.InteractionCallbackParse(req)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *bundle) postButtons(t *testing.T) string {
	t.Helper()
	approve := button("approve", "Approve", "req-1:abcd")
	approve.Style = slack.StyleDanger
	return b.post(t, slack.MsgOptionText("vote", false),
		slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "e", EventPayload: map[string]any{"seq": 1}}),
		slack.MsgOptionBlocks(slack.NewActionBlock("votes", approve, button("deny", "Deny", "req-1:abcd"))))
}

func TestPressCarriesTheButtonAsItStands(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	d, err := b.Press(b.ctx, dba1, ops, ts, "approve")
	if err != nil || !d.Acknowledged() {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	p := b.payload(t)
	if p.Type != slack.InteractionTypeBlockActions || p.User.ID != dba1 || p.User.Name != "dba-1" || p.User.TeamID != b.Team() ||
		p.Team.ID != b.Team() || p.Channel.ID != ops || p.APIAppID != slacksim.AppID {
		t.Errorf("who and where: %+v", p)
	}
	if p.Message.Timestamp != ts || p.Container.MessageTs != ts || p.Container.ChannelID != ops || p.Message.BotID != slacksim.BotID ||
		p.Message.Metadata.EventPayload["seq"] != 1.0 || p.ResponseURL != d.ResponseURL || p.TriggerID != d.TriggerID {
		t.Errorf("message: %+v", p)
	}
	a := p.ActionCallback.BlockActions
	if len(a) != 1 || a[0].ActionID != "approve" || a[0].BlockID != "votes" || a[0].Value != "req-1:abcd" || a[0].Text.Text != "Approve" {
		t.Errorf("actions %+v", a)
	}
}

func TestPressOnAnEphemeralHasNoMessage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionBlocks(slack.NewActionBlock("", button("again", "Again", "v"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Press(b.ctx, oncall, ops, ts, "again"); err != nil {
		t.Fatal(err)
	}
	if p := b.payload(t); !p.Container.IsEphemeral || p.Message.Timestamp != "" || p.Container.MessageTs != ts {
		t.Errorf("payload %+v", p)
	}
	if _, err := b.Press(b.ctx, dba1, ops, ts, "again"); err == nil {
		t.Error("somebody else pressed what they can't see")
	}
}

func TestNobodyPressesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	if _, err := b.Press(b.ctx, dba1, ops, ts, "nothing"); !errors.Is(err, slacksim.ErrNoElement) {
		t.Errorf("error %v", err)
	}
	if _, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, ts, slack.MsgOptionText("done", false)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Press(b.ctx, dba1, ops, ts, "approve"); !errors.Is(err, slacksim.ErrNoElement) {
		t.Errorf("a button that an update took away: %v", err)
	}
	said, err := b.Say(oncall, ops, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Press(b.ctx, dba1, ops, said.TS, "approve"); err == nil {
		t.Error("a person's message has buttons")
	}
}

func TestFailedPressIsShown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	b.app.answers(func(taken) (int, string, string) { return http.StatusInternalServerError, "", "" })
	d, err := b.Press(b.ctx, dba1, ops, ts, "approve")
	if err != nil || d.Failure != "http_service_error" || d.Shown == "" {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	if e := b.Ephemerals(dba1); len(e) != 1 || e[0].Text != d.Shown {
		t.Errorf("shown %+v", e)
	}
}

func TestChoosingFromAMenu(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": []object{{"type": "actions", "block_id": "m", "elements": []object{aSelect(3)}}}}).body["ts"].(string)
	if _, err := b.Choose(b.ctx, dba1, ops, ts, "m/a", "2"); err != nil {
		t.Fatal(err)
	}
	if a := b.payload(t).ActionCallback.BlockActions[0]; a.SelectedOption.Value != "2" {
		t.Errorf("action %+v", a)
	}
	if _, err := b.Choose(b.ctx, dba1, ops, ts, "m/a", "7"); err == nil {
		t.Error("an option that isn't offered was chosen")
	}
}

func TestRedeliveryAndReplay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d, err := b.Press(b.ctx, dba1, ops, b.postButtons(t), "approve")
	if err != nil {
		t.Fatal(err)
	}
	b.clock.advance(2e9)
	again, replayed := b.Redeliver(b.ctx, d), b.Replay(b.ctx, d)
	if !again.Acknowledged() || !replayed.Acknowledged() {
		t.Fatalf("redelivery %+v, replay %+v", again, replayed)
	}
	got := b.app.requests()
	if len(got) != 3 || got[0].Body != got[1].Body || got[0].Body != got[2].Body {
		t.Fatalf("the app got %d requests, or different ones", len(got))
	}
	stamp := func(i int) string { return got[i].Header.Get("X-Slack-Request-Timestamp") }
	if got[1].Header.Get("X-Slack-Retry-Num") != "1" || got[1].Verified != nil || stamp(1) == stamp(0) {
		t.Errorf("a redelivery is signed anew and says so: %v", got[1].Header)
	}
	if stamp(2) != stamp(0) || got[2].Header.Get("X-Slack-Signature") != got[0].Header.Get("X-Slack-Signature") {
		t.Errorf("a replay is the same to the byte: %v", got[2].Header)
	}
}

// The published example of Slack's documentation.
func TestSignMatchesThePublishedVector(t *testing.T) {
	t.Parallel()
	const example = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
		"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com" +
		"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	h := slacksim.Sign("8f742231b10e8888abcd99yyyzzz85a5", unix(1531420618), []byte(example))
	if got, want := h.Get("X-Slack-Signature"), "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestAnswersOverAResponseURL(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	d, err := b.Press(b.ctx, dba1, ops, ts, "approve")
	if err != nil {
		t.Fatal(err)
	}
	say := func(v object) (int, string) { return b.respond(t, d.ResponseURL, v) }
	if status, body := say(object{"text": "only you"}); status != 200 || !strings.Contains(body, `"ok":true`) {
		t.Fatalf("%d %s", status, body)
	}
	if e := b.Ephemerals(dba1); len(e) != 1 || e[0].Text != "only you" || e[0].From != slacksim.ResponseURLs {
		t.Errorf("ephemerals %+v", e)
	}
	say(object{"text": "all of you", "response_type": "in_channel"})
	say(object{"text": "replaced", "replace_original": true})
	messages := b.Messages(ops)
	if len(messages) != 2 || messages[0].Text != "replaced" || messages[0].Edits != 1 || messages[1].Text != "all of you" {
		t.Errorf("messages %+v", messages)
	}
	if status, body := say(object{}); status != 400 || !strings.Contains(body, "no_text") {
		t.Errorf("an empty answer: %d %s", status, body)
	}
	say(object{"delete_original": true})
	if left := b.Messages(ops); len(left) != 1 {
		t.Errorf("messages %+v", left)
	}
	if status, body := say(object{"text": "once too often"}); status != 404 || !strings.Contains(body, "used_url") {
		t.Errorf("the sixth use: %d %s", status, body)
	}
}

func (b *bundle) respond(t *testing.T, to string, v object) (int, string) {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(to, "application/json", strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out strings.Builder
	if err := resp.Write(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out.String()
}

func TestResponseURLExpires(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
	if err != nil {
		t.Fatal(err)
	}
	b.clock.advance(30 * minute)
	if status, body := b.respond(t, d.ResponseURL, object{"text": "late"}); status != 404 || !strings.Contains(body, "expired_url") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := b.respond(t, d.ResponseURL+"x", object{"text": "lost"}); status != 404 || !strings.Contains(body, "invalid_url") {
		t.Errorf("%d %s", status, body)
	}
}

func TestReplaceOriginalOfAnEphemeral(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionBlocks(slack.NewActionBlock("", button("again", "Again", "v"))))
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Press(b.ctx, oncall, ops, ts, "again")
	if err != nil {
		t.Fatal(err)
	}
	b.respond(t, d.ResponseURL, object{"text": "done", "replace_original": true})
	if e := b.Ephemerals(oncall); len(e) != 1 || e[0].Text != "done" || len(e[0].Blocks) != 0 {
		t.Errorf("ephemerals %+v", e)
	}
}

func TestResponseURLCanFailToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
	if err != nil {
		t.Fatal(err)
	}
	b.Fail(slacksim.ResponseURLs, slacksim.RateLimit(3e9).Times(1))
	if status, _ := b.respond(t, d.ResponseURL, object{"text": "x"}); status != http.StatusTooManyRequests {
		t.Errorf("status %d", status)
	}
	if status, _ := b.respond(t, d.ResponseURL, object{"text": "x"}); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}
