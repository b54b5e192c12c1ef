package slacksim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Delivery is one request of Slack's to the app, and how the app took it.
type Delivery struct {
	Kind        string        // "command", "block_actions", "view_submission", "view_closed", "event", "url_verification"
	ID          string        // event_id of an event, envelope_id over Socket Mode
	Status      int           // HTTP status; 200 for an acknowledged envelope; 0 when there was none
	Latency     time.Duration // until the acknowledgement, or until Slack gave up
	Response    []byte        // the immediate answer, at most 1 MiB
	Failure     string        // Slack's word when it wasn't acknowledged: operation_timeout, dispatch_failed, http_client_error, http_service_error
	Shown       string        // what the person was shown because of Failure
	TriggerID   string
	ResponseURL string

	request outgoing
}

// Acknowledged reports whether the app took the delivery in time.
func (d Delivery) Acknowledged() bool { return d.Failure == "" }

// String sums a delivery up, without its content.
func (d Delivery) String() string {
	return fmt.Sprintf("%s: status %d after %v, failure %q, shown %q", d.Kind, d.Status, d.Latency.Round(time.Microsecond), d.Failure, d.Shown)
}

// outgoing is what is sent: the same bytes again for a redelivery.
type outgoing struct {
	kind        string
	envelope    string // Socket Mode's type
	path        string
	contentType string
	body        []byte
	payload     any // Socket Mode's payload
	header      http.Header
	acceptsBody bool // an answer may carry a response payload
}

// Sign makes the headers of a request signed as Slack signs: version 0, over
// "v0:<timestamp>:<body>", HMAC-SHA256 under the signing secret.
func Sign(secret string, at time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

// Redeliver sends a delivery's content once more, signed anew, with Slack's
// retry headers. It doesn't change what people see.
func (w *Workspace) Redeliver(ctx context.Context, d Delivery) Delivery {
	out := d.request
	out.header = retryHeader(1, "http_timeout")
	return w.send(ctx, out)
}

// Replay sends exactly the same again, as somebody would who had recorded it:
// over HTTP with its signature and timestamp, over Socket Mode with its
// envelope_id, which is also what Slack does when an acknowledgement got lost.
func (w *Workspace) Replay(ctx context.Context, d Delivery) Delivery {
	if w.opt.SocketMode {
		return w.sendEnvelopeAs(ctx, d.ID, d.request)
	}
	return w.post(ctx, d.request)
}

// Deliver sends what the caller made up as Slack would: authenticated, over the
// workspace's transport, and without any check, so that an app's own can be
// tested. kind is "command" (payload: its fields, a map[string]string),
// "interaction" or "event" (payload: any object).
func (w *Workspace) Deliver(ctx context.Context, kind string, payload any) (Delivery, error) {
	out, err := madeUp(kind, payload)
	if err != nil {
		return Delivery{}, fmt.Errorf("deliver: %w", err)
	}
	return w.send(ctx, out), nil
}

func madeUp(kind string, payload any) (outgoing, error) {
	fields, isCommand := payload.(map[string]string)
	switch {
	case kind == "command" && isCommand:
		form := url.Values{}
		for k, v := range fields {
			form.Set(k, v)
		}
		return outgoing{
			kind: kind, envelope: "slash_commands", path: "/slack/commands", contentType: formType,
			body: []byte(form.Encode()), payload: fields, acceptsBody: true,
		}, nil
	case kind == "interaction":
		return interaction(kind, payload)
	case kind == "event":
		raw, err := json.Marshal(payload)
		return eventRequest(kind, raw, nil), err
	}
	return outgoing{}, fmt.Errorf("there is no delivery %q of %T", kind, payload)
}

func retryHeader(n int, reason string) http.Header {
	h := http.Header{}
	h.Set("X-Slack-Retry-Num", strconv.Itoa(n))
	h.Set("X-Slack-Retry-Reason", reason)
	return h
}

// send delivers over Socket Mode or HTTP, whichever the workspace uses.
func (w *Workspace) send(ctx context.Context, out outgoing) Delivery {
	if w.opt.SocketMode {
		return w.sendEnvelope(ctx, out)
	}
	signed := Sign(w.opt.SigningSecret, w.opt.Now(), out.body)
	maps.Copy(signed, out.header)
	out.header = signed
	return w.post(ctx, out)
}

func (w *Workspace) post(ctx context.Context, out outgoing) Delivery {
	ctx, cancel := w.deadline(ctx)
	defer cancel()
	started := time.Now()
	status, answer, err := w.roundTrip(ctx, out)
	d := Delivery{Kind: out.kind, Status: status, Latency: time.Since(started), Response: answer, request: out}
	d.Failure = failureOf(status, err)
	if err != nil {
		w.opt.Log.Info("delivery failed", "kind", out.kind, "error", err)
	}
	return d
}

// deadline bounds a delivery by the acknowledgement time and the workspace's life.
func (w *Workspace) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.opt.AckTimeout, errAckTimeout)
	stop := context.AfterFunc(w.context, cancel)
	return ctx, func() { stop(); cancel() }
}

var errAckTimeout = errors.New("no acknowledgement in time")

func (w *Workspace) roundTrip(ctx context.Context, out outgoing) (int, []byte, error) {
	w.mu.Lock()
	base := w.requestURL
	w.mu.Unlock()
	if base == "" {
		return 0, nil, errors.New("the app has no request URL; call SetRequestURL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+out.path, bytes.NewReader(out.body))
	if err != nil {
		return 0, nil, fmt.Errorf("request URL %q can't be used: %w", base, err)
	}
	req.Header = out.header.Clone()
	req.Header.Set("Content-Type", out.contentType)
	req.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil, errors.Join(err, context.Cause(ctx))
	}
	defer func() { _ = resp.Body.Close() }() // what counts was read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, errors.Join(err, context.Cause(ctx))
}

// failureOf is Slack's word for what went wrong; empty when acknowledged.
func failureOf(status int, err error) string {
	switch {
	case errors.Is(err, errAckTimeout):
		return "operation_timeout"
	case err != nil:
		return "dispatch_failed"
	case status >= 500:
		return "http_service_error"
	case status < 200 || status > 299:
		return "http_client_error"
	}
	return ""
}

// interaction packs a payload as Slack does: a form with one field.
func interaction(kind string, payload any) (outgoing, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return outgoing{}, fmt.Errorf("encode the %s payload: %w", kind, err)
	}
	return outgoing{
		kind: kind, envelope: "interactive", path: "/slack/interactions", contentType: formType,
		body: formBody("payload", string(raw)), payload: json.RawMessage(raw), acceptsBody: kind == "view_submission",
	}, nil
}
