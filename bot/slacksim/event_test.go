package slacksim_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"twokey/bot/slacksim"
)

func withEvents(o *slacksim.Options) {
	o.Events = slacksim.DefaultEvents()
	o.EventRetries = []time.Duration{0, time.Millisecond, time.Millisecond}
}

// events waits until the app got n requests.
func (b *bundle) requestsUntil(t *testing.T, n int) []taken {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if got := b.app.requests(); len(got) >= n {
			return got
		} else if time.Now().After(deadline) {
			t.Fatalf("the app got %d requests, not %d", len(got), n)
		}
		<-tick.C
	}
}

func parseEvent(t *testing.T, r taken) slackevents.EventsAPIEvent {
	t.Helper()
	if r.Path != "/slack/events" || r.Verified != nil {
		t.Fatalf("the app got %+v", r)
	}
	e, err := slackevents.ParseEvent(json.RawMessage(r.Body), slackevents.OptionNoVerifyToken())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEventsOfAMessagesLife(t *testing.T) {
	t.Parallel()
	b := newBundle(t, withEvents)
	ts := b.post(t, slack.MsgOptionText("first", false))
	b.requestsUntil(t, 1)
	if _, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, ts, slack.MsgOptionText("second", false)); err != nil {
		t.Fatal(err)
	}
	b.requestsUntil(t, 2)
	if err := b.DeleteMessage(ops, ts); err != nil {
		t.Fatal(err)
	}
	got := b.requestsUntil(t, 3)
	posted := parseEvent(t, got[0]).InnerEvent.Data.(*slackevents.MessageEvent)
	if posted.Text != "first" || posted.TimeStamp != ts || posted.Channel != ops || posted.BotID != slacksim.BotID {
		t.Errorf("posted %+v", posted)
	}
	changed := parseEvent(t, got[1]).InnerEvent.Data.(*slackevents.MessageEvent)
	if changed.SubType != "message_changed" || changed.Message.Text != "second" || changed.PreviousMessage.Text != "first" {
		t.Errorf("changed %+v", changed)
	}
	deleted := parseEvent(t, got[2]).InnerEvent.Data.(*slackevents.MessageEvent)
	if deleted.SubType != "message_deleted" || deleted.DeletedTimeStamp != ts || deleted.PreviousMessage.Text != "second" {
		t.Errorf("deleted %+v", deleted)
	}
	if err := b.DeleteMessage(ops, ts); err == nil {
		t.Error("it was deleted twice")
	}
}

func TestOpeningTheHomeIsAnEvent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, withEvents)
	if err := b.OpenHome(oncall); err != nil {
		t.Fatal(err)
	}
	e := parseEvent(t, b.requestsUntil(t, 1)[0])
	home, ok := e.InnerEvent.Data.(*slackevents.AppHomeOpenedEvent)
	if !ok || home.User != oncall || home.Tab != "home" || e.TeamID != b.Team() {
		t.Errorf("event %+v", e)
	}
}

func TestUnacknowledgedEventsComeAgainThreeTimes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, withEvents)
	b.app.answers(func(taken) (int, string, string) { return http.StatusServiceUnavailable, "", "" })
	if err := b.OpenHome(oncall); err != nil {
		t.Fatal(err)
	}
	got := b.requestsUntil(t, 4)
	for i, want := range []string{"", "1", "2", "3"} {
		if got[i].Header.Get("X-Slack-Retry-Num") != want || got[i].Body != got[0].Body || got[i].Verified != nil {
			t.Errorf("delivery %d: %+v", i, got[i])
		}
	}
	if got[1].Header.Get("X-Slack-Retry-Reason") != "http_error" {
		t.Errorf("reason %q", got[1].Header.Get("X-Slack-Retry-Reason"))
	}
}

func TestURLVerification(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.app.answers(func(r taken) (int, string, string) {
		var in struct{ Type, Challenge string }
		if json.Unmarshal([]byte(r.Body), &in) != nil || in.Type != "url_verification" || r.Verified != nil {
			return http.StatusBadRequest, "", ""
		}
		return http.StatusOK, "text/plain", in.Challenge
	})
	if d, ok := b.VerifyURL(b.ctx); !ok {
		t.Errorf("delivery %+v", d)
	}
	b.app.answers(func(taken) (int, string, string) { return http.StatusOK, "", "wrong" })
	if _, ok := b.VerifyURL(b.ctx); ok {
		t.Error("a wrong challenge was taken")
	}
}

func TestWhatAnAppDidNotSubscribeToIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Events = []string{"app_home_opened"} })
	b.post(t, slack.MsgOptionText("x", false))
	if err := b.OpenHome(oncall); err != nil {
		t.Fatal(err)
	}
	if got := b.requestsUntil(t, 1); len(got) != 1 || parseEvent(t, got[0]).InnerEvent.Type != "app_home_opened" {
		t.Errorf("the app got %+v", got)
	}
}
