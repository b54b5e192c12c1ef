package slacksim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	maxAck         = 20_000 // bytes; Slack drops longer acknowledgements silently
	maxSockets     = 10     // open connections of one app
	socketLife     = 18_060 * time.Second
	debugLife      = 360 * time.Second // with debug_reconnects
	ticketLife     = 30 * time.Second
	pingEvery      = 5 * time.Second
	disconnectWait = 10 * time.Second
)

// sockets are the app's Socket Mode connections.
type sockets struct {
	tickets map[string]time.Time // single-use rights to connect, and until when
	open    []*socket
	turn    int                    // whose turn the next envelope is
	acks    map[string]chan []byte // by envelope_id
}

// socket is one connection. It takes no envelopes while leaving.
type socket struct {
	conn    *websocket.Conn
	life    time.Duration
	gone    chan struct{}
	leaving bool
}

func newSockets() sockets {
	return sockets{tickets: map[string]time.Time{}, acks: map[string]chan []byte{}}
}

func connectionsOpen(w *Workspace, c *call) (reply, error) {
	if !w.opt.SocketMode {
		return nil, fail("socket_mode_not_enabled")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now, ticket := w.opt.Now(), randomHex(16)
	for t, until := range w.sockets.tickets {
		if now.After(until) {
			delete(w.sockets.tickets, t)
		}
	}
	w.sockets.tickets[ticket] = now.Add(ticketLife)
	return reply{"url": "ws" + strings.TrimPrefix(c.base, "http") + "/link/?ticket=" + ticket + "&app_id=" + AppID}, nil
}

// serveSocket is one Socket Mode connection from its handshake to its end.
func (w *Workspace) serveSocket(rw http.ResponseWriter, r *http.Request) {
	if !w.redeemTicket(r.URL.Query().Get("ticket")) {
		http.Error(rw, "unknown, used or expired ticket", http.StatusNotFound)
		return
	}
	if !w.enter() {
		return
	}
	defer w.owned.Done()
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the ticket authenticates; clients send Slack's origin
	if err != nil {
		w.opt.Log.Info("socket mode handshake failed", "error", err)
		return
	}
	defer func() { _ = conn.CloseNow() }() // it may be closed in good order already
	s := &socket{conn: conn, life: w.lifeOf(r), gone: make(chan struct{})}
	defer close(s.gone)
	ctx, cancel := context.WithCancel(w.context)
	defer cancel()
	w.converse(ctx, s)
}

// lifeOf is how long the connection that a client asks for will stand.
func (w *Workspace) lifeOf(r *http.Request) time.Duration {
	switch {
	case w.opt.SocketLife > 0:
		return w.opt.SocketLife
	case r.URL.Query().Get("debug_reconnects") == "true":
		return debugLife
	}
	return socketLife
}

// enter makes the calling goroutine one that Close waits for.
func (w *Workspace) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.owned.Add(1)
	return true
}

func (w *Workspace) redeemTicket(ticket string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.sockets.tickets[ticket]
	delete(w.sockets.tickets, ticket)
	return ok && w.opt.Now().Before(until)
}

func (w *Workspace) converse(ctx context.Context, s *socket) {
	n := w.connected(s, true)
	hello := reply{
		"type": "hello", "num_connections": n, "connection_info": reply{"app_id": AppID},
		"debug_info": reply{"host": "applink-sim", "build_number": 1, "approximate_connection_time": int(s.life / time.Second)},
	}
	defer w.connected(s, false)
	if s.write(ctx, hello) != nil {
		return
	}
	w.spawn(func(context.Context) { s.ping(ctx) })
	w.spawn(func(context.Context) { w.retire(ctx, s, n) })
	s.conn.SetReadLimit(1 << 20)
	for {
		_, raw, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		w.acknowledged(raw)
	}
}

// retire asks a connection to go when its time has come, or at once when the
// app has too many.
func (w *Workspace) retire(ctx context.Context, s *socket, n int) {
	if n > maxSockets {
		w.leave(s)
		s.dismiss(ctx, "too_many_websockets")
		return
	}
	timer := time.NewTimer(s.life)
	defer timer.Stop()
	select {
	case <-timer.C:
		w.leave(s)
		s.dismiss(ctx, "refresh_requested")
	case <-s.gone:
	case <-ctx.Done():
	}
}

// connected adds or removes a connection and returns how many take envelopes.
func (w *Workspace) connected(s *socket, now bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets.open = slices.DeleteFunc(slices.Clone(w.sockets.open), func(o *socket) bool { return o == s })
	if now {
		w.sockets.open = append(w.sockets.open, s)
	}
	w.countLocked()
	return w.st.connections
}

func (w *Workspace) countLocked() {
	w.st.connections = len(w.ableLocked())
	w.wakeLocked()
}

// ableLocked are the connections that take envelopes.
func (w *Workspace) ableLocked() []*socket {
	return slices.DeleteFunc(slices.Clone(w.sockets.open), func(s *socket) bool { return s.leaving })
}

// Connections counts the app's Socket Mode connections that take envelopes:
// those that are open and were not asked to go.
func (s *Snapshot) Connections() int { return s.st.connections }

func (s *socket) write(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode for socket mode: %w", err)
	}
	return s.conn.Write(ctx, websocket.MessageText, raw)
}

// ping keeps the connection known to be alive, as Slack does.
func (s *socket) ping(ctx context.Context) {
	for {
		if s.conn.Ping(ctx) != nil {
			return
		}
		select {
		case <-time.After(pingEvery):
		case <-s.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (w *Workspace) acknowledged(raw []byte) {
	var ack struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	if len(raw) >= maxAck || json.Unmarshal(raw, &ack) != nil {
		w.opt.Log.Info("socket mode acknowledgement dropped", "bytes", len(raw))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting, ok := w.sockets.acks[ack.EnvelopeID]; ok {
		delete(w.sockets.acks, ack.EnvelopeID)
		waiting <- ack.Payload // buffered for its one value
	}
}

// Disconnect asks every Socket Mode connection to go ("warning",
// "refresh_requested", "link_disabled") and cuts those that are still there
// after ten seconds. They get no further envelopes; what was sent over them can
// still be acknowledged.
func (w *Workspace) Disconnect(reason string) {
	w.mu.Lock()
	open := slices.Clone(w.sockets.open)
	for _, s := range open {
		s.leaving = true
	}
	w.countLocked()
	w.mu.Unlock()
	for _, s := range open {
		w.spawn(func(ctx context.Context) { s.dismiss(ctx, reason) })
	}
}

func (s *socket) dismiss(ctx context.Context, reason string) {
	bye := reply{"type": "disconnect", "reason": reason, "debug_info": reply{"host": "applink-sim"}}
	if s.write(ctx, bye) == nil {
		select {
		case <-s.gone:
		case <-time.After(disconnectWait):
		case <-ctx.Done():
		}
	}
	_ = s.conn.CloseNow() // ends converse, which is all that matters
}

// Drop cuts every Socket Mode connection without a word.
func (w *Workspace) Drop() {
	w.mu.Lock()
	open := slices.Clone(w.sockets.open)
	w.mu.Unlock()
	for _, s := range open {
		_ = s.conn.CloseNow() // as above
	}
}
