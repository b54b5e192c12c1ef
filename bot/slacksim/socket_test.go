package slacksim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"twokey/bot/slacksim"
)

func inSocketMode(o *slacksim.Options) { o.SocketMode = true }

// listener is the official client at the other end of one connection.
type listener struct {
	client *socketmode.Client
	mu     sync.Mutex
	got    []socketmode.Event
	answer func(socketmode.Event) any // nil for no acknowledgement
}

func (b *bundle) listen(t *testing.T, answer func(socketmode.Event) any) *listener {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	api := slack.New(b.BotToken(), slack.OptionAppLevelToken(b.AppToken()), slack.OptionAPIURL(b.APIURL(b.base)), slack.OptionHTTPClient(hc))
	l := &listener{client: socketmode.New(api), answer: answer}
	before := b.Snapshot().Connections()
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = l.client.RunContext(ctx) }) // ends by cancel
	running.Go(func() { l.handle(ctx) })
	t.Cleanup(func() { cancel(); b.Drop(); running.Wait() })
	if err := b.Wait(b.ctx, func(s *slacksim.Snapshot) bool { return s.Connections() > before }); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *listener) handle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-l.client.Events:
			if e.Request == nil || e.Request.EnvelopeID == "" {
				continue
			}
			l.mu.Lock()
			l.got = append(l.got, e)
			l.mu.Unlock()
			if l.answer == nil {
				continue
			}
			if payload := l.answer(e); payload != nil {
				_ = l.client.AckCtx(ctx, e.Request.EnvelopeID, payload)
			} else {
				_ = l.client.AckCtx(ctx, e.Request.EnvelopeID, nil)
			}
		}
	}
}

func (l *listener) events() []socketmode.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]socketmode.Event(nil), l.got...)
}

func noPayload(socketmode.Event) any { return nil }

