package bot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"twokey/actions"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
)

func inSocketMode(s *setup) { s.socket = true }

// transport is what /readyz says of it.
func (b *bundle) transport() (state struct {
	Kind        string
	Connections int
	Wanted      int
	Trouble     string
	Last        string `json:"last_delivery"`
}, status int) {
	b.t.Helper()
	status, answer := b.get("/readyz")
	out := struct{ Transport any }{&state}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		b.t.Fatalf("%v in %s", err, answer)
	}
	return state, status
}

func (b *bundle) connected(n int) {
	b.t.Helper()
	b.await(fmt.Sprintf("%d connections", n), func(s *slacksim.Snapshot) bool { return s.Connections() == n })
	b.until("the bot to know", func() bool { got, _ := b.transport(); return got.Connections == n })
}

func TestReadinessNamesTheTransport(t *testing.T) {
	t.Parallel()
	over := newBundle(t)
	over.say(oncall, "help")
	if got, status := over.transport(); status != http.StatusOK || got.Kind != "http" || got.Last == "" {
		t.Errorf("over HTTP: %d %+v", status, got)
	}
	socket := newBundle(t, inSocketMode)
	socket.connected(2)
	if got, status := socket.transport(); status != http.StatusOK || got.Kind != "socket" || got.Wanted != 2 || got.Last != "" {
		t.Errorf("over Socket Mode: %d %+v", status, got)
	}
	if status, _ := socket.send("/slack/commands", http.Header{}, nil); status != http.StatusNotFound {
		t.Errorf("a bot without a signing secret answers deliveries over HTTP with %d", status)
	}
}

// TestNoCommandIsLostWhileConnectionsAreReplaced: Slack asks for new connections
// every few hours; a press in that moment must not fail.
func TestNoCommandIsLostWhileConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	b.connected(2)
	for i := range 20 {
		if i%4 == 3 {
			b.Disconnect("refresh_requested")
			b.await("a new connection", func(s *slacksim.Snapshot) bool { return s.Connections() > 0 })
		}
		b.say(oncall, "help") // fails unless it is acknowledged
	}
	b.connected(2)
}

// TestWhatIsInHandIsAcknowledgedOverTheConnectionThatLeaves: the vote is being
// counted when Slack asks for another connection.
func TestWhatIsInHandIsAcknowledgedOverTheConnectionThatLeaves(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	m := b.ask()
	began, release := make(chan struct{}), make(chan struct{})
	b.desk.setDelay(func(context.Context) error { close(began); <-release; return nil })
	pressed := make(chan slacksim.Delivery, 1)
	go func() {
		d, _ := b.Press(b.ctx, dba1, ops, m.TS, "approve")
		pressed <- d
	}()
	<-began
	b.Disconnect("warning")
	close(release)
	if d := <-pressed; !d.Acknowledged() {
		t.Errorf("the press was not acknowledged: %s", d)
	}
	b.message("1 of 2 approvals")
}

func TestABotThatStopsAcknowledgesWhatItHas(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	m := b.ask()
	began, release := make(chan struct{}), make(chan struct{})
	b.desk.setDelay(func(context.Context) error { close(began); <-release; return nil })
	pressed := make(chan slacksim.Delivery, 1)
	go func() {
		d, _ := b.Press(b.ctx, dba1, ops, m.TS, "approve")
		pressed <- d
	}()
	<-began
	var stopped sync.WaitGroup
	stopped.Go(b.stop)
	close(release)
	if d := <-pressed; !d.Acknowledged() {
		t.Errorf("the press was not acknowledged: %s", d)
	}
	stopped.Wait()
	b.await("the connections to end", func(s *slacksim.Snapshot) bool { return s.Connections() == 0 })
	if votes := b.asked().Votes; len(votes) != 1 {
		t.Errorf("votes %+v", votes)
	}
}

func TestConnectionsThatAreCutComeBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(s *setup) { s.bot.Connections = 3 })
	b.connected(3)
	b.Fail("apps.connections.open", slacksim.Down())
	b.Drop()
	b.until("the bot to see that it is deaf", func() bool { _, status := b.transport(); return status == http.StatusServiceUnavailable })
	if _, answer := b.get("/readyz"); !strings.Contains(answer, "no Socket Mode connection") {
		t.Errorf("readyz says %s", answer)
	}
	b.Heal(slacksim.Any)
	b.connected(3)
	b.say(oncall, "status")
	b.message("orders: synchronous")
}

