package slacksim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestCommandArrivesSignedAndComplete(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "failover orders -- disk is failing & hot")
	if err != nil || !d.Acknowledged() || d.Status != http.StatusOK {
		t.Fatalf("delivery %+v, error %v", d, err)
	}
	got := b.app.requests()
	if len(got) != 1 || got[0].Path != "/slack/commands" || got[0].Verified != nil {
		t.Fatalf("app got %+v", got)
	}
	req, _ := http.NewRequest(http.MethodPost, "/", strings.NewReader(got[0].Body))
	req.Header = got[0].Header
	cmd, err := slack.SlashCommandParse(req)
	if err != nil {
		t.Fatal(err)
	}
	want := slack.SlashCommand{
		Token: cmd.Token, TeamID: b.Team(), TeamDomain: "twokey-sim", ChannelID: ops, ChannelName: "ops", UserID: oncall,
		UserName: "oncall", Command: "/pg", Text: "failover orders -- disk is failing & hot", ResponseURL: d.ResponseURL,
		TriggerID: d.TriggerID, APIAppID: slacksim.AppID,
	}
	if cmd != want {
		t.Errorf("command\n got %+v\nwant %+v", cmd, want)
	}
	if u, err := url.Parse(cmd.ResponseURL); err != nil || "http://"+u.Host != b.base {
		t.Errorf("response URL %q isn't on %s", cmd.ResponseURL, b.base)
	}
}

func TestCommandShowsTheImmediateAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		body      string
		ephemeral string
		channel   []string
	}{
		{name: "nothing for an empty answer"},
		{name: "plain text to the person alone", body: "working on it", ephemeral: "working on it"},
		{name: "JSON to the person alone unless it says otherwise", body: `{"text":"on it"}`, ephemeral: "on it"},
		{name: "the typed command and the answer to all when in_channel", body: `{"response_type":"in_channel","text":"all good"}`, channel: []string{"/pg status", "all good"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.app.answers(func(taken) (int, string, string) { return 200, "", tt.body })
			if _, err := b.Command(b.ctx, oncall, ops, "/pg", "status"); err != nil {
				t.Fatal(err)
			}
			var shown string
			for _, m := range b.Ephemerals(oncall) {
				shown += m.Text
			}
			var texts []string
			for _, m := range b.Messages(ops) {
				texts = append(texts, m.Text)
			}
			if shown != tt.ephemeral || strings.Join(texts, "|") != strings.Join(tt.channel, "|") {
				t.Errorf("ephemeral %q, channel %q", shown, texts)
			}
		})
	}
}

func TestCommandFailuresReadAsInSlack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(taken) (int, string, string)
		word   string
	}{
		{"a server error", func(taken) (int, string, string) { return 500, "", "" }, "http_service_error"},
		{"a client error", func(taken) (int, string, string) { return 401, "", "" }, "http_client_error"},
		{"a redirect isn't followed", func(taken) (int, string, string) { return 302, "", "" }, "http_client_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.app.answers(tt.answer)
			d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
			if err != nil || d.Failure != tt.word {
				t.Fatalf("delivery %+v, error %v", d, err)
			}
			e := b.Ephemerals(oncall)
			if len(e) != 1 || e[0].Text != `/pg failed with the error "`+tt.word+`"` {
				t.Errorf("shown %+v", e)
			}
		})
	}
}

func TestCommandTimesOutWhenTheAppIsSlow(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.AckTimeout = 50 * time.Millisecond })
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	b.app.answers(func(taken) (int, string, string) { <-release; return 200, "", "" })
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
	if err != nil || d.Failure != "operation_timeout" || d.Shown != `/pg failed with the error "operation_timeout"` {
		t.Fatalf("delivery %+v, error %v", d, err)
	}
}

func TestCommandIsDispatchFailedWhenTheAppIsDown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.app.server.Close()
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
	if err != nil || d.Failure != "dispatch_failed" {
		t.Fatalf("delivery %+v, error %v", d, err)
	}
}

func TestNobodyTypesWhoCouldNot(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.SetAccount(slacksim.Account{ID: dba2, Name: "dba-2", Deleted: true})
	if err := b.LeaveChannel(guest, ops); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"U0NOBODY00", dba2, guest} {
		if _, err := b.Command(b.ctx, user, ops, "/pg", "status"); err == nil {
			t.Errorf("%s could type a command", user)
		}
	}
	if got := b.app.requests(); len(got) != 0 {
		t.Errorf("app got %+v", got)
	}
}
