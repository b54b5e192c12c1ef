package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// pick takes the next connection in turn: each envelope goes to exactly one.
func (w *Workspace) pick() *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	able := w.ableLocked()
	if len(able) == 0 {
		return nil
	}
	w.sockets.turn++
	return able[w.sockets.turn%len(able)]
}

var errNoSocket = errors.New("the app has no socket mode connection")

// sendEnvelope delivers over one connection and waits for the acknowledgement.
// A connection that ends meanwhile makes it go to another one.
func (w *Workspace) sendEnvelope(ctx context.Context, out outgoing) Delivery {
	return w.sendEnvelopeAs(ctx, w.envelopeID(), out)
}

func (w *Workspace) sendEnvelopeAs(ctx context.Context, id string, out outgoing) Delivery {
	ctx, cancel := w.deadline(ctx)
	defer cancel()
	started := time.Now()
	d := Delivery{Kind: out.kind, ID: id, request: out}
	answer, err := w.awaitAck(ctx, d.ID, out)
	d.Latency, d.Failure = time.Since(started), failureOf(http.StatusOK, err)
	if err == nil {
		d.Status = http.StatusOK
		if out.acceptsBody {
			d.Response = answer
		}
	}
	return d
}

func (w *Workspace) envelopeID() string {
	h := randomHex(16)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func (w *Workspace) awaitAck(ctx context.Context, id string, out outgoing) ([]byte, error) {
	ack := make(chan []byte, 1)
	w.expect(id, ack)
	defer w.expect(id, nil)
	envelope := reply{
		"envelope_id": id, "type": out.envelope, "payload": out.payload, "accepts_response_payload": out.acceptsBody,
	}
	if n := out.header.Get("X-Slack-Retry-Num"); n != "" {
		envelope["retry_attempt"], envelope["retry_reason"] = json.Number(n), out.header.Get("X-Slack-Retry-Reason")
	}
	for {
		s := w.pick()
		if s == nil {
			return nil, errNoSocket
		}
		if s.write(ctx, envelope) != nil {
			w.leave(s)
			continue
		}
		select {
		case answer := <-ack:
			return answer, nil
		case <-s.gone:
			w.leave(s)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *Workspace) expect(id string, ack chan []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ack == nil {
		delete(w.sockets.acks, id)
		return
	}
	w.sockets.acks[id] = ack
}

func (w *Workspace) leave(s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.leaving = true
	w.countLocked()
}