// TestEachEnvelopeIsWorkedOnOnce: several connections get different envelopes,
// and one that comes twice (its acknowledgement was lost) is acknowledged twice.
func TestEachEnvelopeIsWorkedOnOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(s *setup) { s.bot.Connections = 4 })
	b.connected(4)
	d := b.say(oncall, "insert-test")
	for range 8 { // twice over every connection
		if again := b.Replay(b.ctx, d); !again.Acknowledged() || again.ID != d.ID {
			t.Errorf("a second copy was not acknowledged: %s", again)
		}
	}
	b.message("test row 42")
	b.settled()
	if n := b.store.count("test-row"); n != 1 {
		t.Errorf("%d test rows from one envelope", n)
	}
}

// TestWhatIsTooLargeForAnAcknowledgementIsSentOtherwise: Slack drops
// acknowledgements of 20 kB and more without a word.
func TestWhatIsTooLargeForAnAcknowledgementIsSentOtherwise(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(s *setup) { s.before = (*bot.Bot).AnswerAtLength })
	if d := b.say(oncall, "help"); len(d.Response) != 0 {
		t.Errorf("the acknowledgement holds %d bytes", len(d.Response))
	}
	if m := b.whisper(oncall, "€€€"); m.From != slacksim.ResponseURLs || len(m.Blocks) < 20_000 {
		t.Errorf("it came by %s, with %d bytes of blocks", m.From, len(m.Blocks))
	}
}

func TestAViewThatIsTooLargeForAnAcknowledgementIsFilledAfterwards(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	m := b.ask()
	b.stop()
	b.setup.before = (*bot.Bot).AnswerAtLength
	b.startBot()
	b.press(dba1, m.TS, "deny")
	v := b.modal(dba1, "Switchover of orders")
	d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"text": "no"})
	if err != nil || !d.Acknowledged() || len(d.Response) == 0 || len(d.Response) >= 20_000 {
		t.Fatalf("%v, %s, %d bytes", err, d, len(d.Response))
	}
	if full := b.modal(dba1, "the end"); full.ID != v.ID || len(full.Blocks) < 20_000 {
		t.Errorf("the view has %d bytes of blocks", len(full.Blocks))
	}
}

func TestAnAppTokenThatIsRefusedIsExplained(t *testing.T) {
	t.Parallel()
	for code, remedy := range map[string]string{
		"invalid_auth": "app-level token", "missing_scope": "connections:write", "socket_mode_not_enabled": "switch Socket Mode on",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, inSocketMode)
			b.connected(2)
			b.Fail("apps.connections.open", slacksim.Error(code))
			b.Drop()
			b.until("the remedy in /readyz", func() bool {
				_, answer := b.get("/readyz")
				return strings.Contains(answer, code) && strings.Contains(answer, remedy)
			})
			b.logged(remedy)
			b.Heal(slacksim.Any)
			b.connected(2)
		})
	}
}

func TestSocketModeThatWasSwitchedOffIsExplained(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	b.connected(2)
	b.Fail("apps.connections.open", slacksim.Down())
	b.Disconnect("link_disabled")
	b.logged("switch Socket Mode on")
}

func TestRetryAfterOfConnectingIsObeyed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(s *setup) { s.bot.Connections = 1 })
	b.connected(1)
	b.Fail("apps.connections.open", slacksim.RateLimit(time.Second).Times(1))
	b.Drop()
	b.await("the connection to go", func(s *slacksim.Snapshot) bool { return s.Connections() == 0 })
	b.connected(1)
	var at []time.Time
	for _, c := range b.Calls() {
		if c.Method == "apps.connections.open" {
			at = append(at, c.At)
		}
	}
	if len(at) != 3 || at[2].Sub(at[1]) < time.Second {
		t.Errorf("calls at %v", at)
	}
}

// fakeSlack answers apps.connections.open with an address of the test's choice,
// and speaks on the connections to its own whatever the test likes.
type fakeSlack struct {
	url   string
	mu    sync.Mutex
	calls int
}

func newFakeSlack(t *testing.T, address func(own string) string, speak func(context.Context, *websocket.Conn)) *fakeSlack {
	t.Helper()
	f := &fakeSlack{}
	f.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/link" {
			f.mu.Lock()
			f.calls++
			f.mu.Unlock()
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "url": address("ws" + strings.TrimPrefix(f.url, "http") + "/link")})
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		speak(t.Context(), conn)
	})
	return f
}

func same(own string) string { return own }

