package slacksim

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// VerifyURL asks the app's events address for the challenge, as Slack does when
// the address is entered. It reports whether the app gave it back.
func (w *Workspace) VerifyURL(ctx context.Context) (Delivery, bool) {
	challenge := randomHex(20)
	raw, err := json.Marshal(reply{"token": w.verificationToken(), "challenge": challenge, "type": "url_verification"})
	if err != nil {
		return Delivery{Kind: "url_verification", Failure: "dispatch_failed"}, false
	}
	out := eventRequest("url_verification", raw, nil)
	out.header = Sign(w.opt.SigningSecret, w.opt.Now(), out.body)
	d := w.post(ctx, out)
	answer := immediate(d.Response)
	return d, d.Status == http.StatusOK && (answer.str("challenge") == challenge || answer.str("text") == challenge)
}

func eventRequest(kind string, body []byte, header http.Header) outgoing {
	return outgoing{
		kind: kind, envelope: "events_api", path: "/slack/events", contentType: "application/json",
		body: body, payload: json.RawMessage(body), header: header,
	}
}

// emitMessage tells the app of a change to a message: subtype "" for a new one.
func (w *Workspace) emitMessage(subtype string, now, before Message) {
	subscription, kind := "message.channels", "channel"
	switch c := w.Snapshot().st.channels[now.Channel]; {
	case c.Direct != "":
		subscription, kind = "message.im", "im"
	case !c.BotMember:
		return
	case c.Private:
		subscription, kind = "message.groups", "group"
	}
	event := now.wire(w.opt.Team, true)
	if subtype != "" {
		event = reply{"type": "message", "subtype": subtype, "hidden": true, "previous_message": before.wire(w.opt.Team, true)}
		if subtype == "message_deleted" {
			event["deleted_ts"] = before.TS
		} else {
			event["message"] = now.wire(w.opt.Team, true)
		}
		event["ts"] = w.newTS()
	}
	event["channel"], event["channel_type"], event["event_ts"] = now.Channel, kind, event["ts"]
	w.emit(subscription, event)
}

// emit delivers an event in the background if the app subscribed to it.
func (w *Workspace) emit(subscription string, event map[string]any) {
	if !slices.Contains(w.opt.Events, subscription) || !w.reachable() {
		return
	}
	if scope := EventScopes()[subscription]; scope != "" && !slices.Contains(w.opt.Scopes, scope) {
		return
	}
	id := w.newID("Ev")
	raw, err := json.Marshal(reply{
		"token": w.verificationToken(), "team_id": w.opt.Team, "api_app_id": AppID, "event": event, "type": "event_callback",
		"event_id": id, "event_time": w.opt.Now().Unix(), "is_ext_shared_channel": false,
		"authorizations": []reply{{
			"enterprise_id": nil, "team_id": w.opt.Team, "user_id": BotUserID, "is_bot": true, "is_enterprise_install": false,
		}},
	})
	if err != nil {
		w.opt.Log.Error("simulated workspace: encode an event", "error", err)
		return
	}
	w.spawn(func(ctx context.Context) { w.insist(ctx, id, raw) })
}

// reachable is false for a workspace to which no app was attached.
func (w *Workspace) reachable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requestURL != "" || w.opt.SocketMode
}

// insist delivers an event until it is acknowledged or was delivered again as
// often as Slack does.
func (w *Workspace) insist(ctx context.Context, id string, body []byte) {
	d := w.send(ctx, eventRequest("event", body, nil))
	for n, pause := range w.opt.EventRetries {
		if d.Acknowledged() || !sleep(ctx, pause) {
			return
		}
		w.opt.Log.Debug("event is delivered again", "event_id", id, "retry", n+1, "reason", d.Failure)
		d = w.send(ctx, eventRequest("event", body, retryHeader(n+1, retryReason(d))))
	}
}

func retryReason(d Delivery) string {
	switch d.Failure {
	case "operation_timeout":
		return "http_timeout"
	case "dispatch_failed":
		return "connection_failed"
	}
	return "http_error"
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