func TestSocketModeCarriesCommandsAndTheirAnswers(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	l := b.listen(t, func(socketmode.Event) any { return map[string]any{"text": "on it"} })
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status")
	if err != nil || !d.Acknowledged() {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	got := l.events()
	if len(got) != 1 || got[0].Type != socketmode.EventTypeSlashCommand {
		t.Fatalf("events %+v", got)
	}
	cmd := got[0].Data.(slack.SlashCommand)
	if cmd.Command != "/pg" || cmd.Text != "status" || cmd.UserID != oncall || cmd.ResponseURL != d.ResponseURL {
		t.Errorf("command %+v", cmd)
	}
	if e := b.Ephemerals(oncall); len(e) != 1 || e[0].Text != "on it" {
		t.Errorf("shown %+v", e)
	}
	if len(b.app.requests()) != 0 {
		t.Error("it also went over HTTP")
	}
}

func TestSocketModeCarriesPressesAndModals(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	l := b.listen(t, func(e socketmode.Event) any {
		if cb, ok := e.Data.(slack.InteractionCallback); ok && cb.Type == slack.InteractionTypeViewSubmission {
			return slack.NewErrorsViewSubmissionResponse(map[string]string{"reason": "say more"})
		}
		return nil
	})
	d, err := b.Press(b.ctx, dba1, ops, b.postButtons(t), "deny")
	if err != nil || !d.Acknowledged() {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	v, err := b.api.OpenViewContext(b.ctx, d.TriggerID, aModal("Deny"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"reason": "because"}); err != nil || !d.Acknowledged() {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	if open := b.Modals(dba1); len(open) != 1 || open[0].Errors["reason"] != "say more" {
		t.Errorf("views %+v", open)
	}
	if got := l.events(); len(got) != 2 || got[0].Type != socketmode.EventTypeInteractive {
		t.Errorf("events %+v", got)
	}
}

func TestEachEnvelopeGoesToExactlyOneConnection(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	first, second := b.listen(t, noPayload), b.listen(t, noPayload)
	for range 6 {
		if d, err := b.Command(b.ctx, oncall, ops, "/pg", "status"); err != nil || !d.Acknowledged() {
			t.Fatalf("delivery %+v, %v", d, err)
		}
	}
	if a, z := len(first.events()), len(second.events()); a != 3 || z != 3 {
		t.Errorf("%d and %d", a, z)
	}
}

func TestNoConnectionIsDispatchFailed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	if d, err := b.Command(b.ctx, oncall, ops, "/pg", "status"); err != nil || d.Failure != "dispatch_failed" {
		t.Errorf("delivery %+v, %v", d, err)
	}
}

func TestUnacknowledgedEnvelopeTimesOut(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(o *slacksim.Options) { o.AckTimeout = 50 * time.Millisecond })
	b.listen(t, nil)
	if d, err := b.Command(b.ctx, oncall, ops, "/pg", "status"); err != nil || d.Failure != "operation_timeout" {
		t.Errorf("delivery %+v, %v", d, err)
	}
}

func TestClientReconnectsWhenAskedTo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	b.listen(t, noPayload)
	calls := b.Snapshot().Calls("apps.connections.open")
	b.Disconnect("refresh_requested")
	err := b.Wait(b.ctx, func(s *slacksim.Snapshot) bool {
		return s.Calls("apps.connections.open") > calls && s.Connections() == 1
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := b.Command(b.ctx, oncall, ops, "/pg", "status"); err != nil || !d.Acknowledged() {
		t.Errorf("delivery %+v, %v", d, err)
	}
}

// dial connects without the official client, to break its rules.
func (b *bundle) dial(t *testing.T) *websocket.Conn {
	t.Helper()
	a, err := b.call(t, "apps.connections.open", b.AppToken(), "", "")
	if err != nil || a.body["ok"] != true {
		t.Fatalf("%s, %v", a.raw, err)
	}
	address := a.body["url"].(string)
	conn, resp, err := websocket.DefaultDialer.DialContext(b.ctx, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_, again, err := websocket.DefaultDialer.DialContext(b.ctx, address, nil)
	if err == nil || again == nil || again.StatusCode != http.StatusNotFound {
		t.Fatalf("a ticket worked twice: %v", err)
	}
	_ = again.Body.Close()
	if hello := read(t, conn); hello["type"] != "hello" {
		t.Fatalf("first message %v", hello)
	}
	return conn
}

func read(t *testing.T, conn *websocket.Conn) object {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, raw, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var v object
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAcknowledgementsOf20kBVanish(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(o *slacksim.Options) { o.AckTimeout = 10 * time.Second })
	conn := b.dial(t)
	done := make(chan slacksim.Delivery, 1)
	go func() { d, _ := b.Command(b.ctx, oncall, ops, "/pg", "status"); done <- d }()
	id := read(t, conn)["envelope_id"]
	big := object{"envelope_id": id, "payload": object{"text": strings.Repeat("x", 20_000)}}
	if err := conn.WriteJSON(big); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteJSON(object{"envelope_id": id, "payload": object{"text": "short"}}); err != nil {
		t.Fatal(err)
	}
	if d := <-done; !d.Acknowledged() || !strings.Contains(string(d.Response), "short") {
		t.Errorf("delivery %+v", d)
	}
}

func TestEnvelopeMovesToAnotherConnection(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(o *slacksim.Options) { o.AckTimeout = 10 * time.Second })
	first, second := b.dial(t), b.dial(t)
	done := make(chan slacksim.Delivery, 1)
	got := make(chan object, 2)
	go func() { d, _ := b.Command(b.ctx, oncall, ops, "/pg", "status"); done <- d }()
	holder := make(chan *websocket.Conn, 2)
	for _, c := range []*websocket.Conn{first, second} {
		go func() {
			var v object
			if c.ReadJSON(&v) == nil {
				holder <- c
				got <- v
			}
		}()
	}
	dying, envelope := <-holder, <-got
	_ = dying.Close() // without an acknowledgement
	living, again := <-holder, <-got
	if again["envelope_id"] != envelope["envelope_id"] {
		t.Errorf("another envelope came: %v, %v", envelope, again)
	}
	if err := living.WriteJSON(object{"envelope_id": again["envelope_id"]}); err != nil {
		t.Fatal(err)
	}
	if d := <-done; !d.Acknowledged() {
		t.Errorf("delivery %+v", d)
	}
}

func TestEventsComeOverSocketModeToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, withEvents, inSocketMode)
	l := b.listen(t, noPayload)
	if err := b.OpenHome(oncall); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for len(l.events()) == 0 {
		select {
		case <-deadline:
			t.Fatal("no event came")
		case <-time.After(time.Millisecond):
		}
	}
	if e := l.events()[0]; e.Type != socketmode.EventTypeEventsAPI {
		t.Errorf("event %+v", e)
	}
}

func TestSocketModeMustBeSwitchedOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if a, err := b.call(t, "apps.connections.open", b.AppToken(), "", ""); err != nil || a.code() != "socket_mode_not_enabled" {
		t.Errorf("%s, %v", a.raw, err)
	}
}

func TestConnectionsAreReplacedWhenTheirTimeHasCome(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode, func(o *slacksim.Options) { o.SocketLife = 50 * time.Millisecond })
	conn := b.dial(t)
	if bye := read(t, conn); bye["type"] != "disconnect" || bye["reason"] != "refresh_requested" {
		t.Errorf("got %v", bye)
	}
	if n := b.Snapshot().Connections(); n != 0 {
		t.Errorf("%d connections still take envelopes", n)
	}
}

func TestAnAppHasTenConnectionsAtMost(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	for range 10 {
		b.dial(t)
	}
	if bye := read(t, b.dial(t)); bye["type"] != "disconnect" || bye["reason"] != "too_many_websockets" {
		t.Errorf("the eleventh got %v", bye)
	}
	if n := b.Snapshot().Connections(); n != 10 {
		t.Errorf("%d connections take envelopes", n)
	}
}

func TestDebugReconnectsShortensAConnectionsLife(t *testing.T) {
	t.Parallel()
	b := newBundle(t, inSocketMode)
	a, err := b.call(t, "apps.connections.open", b.AppToken(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	conn, resp, err := websocket.DefaultDialer.DialContext(b.ctx, a.body["url"].(string)+"&debug_reconnects=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer func() { _ = conn.Close() }()
	hello := read(t, conn)
	if info := hello["debug_info"].(object); info["approximate_connection_time"] != 360.0 {
		t.Errorf("hello %v", hello)
	}
}