// runOn runs a bot in Socket Mode on a fake Slack until the test ends.
func (f *fakeSlack) runOn(t *testing.T, change func(*bot.Options)) *logs {
	t.Helper()
	store, log := newMemory(time.Now), &logs{}
	o := bot.Options{
		Team: team, Channel: ops, APIURL: f.url + "/api/", Token: secret.New("xoxb"), AppToken: secret.New("xapp"), People: people(),
		Desk: &desk{store: store, pairs: []actions.Pair{ordersPair()}, now: time.Now}, Outbox: store, Log: log.logger(), Pace: fastPace(), Connections: 1,
	}
	if change != nil {
		change(&o)
	}
	b, err := bot.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	return log
}

func (l *logs) await(t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting for %q in the log:\n%s", text, l)
		}
	}
}

func TestThreatSocketAddressLeadingElsewhere(t *testing.T) {
	t.Parallel()
	dialled := make(chan struct{}, 100)
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { dialled <- struct{}{} })
	for name, address := range map[string]string{
		"another host": "ws" + strings.TrimPrefix(elsewhere, "http") + "/link", "no WebSocket": "https://slack.com/link",
		"a name that ends alike": "wss://evilslack.com/link", "a user in the address": "wss://wss.slack.com@127.0.0.1:1/link", "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeSlack(t, func(string) string { return address }, nil)
			f.runOn(t, nil).await(t, "doesn't lead to Slack")
		})
	}
	if len(dialled) != 0 {
		t.Error("the bot connected to a stranger")
	}
}

func hello(ctx context.Context, conn *websocket.Conn) error {
	return conn.Write(ctx, websocket.MessageText, []byte(`{"type":"hello","num_connections":1,"connection_info":{"app_id":"A0TWOKEY01"}}`))
}

func TestAConnectionOfAnotherAppIsRefused(t *testing.T) {
	t.Parallel()
	f := newFakeSlack(t, same, func(ctx context.Context, conn *websocket.Conn) { _ = hello(ctx, conn); <-ctx.Done() })
	f.runOn(t, func(o *bot.Options) { o.AppID = "A0OTHER001" }).await(t, "the app-level token is of app A0TWOKEY01, the bot is configured for A0OTHER001")
}

func TestAConnectionWithoutHelloCountsForNothing(t *testing.T) {
	t.Parallel()
	f := newFakeSlack(t, same, func(ctx context.Context, conn *websocket.Conn) {
		_ = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"events_api","envelope_id":"e1","payload":{}}`))
		<-ctx.Done()
	})
	f.runOn(t, nil).await(t, "sent no hello")
}

// TestADeadConnectionIsNoticed: nothing comes any more, not even pongs, and
// nothing says so.
func TestADeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	again := make(chan struct{}, 100)
	f := newFakeSlack(t, same, func(ctx context.Context, conn *websocket.Conn) {
		again <- struct{}{}
		_ = hello(ctx, conn)
		<-ctx.Done() // reads nothing, so it answers no ping
	})
	f.runOn(t, func(o *bot.Options) { o.Pace.Silence = 50 * time.Millisecond })
	for range 3 {
		<-again // the test's own deadline tells if it doesn't come
	}
}

func TestFramesThatMeanNothingDoNoHarm(t *testing.T) {
	t.Parallel()
	acked := make(chan string, 10)
	f := newFakeSlack(t, same, func(ctx context.Context, conn *websocket.Conn) {
		_ = hello(ctx, conn)
		for _, frame := range []string{
			`{`, `[]`, `{"type":7}`, `{"envelope_id":"without-type"}`, `{"type":"hello"}`,
			`{"type":"a_kind_of_tomorrow","envelope_id":"e-new","payload":{"x":1}}`,
			`{"type":"slash_commands","envelope_id":"e-list","payload":[1,2]}`,
			`{"type":"interactive","envelope_id":"e-none"}`,
			`{"type":"events_api","envelope_id":"e-event","payload":{"type":"event_callback","team_id":"T9"}}`,
		} {
			_ = conn.Write(ctx, websocket.MessageText, []byte(frame))
		}
		for {
			_, raw, err := conn.Read(ctx)
			if err != nil {
				return
			}
			var ack struct {
				ID string `json:"envelope_id"`
			}
			_ = json.Unmarshal(raw, &ack)
			acked <- ack.ID
		}
	})
	log := f.runOn(t, nil)
	got := map[string]bool{<-acked: true, <-acked: true}
	if !got["e-new"] || !got["e-event"] {
		t.Errorf("acknowledged %v", got)
	}
	log.await(t, "e-list")
	log.await(t, "e-none")
	if len(acked) != 0 {
		t.Error("what couldn't be read was acknowledged")
	}
}
