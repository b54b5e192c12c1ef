package slacksim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

const formType = "application/x-www-form-urlencoded"

func formBody(pairs ...string) []byte {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return []byte(v.Encode())
}

// Command types a slash command, "/pg" say, with its text in a channel, as one
// person, and waits for the app's acknowledgement. What the app answers at once
// is shown as Slack shows it. The error is of things that nobody could do in
// Slack: an account that is deactivated, a channel the person isn't in.
func (w *Workspace) Command(ctx context.Context, userID, channelID, command, text string) (Delivery, error) {
	who, where, err := w.present(userID, channelID)
	if err != nil {
		return Delivery{}, fmt.Errorf("type %s: %w", command, err)
	}
	w.act(who, where.ID, strings.TrimSpace(command+" "+text))
	triggerID, answerTo := w.newTrigger(who.ID, where.ID), w.newResponseURL(who.ID, where.ID, Message{})
	fields := []string{
		"token", w.verificationToken(), "team_id", who.TeamID, "team_domain", w.opt.Domain, "channel_id", where.ID,
		"channel_name", or(where.Name, "directmessage"), "user_id", who.ID, "user_name", who.Name, "command", command, "text", text,
		"api_app_id", AppID, "is_enterprise_install", "false", "response_url", answerTo, "trigger_id", triggerID,
	}
	d := w.send(ctx, outgoing{
		kind: "command", envelope: "slash_commands", path: "/slack/commands", contentType: formType,
		body: formBody(fields...), payload: fieldMap(fields), acceptsBody: true,
	})
	d.TriggerID, d.ResponseURL = triggerID, answerTo
	return w.commandDone(who, where, command, text, d), nil
}

func fieldMap(pairs []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// commandDone shows the immediate answer, or Slack's own words for the failure.
func (w *Workspace) commandDone(who Account, where Channel, command, text string, d Delivery) Delivery {
	if !d.Acknowledged() {
		d.Shown = fmt.Sprintf("%s failed with the error %q", command, d.Failure)
		w.slackbot(who.ID, where.ID, d.Shown)
		return d
	}
	a := immediate(d.Response)
	w.heard(Acknowledgement, a)
	if !a.has("text") && !a.has("blocks") {
		return d
	}
	if a.str("response_type") == "in_channel" {
		typed := Message{Channel: where.ID, User: who.ID, Text: escaper.Replace(strings.TrimSpace(command + " " + text)), From: "command"}
		if _, err := w.publish(typed); err != nil {
			w.opt.Log.Error("simulated workspace: show a command", "error", err)
		}
	}
	delete(a, "replace_original")
	if err := w.apply(responseURL{user: who.ID, channel: where.ID}, a); err != nil {
		d.Shown = fmt.Sprintf("%s failed with the error %q", command, err.Error())
		w.slackbot(who.ID, where.ID, d.Shown)
	}
	return d
}

// immediate reads what an app answers in the acknowledgement: JSON or plain text.
func immediate(body []byte) args {
	a := args{}
	text := strings.TrimSpace(string(body))
	if text == "" || a.json(strings.NewReader(text)) == nil {
		return a
	}
	return args{"text": text}
}

func (w *Workspace) slackbot(userID, channelID, text string) {
	w.whisper(Message{Channel: channelID, User: "USLACKBOT", To: userID, Text: text, From: "slackbot"})
}

// escaper does what Slack does to what people type, so that it is no markup.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Say posts a person's own message to a channel. The stored text is escaped.
func (w *Workspace) Say(userID, channelID, text string) (Message, error) {
	who, where, err := w.present(userID, channelID)
	if err != nil {
		return Message{}, fmt.Errorf("say something: %w", err)
	}
	return w.publish(Message{Channel: where.ID, User: who.ID, Text: escaper.Replace(text), From: "person"})
}

// DeleteMessage removes a message, as a workspace's administrator can; the app
// learns of it by an event.
func (w *Workspace) DeleteMessage(channelID, ts string) error {
	var gone Message
	found := false
	w.change(func(st *state) {
		if gone, found = st.find(channelID, ts); found {
			st.remove(channelID, ts)
		}
	})
	if !found {
		return fmt.Errorf("delete a message: %s has none with ts %s", channelID, ts)
	}
	w.emitMessage("message_deleted", gone, gone)
	return nil
}

// Dismiss takes a message that only this person sees off their screen.
func (w *Workspace) Dismiss(userID, ts string) error {
	found := false
	w.change(func(st *state) {
		_, found = st.findEphemeral(userID, ts)
		st.ephemerals[userID] = without(st.ephemerals[userID], ts)
	})
	if !found {
		return fmt.Errorf("dismiss a message: %s has none with ts %s", userID, ts)
	}
	return nil
}

// OpenHome opens the app's Home tab as a person; the app learns of it by an event.
func (w *Workspace) OpenHome(userID string) error {
	a, ok := w.Account(userID)
	if !ok || a.Deleted {
		return fmt.Errorf("open the App Home: no active account %s", userID)
	}
	w.change(func(st *state) { st.channel(userID) })
	event := reply{
		"type": "app_home_opened", "user": userID, "channel": directID(userID), "tab": "home", "event_ts": w.newTS(),
	}
	if v, ok := w.Snapshot().Home(userID); ok {
		event["view"] = v.wire(w.opt.Team, nil)
	}
	w.emit("app_home_opened", event)
	return nil
}

// present finds an active account and a conversation that it takes part in.
func (w *Workspace) present(userID, channelID string) (Account, Channel, error) {
	snap := w.Snapshot()
	who, ok := snap.st.accounts[userID]
	switch {
	case !ok:
		return who, Channel{}, fmt.Errorf("no account %s in this workspace", userID)
	case who.Deleted:
		return who, Channel{}, fmt.Errorf("account %s is deactivated", userID)
	}
	where, ok := snap.st.channels[channelID]
	if !ok || !where.has(userID) {
		return who, where, fmt.Errorf("%s is in no channel %s", userID, channelID)
	}
	return who, where, nil
}

func (w *Workspace) act(who Account, channelID, text string) {
	w.change(func(st *state) {
		st.note(Act{At: w.opt.Now(), TS: w.tsLocked(), User: who.ID, Channel: channelID, Text: text})
	})
}

// verificationToken is the deprecated one that payloads still carry; it proves
// nothing, and is derived so that it stays the same.
func (w *Workspace) verificationToken() string { return "sim-" + w.opt.Team }

// rawBlocks decodes stored blocks. They were checked when they came in.
func rawBlocks(raw json.RawMessage) []map[string]any {
	var out []map[string]any
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}
