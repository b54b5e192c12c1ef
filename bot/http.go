package bot

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

const maxBody = 1 << 20

// readers take a delivery from a verified body, by path. What can't be read is
// malformed. The query is outside the signature and is never looked at.
func (b *Bot) readers() map[string]func(delivery, []byte) (delivery, bool) {
	return map[string]func(delivery, []byte) (delivery, bool){
		"/slack/commands": func(d delivery, body []byte) (delivery, bool) {
			form, err := url.ParseQuery(string(body))
			d.kind, d.form = kindCommand, form
			return d, err == nil
		},
		"/slack/interactions": func(d delivery, body []byte) (delivery, bool) {
			form, err := url.ParseQuery(string(body))
			d.kind, d.payload = kindInteraction, []byte(form.Get("payload"))
			return d, err == nil
		},
		"/slack/events": func(d delivery, body []byte) (delivery, bool) {
			d.kind, d.payload = kindEvent, body
			return d, true
		},
	}
}

func (b *Bot) routes() http.Handler {
	mux := http.NewServeMux()
	if b.sockets == nil { // else nobody has a secret to sign with
		for path, read := range b.readers() {
			mux.HandleFunc("POST "+path, b.verified(read))
		}
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", b.readyz)
	return mux
}

// verified reads and checks a request before anything of it is looked at.
// Whoever fails learns nothing but the status.
func (b *Bot) verified(read func(delivery, []byte) (delivery, bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if !b.sign.genuine(r.Header, body) {
			b.forged.Do(func() {
				b.opt.Log.Warn("a delivery was refused: its signature or timestamp is not Slack's", "path", r.URL.Path, "remote", r.RemoteAddr)
			})
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		d, ok := read(delivery{key: r.Header.Get(headerTimestamp) + r.Header.Get(headerSignature)}, body)
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(w, b.take(d))
	}
}

func answer(w http.ResponseWriter, a ack) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	writeJSON(w, a.status, a.body)
}

func (b *Bot) readyz(w http.ResponseWriter, r *http.Request) {
	reasons := map[string]string{}
	if !b.isRunning() {
		reasons["bot"] = "not running yet, or stopping"
	}
	for _, c := range b.opt.Ready {
		if err := c.Check(r.Context()); err != nil {
			reasons[c.Name] = err.Error()
		}
	}
	transport, deaf := b.transport()
	if deaf != "" {
		reasons["slack"] = deaf
	}
	answer := map[string]any{"status": "ready", "transport": transport}
	status := http.StatusOK
	if len(reasons) > 0 {
		answer["status"], answer["reasons"], status = "not ready", reasons, http.StatusServiceUnavailable
	}
	if trouble := b.courier.trouble(); trouble != "" {
		answer["delivery"] = trouble // Slack's outage is no reason to take no commands
	}
	writeJSON(w, status, answer)
}

// transport tells how deliveries come, and why none can come at all. A bot that
// Slack can't reach over HTTP doesn't know it.
func (b *Bot) transport() (state map[string]any, deaf string) {
	state = map[string]any{"kind": "http"}
	b.mu.Lock()
	if !b.heard.IsZero() {
		state["last_delivery"] = b.heard.UTC().Format(time.RFC3339)
	}
	b.mu.Unlock()
	if b.sockets == nil {
		return state, ""
	}
	up, trouble := b.sockets.standing()
	state["kind"], state["connections"], state["wanted"] = "socket", up, b.opt.Connections
	if trouble != "" {
		state["trouble"] = trouble
	}
	if up == 0 {
		deaf = "no Socket Mode connection, so commands and presses don't arrive: " + orElse(trouble, "connecting")
	}
	return state, deaf
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever hung up needs no answer
}
