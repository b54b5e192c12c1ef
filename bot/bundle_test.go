package bot_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

func TestMain(m *testing.M) {
	bot.OnRendered = sent.rendered
	code := m.Run()
	for _, whole := range []func() int{scopesFit, typesFit} { // what only all tests together can tell
		if code == 0 {
			code = whole()
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

const (
	team    = "T0TWOKEY01"
	ops     = "C0OPS00001"
	oncall  = "U0ONCALL01"
	dba1    = "U0DBA00001"
	dba2    = "U0DBA00002"
	manager = "U0MANAGER1"
	guest   = "U0GUEST001"
)

func people() bot.People {
	return bot.People{Team: team, ByUser: map[string]approvals.Person{
		oncall: "oncall", dba1: "dba-1", dba2: "dba-2", manager: "manager",
	}}
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// bundle is a bot beside a simulated workspace. Deliveries come over HTTP, below
// TestOverSocketMode over Socket Mode.
type bundle struct {
	*slacksim.Workspace
	t      testing.TB
	ctx    context.Context
	store  *memory
	desk   *desk
	logs   *logs
	bot    *bot.Bot
	url    string // of the bot
	base   string // of the workspace
	client *http.Client
	stop   func() // ends the bot's Run and waits
	setup  setup
}

type setup struct {
	socket  bool // deliveries come over Socket Mode
	sim     slacksim.Options
	bot     bot.Options
	pairs   []actions.Pair
	members bool           // look accounts up before each vote
	expiry  time.Duration  // of requests; the policy\'s when 0
	before  func(*bot.Bot) // it runs; may be nil
}

func fastPace() bot.Pace {
	return bot.Pace{
		PostEvery: time.Millisecond, UpdateEvery: time.Millisecond, StepEvery: 5 * time.Millisecond,
		RetryFirst: 5 * time.Millisecond, RetryMost: 50 * time.Millisecond, GiveUp: 300 * time.Millisecond, HomeEvery: 5 * time.Millisecond, Settle: 50 * time.Millisecond,
	}
}

func newBundle(t testing.TB, change ...func(*setup)) *bundle {
	t.Helper()
	s := setup{pairs: []actions.Pair{ordersPair()}, bot: bot.Options{Pace: fastPace()}, socket: overSocketMode(t)}
	for _, c := range change {
		c(&s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	b := &bundle{t: t, ctx: ctx, logs: &logs{}, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(b.client.CloseIdleConnections)
	s.sim.SocketMode = s.socket
	if s.sim.AckTimeout == 0 {
		s.sim.AckTimeout = 30 * time.Second // Slack's 3 s would be this machine's in a bad moment
	}
	s.asInstalled()
	s.sim.OnCall = sent.call
	b.Workspace = slacksim.New(s.sim)
	t.Cleanup(func() { noteCalls(b.Snapshot(), s.sim); _ = b.Close() })
	var err error
	if b.base, err = b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	b.store = newMemory(time.Now)
	b.desk = &desk{store: b.store, pairs: s.pairs, policy: policy(), now: time.Now, plan: switchoverPlan(), report: healthyReport()}
	if s.expiry > 0 {
		b.desk.policy.Expiry = s.expiry
	}
	b.setup = s
	b.startBot()
	return b
}

// asInstalled gives the app what its manifest asks for, and no more: a method
// without its scope fails as it would in Slack.
func (s *setup) asInstalled() {
	private := false
	for _, c := range s.sim.Channels {
		private = private || (c.ID == ops && c.Private)
	}
	o := bot.ManifestOptions{Private: private}
	if s.sim.Scopes == nil {
		s.sim.Scopes = o.Scopes()
	}
	if s.sim.Events == nil {
		s.sim.Events = o.Events()
	}
}

// startBot serves a bot on the bundle's store, as after a restart when it is
// called again.
func (b *bundle) startBot() {
	b.t.Helper()
	o, s := b.setup.bot, b.setup
	o.Team, o.Channel, o.APIURL = team, ops, strings.TrimSuffix(b.APIURL(b.base), "/")
	o.Token, o.People = secret.New(b.BotToken()), people()
	if s.socket {
		o.AppToken = secret.New(b.AppToken())
	} else {
		o.SigningSecret = secret.New(b.SigningSecret())
	}
	o.Desk, o.Outbox = b.desk, b.store
	o.Log = b.logs.logger()
	if s.members {
		directory, err := bot.NewDirectory(o)
		if err != nil {
			b.t.Fatal(err)
		}
		b.desk.directory = directory
		b.t.Cleanup(directory.Close)
	}
	var err error
	if b.bot, err = bot.New(o); err != nil {
		b.t.Fatal(err)
	}
	if s.before != nil {
		s.before(b.bot)
	}
	server := httptest.NewServer(b.bot.Handler())
	b.url = server.URL
	b.SetRequestURL(server.URL)
	ctx, cancel := context.WithCancel(b.ctx)
	var run sync.WaitGroup
	run.Go(func() {
		if err := b.bot.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	b.stop = sync.OnceFunc(func() { cancel(); run.Wait(); server.Close() })
	b.t.Cleanup(func() { b.stop() })
	b.ready()
}

// ready waits until the bot takes deliveries.
func (b *bundle) ready() {
	b.t.Helper()
	b.until("the bot to run", func() bool {
		_, answer := b.get("/readyz")
		return !strings.Contains(answer, "not running yet") && !strings.Contains(answer, "no Socket Mode connection")
	})
}

func (b *bundle) get(path string) (int, string) {
	b.t.Helper()
	resp, err := b.client.Get(b.url + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// say types a /pg command and demands that it is acknowledged.
func (b *bundle) say(user, text string) slacksim.Delivery {
	b.t.Helper()
	d, err := b.Command(b.ctx, user, ops, "/pg", text)
	if err != nil || !d.Acknowledged() {
		b.t.Fatalf("/pg %s: %v, delivery %s", text, err, d.Failure)
	}
	return d
}

func (b *bundle) press(user, ts, action string) slacksim.Delivery {
	b.t.Helper()
	d, err := b.Press(b.ctx, user, ops, ts, action)
	if err != nil || !d.Acknowledged() {
		b.t.Fatalf("%s presses %s: %v, delivery %s", user, action, err, d.Failure)
	}
	return d
}

// await waits until holds, and says what was there instead.
func (b *bundle) await(what string, holds func(*slacksim.Snapshot) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := b.Wait(ctx, holds); err != nil {
		b.t.Fatalf("waiting for %s: %v\n%s\nlog:\n%s", what, err, b.Transcript(), b.logs)
	}
}

// message waits for a message of the bot in the channel that holds the text.
func (b *bundle) message(text string) slacksim.Message {
	b.t.Helper()
	var found slacksim.Message
	b.await("a message with "+text, func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(ops) {
			if m.Mine() && strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// messages counts the bot's messages in the channel that hold the text.
func (b *bundle) messages(text string) int {
	n := 0
	for _, m := range b.Messages(ops) {
		if m.Mine() && strings.Contains(m.Text, text) {
			n++
		}
	}
	return n
}

// whisper waits for a message that only this person sees.
func (b *bundle) whisper(user, text string) slacksim.Message {
	b.t.Helper()
	var found slacksim.Message
	b.await("an ephemeral for "+user+" with "+text, func(s *slacksim.Snapshot) bool {
		for _, m := range s.Ephemerals(user) {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// modal waits for an open view whose blocks hold the text.
func (b *bundle) modal(user, text string) slacksim.View {
	b.t.Helper()
	var found slacksim.View
	b.await("a view of "+user+" with "+text, func(s *slacksim.Snapshot) bool {
		for _, v := range s.Modals(user) {
			if strings.Contains(string(v.Blocks), text) {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

// ask opens a request as oncall and returns its message.
func (b *bundle) ask() slacksim.Message {
	b.t.Helper()
	b.say(oncall, "failover orders -- kernel upgrade")
	m := b.message("Switchover of orders: 0 of 2 approvals")
	b.settled()
	return m
}

// settled waits until everything in the audit log is delivered.
func (b *bundle) settled() {
	b.t.Helper()
	b.until("the log to be delivered to its end", func() bool {
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		return b.store.cursors["slack"] == uint64(len(b.store.events))
	})
}

// logged waits for a line in the log.
func (b *bundle) logged(text string) {
	b.t.Helper()
	b.until(text+" in the log", func() bool { return strings.Contains(b.logs.String(), text) })
}

// until polls what wakes nobody, such as the log.
func (b *bundle) until(what string, holds func() bool) {
	b.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatalf("waiting for %s\n%s\nlog:\n%s", what, b.Transcript(), b.logs)
		}
	}
}

// asked is the only request.
func (b *bundle) asked() approvals.Request {
	b.t.Helper()
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if len(b.store.order) != 1 {
		b.t.Fatalf("there are %d requests", len(b.store.order))
	}
	return b.store.requests[b.store.order[0]]
}

// approved asks and lets two people approve.
func (b *bundle) approved() approvals.Request {
	b.t.Helper()
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	b.message("1 of 2 approvals")
	b.press(dba2, m.TS, "approve")
	b.message("2 of 2 approvals, checking again")
	return b.asked()
}

// must ends the test on an error of the test's own making.
func (b *bundle) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}
