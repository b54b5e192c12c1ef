package slacksim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

const (
	ops    = "C0OPS00001"
	oncall = "U0ONCALL01"
	dba1   = "U0DBA00001"
	dba2   = "U0DBA00002"
	guest  = "U0GUEST001"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// app is a stand-in for the bot: it records every verified request.
type app struct {
	secret string
	mu     sync.Mutex
	got    []taken
	answer func(taken) (int, string, string) // status, content type, body
	server *httptest.Server
}

// taken is one request that arrived.
type taken struct {
	Path, Body string
	Header     http.Header
	Verified   error
}

func (a *app) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	t := taken{Path: r.URL.Path, Body: string(body), Header: r.Header, Verified: verify(r.Header, a.secret, body)}
	a.mu.Lock()
	a.got = append(a.got, t)
	answer := a.answer
	a.mu.Unlock()
	if answer == nil {
		return
	}
	status, kind, out := answer(t)
	if kind != "" {
		rw.Header().Set("Content-Type", kind)
	}
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, out)
}

// verify checks a signature with an implementation that isn't ours.
func verify(h http.Header, secret string, body []byte) error {
	v, err := slack.NewSecretsVerifier(h, secret)
	if err != nil {
		return err
	}
	if _, err := v.Write(body); err != nil {
		return err
	}
	return v.Ensure()
}

func (a *app) requests() []taken {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]taken(nil), a.got...)
}

func (a *app) answers(f func(taken) (int, string, string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

func answerJSON(v any) func(taken) (int, string, string) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return func(taken) (int, string, string) { return http.StatusOK, "application/json", string(raw) }
}

// bundle is a started workspace with an app and a Slack client, all closed at
// the end of the test.
type bundle struct {
	*slacksim.Workspace
	app   *app
	api   *slack.Client
	base  string
	clock *clock
	ctx   context.Context
}

func newBundle(t *testing.T, change ...func(*slacksim.Options)) *bundle {
	t.Helper()
	clk := newClock()
	opt := slacksim.Options{Now: clk.Now, Events: []string{}}
	for _, c := range change {
		c(&opt)
	}
	w := slacksim.New(opt)
	t.Cleanup(func() { _ = w.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	base, err := w.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{secret: w.SigningSecret()}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	w.SetRequestURL(a.server.URL)
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	api := slack.New(w.BotToken(), slack.OptionAPIURL(w.APIURL(base)), slack.OptionHTTPClient(hc))
	return &bundle{Workspace: w, app: a, api: api, base: base, clock: clk, ctx: ctx}
}

func section(text string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil)
}

func button(actionID, label, value string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(actionID, value, slack.NewTextBlockObject(slack.PlainTextType, label, false, false))
}

func (b *bundle) post(t *testing.T, options ...slack.MsgOption) string {
	t.Helper()
	_, ts, err := b.api.PostMessageContext(b.ctx, ops, options...)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}
