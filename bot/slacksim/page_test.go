package slacksim_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

// The page must not be driven, or read, by another web site.
func TestPageIsForItsOwnOriginOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, tt := range []struct {
		name, header, value string
		want                int
	}{
		{"a person", "", "", http.StatusOK},
		{"the page itself", "Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"another site", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"another port of this machine", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"another origin", "Origin", "http://127.0.0.1:1", http.StatusForbidden},
		{"a sandboxed frame", "Origin", "null", http.StatusForbidden},
		{"a name that was rebound to this machine", "Host", "evil.example", http.StatusForbidden},
		{"localhost, through a tunnel", "Host", "localhost:9999", http.StatusOK},
	} {
		for _, path := range []string{"/", "/app.js", "/sim/state?user=" + oncall} {
			if status, _ := b.get(t, b.base+path, tt.header, tt.value); status != tt.want {
				t.Errorf("%s: %s gave %d", tt.name, path, status)
			}
		}
	}
}

func (b *bundle) sim(t *testing.T, action, contentType string, body any) (int, object) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(b.base+"/sim/"+action, contentType, strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out object
	_ = json.NewDecoder(resp.Body).Decode(&out) // refusals are plain text
	return resp.StatusCode, out
}

func TestPageActsLikeAPerson(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	const kind = "application/json"
	if status, out := b.sim(t, "send", kind, object{"user": oncall, "channel": ops, "text": "/pg status"}); status != 200 || out["failure"] != "" {
		t.Errorf("command: %d %v", status, out)
	}
	if status, out := b.sim(t, "send", kind, object{"user": oncall, "channel": ops, "text": "/nope"}); status != 422 || out["error"] != "/nope is not a valid command" {
		t.Errorf("unknown command: %d %v", status, out)
	}
	if status, _ := b.sim(t, "send", kind, object{"user": oncall, "channel": ops, "text": "a <b> & <!channel>"}); status != 200 {
		t.Errorf("message: %d", status)
	}
	if status, _ := b.sim(t, "press", kind, object{"user": dba1, "channel": ops, "ts": ts, "action": "votes/approve"}); status != 200 {
		t.Errorf("press: %d", status)
	}
	if status, _ := b.sim(t, "press", "text/plain", object{"user": dba1}); status != http.StatusUnsupportedMediaType {
		t.Errorf("a form of another site: %d", status)
	}
	got := b.app.requests()
	if len(got) != 2 || got[0].Path != "/slack/commands" || got[1].Path != "/slack/interactions" {
		t.Errorf("the app got %+v", got)
	}
	if m := b.Messages(ops); len(m) != 2 || m[1].Text != "a &lt;b&gt; &amp; &lt;!channel&gt;" || m[1].User != oncall {
		t.Errorf("messages %+v", m)
	}
}

func TestPageShowsOnlyWhatThePersonMaySee(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if _, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionText("secret of oncall", false)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.api.PostMessageContext(b.ctx, oncall, slack.MsgOptionText("direct to oncall", false)); err != nil {
		t.Fatal(err)
	}
	_, mine := b.get(t, b.base+"/sim/state?user="+oncall, "", "")
	_, theirs := b.get(t, b.base+"/sim/state?user="+dba1, "", "")
	for _, text := range []string{"secret of oncall", "direct to oncall"} {
		if !strings.Contains(string(mine), text) || strings.Contains(string(theirs), text) {
			t.Errorf("%q: to oncall %v, to dba-1 %v", text, strings.Contains(string(mine), text), strings.Contains(string(theirs), text))
		}
	}
	for name, secret := range map[string]string{"bot token": b.BotToken(), "app token": b.AppToken(), "signing secret": b.SigningSecret()} {
		if strings.Contains(string(mine), secret) {
			t.Errorf("the page is given the %s", name)
		}
	}
}

func TestPageHearsOfChanges(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.base+"/sim/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return v
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	first := next()
	b.post(t, slack.MsgOptionText("x", false))
	if second := next(); second == first {
		t.Errorf("still version %s", second)
	}
}

func TestInspectorShowsTheMessageAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.postButtons(t)
	status, body := b.get(t, b.base+"/sim/json?channel="+ops+"&ts="+ts, "", "")
	var m slack.Message
	if err := json.Unmarshal(body, &m); status != http.StatusOK || err != nil || m.Timestamp != ts || len(m.Blocks.BlockSet) != 1 {
		t.Errorf("status %d, %v, %s", status, err, body)
	}
}
