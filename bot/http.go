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

// delivery is a request that was shown to come from Slack.
type delivery struct {
	key  string // of this very request: timestamp and signature
	body []byte
	form url.Values // of the body alone; the query is outside the signature
}

func (b *Bot) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /slack/commands", b.verified(b.command))
	mux.HandleFunc("POST /slack/interactions", b.verified(b.interaction))
	mux.HandleFunc("POST /slack/events", b.verified(b.event))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", b.readyz)
	return mux
}

// verified reads and checks a request before anything of it is looked at.
// Whoever fails learns nothing but the status.
func (b *Bot) verified(next func(http.ResponseWriter, delivery)) http.HandlerFunc {
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
		if !b.isRunning() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next(w, delivery{key: r.Header.Get(headerTimestamp) + r.Header.Get(headerSignature), body: body})
	}
}

// parsed reads the body as a form, or answers 400.
func (d *delivery) parsed(w http.ResponseWriter) bool {
	form, err := url.ParseQuery(string(d.body))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	d.form = form
	return true
}

// keyOf identifies what was delivered, so that it is worked on once: Slack's
// own id where there is one. It is part of what was signed, so a copy of the
// same request has the same one.
func (d delivery) keyOf(kind, id string) string {
	if id == "" {
		return "slack/request/" + d.key
	}
	return "slack/" + kind + "/" + id
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
	answer := map[string]any{"status": "ready"}
	status := http.StatusOK
	if len(reasons) > 0 {
		answer["status"], answer["reasons"], status = "not ready", reasons, http.StatusServiceUnavailable
	}
	if trouble := b.courier.trouble(); trouble != "" {
		answer["delivery"] = trouble // Slack's outage is no reason to take no commands
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever hung up needs no answer
}

// acknowledge answers 200 with nothing to show.
func acknowledge(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }

// withinAck is how long a submission's work may take before the acknowledgement
// goes out without its result.
const withinAck = 1500 * time.Millisecond
