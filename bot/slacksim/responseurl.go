package slacksim

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// responseURL lets the app answer one command or press, five times within
// thirty minutes.
type responseURL struct {
	user, channel string
	original      Message // what a press was on; zero for a command
	expires       time.Time
	used          int
}

func (w *Workspace) newResponseURL(user, channel string, original Message) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.opt.Now()
	maps.DeleteFunc(w.urls, func(_ string, u *responseURL) bool { return now.Sub(u.expires) > time.Minute })
	id := w.opt.Team + "/" + randomHex(6) + "/" + randomHex(12)
	w.urls[id] = &responseURL{user: user, channel: channel, original: original, expires: now.Add(responseURLLife)}
	return w.base + "/commands/" + id
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
	body, err := c.content()
	if err != nil {
		return err
	}
	if body.empty() {
		return fail("no_text")
	}
	if a.flag("replace_original") && u.original.TS != "" {
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
	if u.original.TS == "" {
		return fail("message_not_found")
	}
	w.change(func(st *state) {
		if u.original.Ephemeral {
			st.ephemerals[u.user] = without(st.ephemerals[u.user], u.original.TS)
		} else {
			st.remove(u.channel, u.original.TS)
		}
	})
	if !u.original.Ephemeral {
		w.emitMessage("message_deleted", u.original, u.original)
	}
	return nil
}

func (w *Workspace) replaceOriginal(u responseURL, body content) error {
	var before, after Message
	found := false
	w.change(func(st *state) {
		change := func(m Message) Message {
			found, before, after = true, m, m.amended(body, true)
			after.EditedTS = w.tsLocked()
			return after
		}
		if u.original.Ephemeral {
			st.editEphemeral(u.user, u.original.TS, change)
		} else {
			st.edit(u.channel, u.original.TS, change)
		}
	})
	if !found {
		return fail("message_not_found")
	}
	if !u.original.Ephemeral {
		w.emitMessage("message_changed", after, before)
	}
	return nil
}

// drain reads a response's first part and closes it, so that connections live on.
func drain(body io.ReadCloser, most int64) ([]byte, error) {
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, most))
}
