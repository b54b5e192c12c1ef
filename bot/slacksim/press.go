package slacksim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// ErrNoElement is returned by Press and its kin when the message or view, as it
// stands now, has no such button.
var ErrNoElement = errors.New("no such button there now")

// Button is a button as a person sees it.
type Button struct {
	ActionID, BlockID  string
	Text, Value, Style string
	URL                string
	Confirm            *Confirm // asked before the press counts
}

// Confirm is a button's confirm dialog.
type Confirm struct{ Title, Text, Confirm, Deny string }

// Buttons lists the buttons of a message, in order.
func (m Message) Buttons() []Button { return buttons(rawBlocks(m.Blocks)) }

// Buttons lists the buttons of a view, in order.
func (v View) Buttons() []Button { return buttons(rawBlocks(v.Blocks)) }

func buttons(blocks []map[string]any) []Button {
	var out []Button
	eachElement(blocks, func(block, e map[string]any) bool {
		if e["type"] == "button" {
			out = append(out, Button{
				ActionID: str(e["action_id"]), BlockID: str(block["block_id"]), Text: textOf(e["text"]),
				Value: str(e["value"]), Style: str(e["style"]), URL: str(e["url"]), Confirm: confirmOf(e["confirm"]),
			})
		}
		return true
	})
	return out
}

func confirmOf(v any) *Confirm {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return &Confirm{Title: textOf(m["title"]), Text: textOf(m["text"]), Confirm: textOf(m["confirm"]), Deny: textOf(m["deny"])}
}

func str(v any) string { s, _ := v.(string); return s }

func textOf(v any) string { m, _ := v.(map[string]any); return str(m["text"]) }

// eachElement visits every element that can be acted on until visit says stop.
func eachElement(blocks []map[string]any, visit func(block, element map[string]any) bool) {
	for _, b := range blocks {
		candidates := []any{b["accessory"], b["element"]}
		if list, ok := b["elements"].([]any); ok && b["type"] == "actions" {
			candidates = append(candidates, list...)
		}
		for _, v := range candidates {
			if e, ok := v.(map[string]any); ok && e["action_id"] != nil && !visit(b, e) {
				return
			}
		}
	}
}

// findElement finds an element by action_id, or by block_id/action_id.
func findElement(blocks []map[string]any, ref string) (block, element map[string]any, ok bool) {
	eachElement(blocks, func(b, e map[string]any) bool {
		id := str(e["action_id"])
		if ref == id || ref == str(b["block_id"])+"/"+id {
			block, element, ok = b, e, true
		}
		return !ok
	})
	return block, element, ok
}

// Press presses the button with this action_id as it stands now in a message of
// the channel (or one that only this person sees), its confirm dialog answered
// with yes. Where an action_id occurs twice, write "block_id/action_id".
func (w *Workspace) Press(ctx context.Context, userID, channelID, messageTS, actionID string) (Delivery, error) {
	return w.Choose(ctx, userID, channelID, messageTS, actionID, "")
}

// Choose is Press for any element: choice is the value of the option, the user's
// id, the date, or the text that was chosen; a button ignores it.
func (w *Workspace) Choose(ctx context.Context, userID, channelID, messageTS, actionID, choice string) (Delivery, error) {
	who, where, err := w.present(userID, channelID)
	if err != nil {
		return Delivery{}, fmt.Errorf("press %s: %w", actionID, err)
	}
	snap := w.Snapshot()
	m, ok := snap.st.find(channelID, messageTS)
	if !ok {
		m, ok = snap.st.findEphemeral(userID, messageTS)
	}
	if !ok || !m.Mine() {
		return Delivery{}, fmt.Errorf("press %s: the app has no message %s in %s", actionID, messageTS, channelID)
	}
	block, element, ok := findElement(rawBlocks(m.Blocks), actionID)
	if !ok {
		return Delivery{}, fmt.Errorf("press %s in message %s: %w", actionID, messageTS, ErrNoElement)
	}
	return w.pressed(ctx, pressing{who: who, where: where, message: m, block: block, element: element, choice: choice})
}

