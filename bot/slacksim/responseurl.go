package slacksim

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// responseURL lets the app answer one command or press, five times within
// thirty minutes.
type responseURL struct {
	user, channel string
	original      string // ts of the message that a press was on; empty for a command
	ephemeral     bool   // whether that one is for the person alone
	expires       time.Time
	used          int
}

func (w *Workspace) newResponseURL(user, channel string, original Message) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.opt.Now()
	w.pruneLocked(now)
	id := w.opt.Team + "/" + randomHex(6) + "/" + randomHex(12)
	w.urls[id] = &responseURL{
		user: user, channel: channel, original: original.TS, ephemeral: original.Ephemeral, expires: now.Add(responseURLLife),
	}
	return w.base + "/commands/" + id
}

// pruneLocked forgets triggers and response URLs a minute after their end, at
// the latest when there are twice as many as were left the last time.
func (w *Workspace) pruneLocked(now time.Time) {
	if len(w.triggers)+len(w.urls) < w.pruneAt {
		return
	}
	maps.DeleteFunc(w.triggers, func(_ string, t *trigger) bool { return now.Sub(t.expires) > time.Minute })
	maps.DeleteFunc(w.urls, func(_ string, u *responseURL) bool { return now.Sub(u.expires) > time.Minute })
	w.pruneAt = 2*(len(w.triggers)+len(w.urls)) + 256
}

// serveResponse takes an answer over a response URL.
func (w *Workspace) serveResponse(rw http.ResponseWriter, r *http.Request) {
	if !slurp(r) {
		return
	}
	fault := w.fault(ResponseURLs)
	if w.misbehave(rw, r, ResponseURLs, fault) {
		return
	}
	status, err := w.respond(r)
	if fault != nil && fault.mode == faultLost {
		w.record(ResponseURLs, "lost", 0)
		hangUp()
	}
	w.answer(rw, ResponseURLs, status, nil, err)
}

func (w *Workspace) respond(r *http.Request) (int, error) {
	u, err := w.spend(strings.TrimPrefix(r.URL.Path, "/commands/"))
	if err != nil {
		return http.StatusNotFound, err
	}
	a := args{}
	if err := a.response(r); err != nil {
		return http.StatusBadRequest, err
	}
	w.heard(ResponseURLs, a)
	if err := w.apply(u, a); err != nil {
		return http.StatusBadRequest, err
	}
	return http.StatusOK, nil
}

// response reads JSON, or the older form with a payload field.
func (a args) response(r *http.Request) error {
	if isJSON(r) {
		return a.json(r.Body)
	}
	if err := r.ParseForm(); err != nil {
		return fail("invalid_payload")
	}
	return a.json(strings.NewReader(r.PostForm.Get("payload")))
}

// spend counts a use, also one that then turns out to be malformed.
func (w *Workspace) spend(id string) (responseURL, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, ok := w.urls[id]
	switch {
	case !ok:
		return responseURL{}, fail("invalid_url")
	case !w.opt.Now().Before(u.expires):
		return responseURL{}, fail("expired_url")
	case u.used >= responseURLUses:
		return responseURL{}, fail("used_url")
	}
	u.used++
	return *u, nil
}

// apply does what an answer says: replace or delete the original, or say
// something new, to the person alone unless response_type is in_channel.
func (w *Workspace) apply(u responseURL, a args) error {
	c := &call{name: ResponseURLs, args: a}
	if a.flag("delete_original") {
		return w.deleteOriginal(u)
	}
	body, err := w.content(c)
	if err != nil {
		return err
	}
	if body.empty() {
		return fail("no_text")
	}
	if a.flag("replace_original") && u.original != "" {
		return w.replaceOriginal(u, body)
	}
	m := Message{
		Channel: u.channel, User: BotUserID, Text: body.text, Blocks: body.blocks, Metadata: body.metadata,
		ThreadTS: a.str("thread_ts"), From: ResponseURLs,
	}
	if a.str("response_type") != "in_channel" {
		m.To = u.user
		w.whisper(m)
		return nil
	}
	_, err = w.publish(m)
	return err
}

func (w *Workspace) deleteOriginal(u responseURL) error {
	if u.ephemeral {
		if w.Dismiss(u.user, u.original) != nil {
			return fail("message_not_found")
		}
		return nil
	}
	if w.DeleteMessage(u.channel, u.original) != nil {
		return fail("message_not_found")
	}
	return nil
}

func (w *Workspace) replaceOriginal(u responseURL, body content) error {
	var before, after Message
	w.change(func(st *state) {
		change := func(m Message) Message {
			before, after = m, m.amended(body, true)
			after.EditedTS = w.tsLocked()
			return after
		}
		if u.ephemeral {
			st.editEphemeral(u.user, u.original, change)
		} else {
			st.edit(u.channel, u.original, change)
		}
	})
	if after.TS == "" {
		return fail("message_not_found")
	}
	if !u.ephemeral {
		w.emitMessage("message_changed", after, before)
	}
	return nil
}
