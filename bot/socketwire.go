package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait   = 5 * time.Second
	leaveWithin = 15 * time.Second // for a connection that Slack asked to go; Slack cuts it after ten
	linger      = time.Second      // for one that was replaced
)

// wire is one WebSocket connection. One goroutine reads it; writes are serialised.
type wire struct {
	conn    *websocket.Conn
	silence time.Duration  // without a word or a pong for so long it is dead
	work    sync.WaitGroup // envelopes that are being worked on

	writing sync.Mutex

	mu    sync.Mutex
	hush  bool          // the deadline for reading is not moved any more
	ended chan struct{} // closed when no envelope will come any more, or Slack asked to go
	why   error
}

func newWire(conn *websocket.Conn, silence time.Duration) *wire {
	conn.SetReadLimit(maxEnvelope)
	return &wire{conn: conn, silence: silence, ended: make(chan struct{})}
}

// askedToGo is Slack's wish that a connection be replaced.
type askedToGo struct{ reason string }

func (a *askedToGo) Error() string { return "slack asked for a new connection: " + a.reason }

// end says that the line needs another connection; only the first reason counts.
func (w *wire) end(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == nil {
		w.why = why
		close(w.ended)
	}
}

func (w *wire) awaitEnd() error {
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// alive moves the deadline for reading: something came.
func (w *wire) alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hush {
		return nil
	}
	return w.conn.SetReadDeadline(time.Now().Add(w.silence))
}

// listenUntil ends reading at a moment, whatever comes until then.
func (w *wire) listenUntil(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hush = true
	_ = w.conn.SetReadDeadline(t) // of a connection that is closed: nothing is read from that either
}

func (w *wire) write(raw []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return w.conn.WriteMessage(websocket.TextMessage, raw)
}

// converse reads a connection until it ends or ctx does. What is in hand then
// is acknowledged before it closes; what wasn't read is Slack's to deliver again.
func (s *sockets) converse(ctx context.Context, w *wire) {
	defer context.AfterFunc(ctx, func() { w.listenUntil(time.Now()) })()
	pinging, stop := context.WithCancel(context.WithoutCancel(ctx))
	var pinger sync.WaitGroup
	pinger.Go(func() { w.ping(pinging) })
	w.heed()
	err := w.alive()
	for err == nil {
		var raw []byte
		if _, raw, err = w.conn.ReadMessage(); err == nil {
			s.received(ctx, w, raw)
			err = w.alive()
		}
	}
	w.end(fmt.Errorf("socket: %w", err))
	w.work.Wait()
	stop()
	pinger.Wait()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = w.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeWait)) // good manners, where it still stands
	_ = w.conn.Close()
}

// heed answers pings and takes both pings and pongs as signs of life.
func (w *wire) heed() {
	w.conn.SetPingHandler(func(data string) error {
		err := w.conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeWait))
		if errors.Is(err, websocket.ErrCloseSent) {
			err = nil
		}
		return errors.Join(err, w.alive())
	})
	w.conn.SetPongHandler(func(string) error { return w.alive() })
}

func (w *wire) ping(ctx context.Context) {
	tick := time.NewTicker(max(w.silence/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = w.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) // silence will tell
		}
	}
}

// socketEnvelope is what Slack sends over Socket Mode.
type socketEnvelope struct {
	Type           string          `json:"type"`
	ID             string          `json:"envelope_id"`
	Payload        json.RawMessage `json:"payload"`
	TakesAnswer    bool            `json:"accepts_response_payload"`
	Retry          int             `json:"retry_attempt"`
	Reason         string          `json:"reason"`          // of a disconnect
	Connections    int             `json:"num_connections"` // of a hello
	ConnectionInfo struct {
		AppID string `json:"app_id"`
	} `json:"connection_info"` // of a hello
}

func parseSocketEnvelope(raw []byte) (socketEnvelope, bool) {
	var e socketEnvelope
	err := json.Unmarshal(raw, &e)
	return e, err == nil && e.Type != ""
}

// delivery is the envelope's content, the same as HTTP would have brought it.
func (e socketEnvelope) delivery() (delivery, bool) {
	d := delivery{key: e.ID, payload: e.Payload}
	switch e.Type {
	case "slash_commands":
		d.kind = kindCommand
		var fields map[string]any
		if json.Unmarshal(e.Payload, &fields) != nil {
			return d, true // answered as any malformed one
		}
		d.form = url.Values{}
		for k, v := range fields {
			if text, ok := v.(string); ok {
				d.form.Set(k, text)
			}
		}
	case "interactive":
		d.kind = kindInteraction
	case "events_api":
		d.kind = kindEvent
	default:
		return d, false
	}
	return d, true
}

// received handles one frame. Envelopes are worked on beside one another; with
// all slots taken the connection isn't read.
func (s *sockets) received(ctx context.Context, w *wire, raw []byte) {
	e, ok := parseSocketEnvelope(raw)
	switch {
	case !ok:
		s.opt.Log.Warn("a Socket Mode frame can't be read", "bytes", len(raw))
	case e.Type == "disconnect":
		w.listenUntil(time.Now().Add(leaveWithin))
		w.end(&askedToGo{e.Reason})
	case e.ID != "":
		s.busy <- struct{}{}
		w.work.Go(func() {
			defer func() { <-s.busy }()
			s.handle(ctx, w, e)
		})
	}
}

// handle does an envelope's work and acknowledges it. What wasn't taken stays
// without acknowledgement: Slack delivers it again, or tells the person.
func (s *sockets) handle(ctx context.Context, w *wire, e socketEnvelope) {
	d, known := e.delivery()
	a := acknowledged // of a kind that we don't use
	if known {
		a = s.take(d)
	}
	if a.status != http.StatusOK {
		s.opt.Log.Warn("a delivery was not taken", "type", e.Type, "envelope", e.ID, "retry", e.Retry, "status", a.status)
		return
	}
	raw, whole, err := e.ack(a)
	if err == nil {
		err = w.write(raw)
	}
	if err != nil {
		s.opt.Log.Warn("an acknowledgement didn't leave; Slack will deliver again", "type", e.Type, "envelope", e.ID, "error", err)
		return
	}
	if !whole {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		a.rest(ctx)
	}
}

type socketAck struct {
	ID      string `json:"envelope_id"`
	Payload any    `json:"payload,omitempty"`
}

// ack is the frame that acknowledges the envelope. whole says that it holds all
// that there is to say; else rest has to follow.
func (e socketEnvelope) ack(a ack) (raw []byte, whole bool, err error) {
	if e.TakesAnswer {
		if raw, err = json.Marshal(socketAck{e.ID, a.body}); err != nil || len(raw) < maxAck {
			return raw, true, err
		}
		if a.small != nil {
			raw, err = json.Marshal(socketAck{e.ID, a.small})
			return raw, a.rest == nil, err
		}
	}
	raw, err = json.Marshal(socketAck{ID: e.ID})
	return raw, a.rest == nil, err
}