// PressView presses a button in an open modal or on the App Home.
func (w *Workspace) PressView(ctx context.Context, userID, viewID, actionID, choice string) (Delivery, error) {
	who, ok := w.Account(userID)
	v, open := w.Snapshot().st.open(viewID, "")
	if !ok || who.Deleted || !open || v.User != userID {
		return Delivery{}, fmt.Errorf("press %s: %s has no view %s open", actionID, userID, viewID)
	}
	block, element, ok := findElement(rawBlocks(v.Blocks), actionID)
	if !ok {
		return Delivery{}, fmt.Errorf("press %s in view %s: %w", actionID, viewID, ErrNoElement)
	}
	return w.pressed(ctx, pressing{who: who, view: v, block: block, element: element, choice: choice})
}

// pressing is one use of an element, in a message or in a view.
type pressing struct {
	who            Account
	where          Channel
	message        Message
	view           View
	block, element map[string]any
	choice         string
}

func (w *Workspace) pressed(ctx context.Context, p pressing) (Delivery, error) {
	w.act(p.who, p.where.ID, fmt.Sprintf("[%s]", or(textOf(p.element["text"]), str(p.element["action_id"]))))
	payload := w.envelope("block_actions", p.who)
	triggerID := w.newTrigger(p.who.ID, p.where.ID)
	payload["trigger_id"] = triggerID
	action, err := p.action(w.newTS())
	if err != nil {
		return Delivery{}, err
	}
	payload["actions"] = []reply{action}
	answerTo := w.whereabouts(payload, p)
	out, err := interaction("block_actions", payload)
	if err != nil {
		return Delivery{}, err
	}
	d := w.send(ctx, out)
	d.TriggerID, d.ResponseURL = triggerID, answerTo
	return w.pressDone(p, d), nil
}

// envelope is what all interaction payloads share.
func (w *Workspace) envelope(kind string, who Account) reply {
	return reply{
		"type": kind, "token": w.verificationToken(), "api_app_id": AppID,
		"team":       reply{"id": w.opt.Team, "domain": w.opt.Domain},
		"enterprise": nil, "is_enterprise_install": false,
		"user": reply{"id": who.ID, "username": who.Name, "name": who.Name, "team_id": who.TeamID},
	}
}

// whereabouts adds where the element was, and returns the response URL, which
// presses in views don't have.
func (w *Workspace) whereabouts(payload reply, p pressing) string {
	if p.view.ID != "" {
		payload["container"] = reply{"type": "view", "view_id": p.view.ID}
		payload["view"] = p.view.wire(w.opt.Team, p.view.initial())
		return ""
	}
	m := p.message
	container := reply{
		"type": "message", "message_ts": m.TS, "channel_id": m.Channel, "is_ephemeral": m.Ephemeral, "is_app_unfurl": false,
	}
	if m.ThreadTS != "" {
		container["thread_ts"] = m.ThreadTS
	}
	payload["container"] = container
	payload["channel"] = reply{"id": m.Channel, "name": or(p.where.Name, "directmessage")}
	payload["state"] = reply{"values": reply{}}
	if !m.Ephemeral { // Slack doesn't keep ephemeral messages
		payload["message"] = m.wire(w.opt.Team, true)
	}
	answerTo := w.newResponseURL(p.who.ID, m.Channel, m)
	payload["response_url"] = answerTo
	return answerTo
}

func (p pressing) action(ts string) (reply, error) {
	typ := str(p.element["type"])
	out := reply{
		"type": typ, "action_id": p.element["action_id"], "block_id": p.block["block_id"], "action_ts": ts,
	}
	if typ == "button" {
		out["text"] = p.element["text"]
		for _, k := range []string{"value", "style", "url", "confirm"} {
			if v := p.element[k]; v != nil {
				out[k] = v
			}
		}
		return out, nil
	}
	value, err := entered(p.element, p.choice)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, value)
	return out, nil
}

// pressDone shows a failed press where Slack does: beside the message, or in the modal.
func (w *Workspace) pressDone(p pressing, d Delivery) Delivery {
	if d.Acknowledged() {
		return d
	}
	if p.view.ID != "" {
		d.Shown = trouble(d)
		w.complainInView(p.view, d.Shown)
		return d
	}
	d.Shown = "This app is not responding as it should: " + strings.ReplaceAll(d.Failure, "_", " ")
	w.slackbot(p.who.ID, p.message.Channel, d.Shown)
	return d
}
