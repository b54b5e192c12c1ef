package slacksim

import (
	"encoding/json"
	"slices"
)

// Message is one message as it stands now. Values are shared between
// snapshots: read them, don't write into their slices.
type Message struct {
	Channel  string          `json:"channel"`
	TS       string          `json:"ts"`
	ThreadTS string          `json:"thread_ts,omitempty"` // parent, when a reply
	User     string          `json:"user"`                // author; BotUserID for the app
	Text     string          `json:"text"`
	Blocks   json.RawMessage `json:"blocks,omitempty"` // as Slack returns them, with block_ids
	Metadata *Metadata       `json:"metadata,omitempty"`
	Files    []File          `json:"files,omitempty"`

	Edits    int    `json:"edits"`               // how often chat.update or replace_original changed it
	EditedTS string `json:"edited_ts,omitempty"` // when last
	Replies  int    `json:"replies"`

	Ephemeral bool   `json:"ephemeral"`          // only To sees it
	To        string `json:"to,omitempty"`       // whom an ephemeral is for
	From      string `json:"from"`               // what made it: a method's name, "response_url", "command", "person", "slackbot"
	Broadcast bool   `json:"broadcast,omitzero"` // a reply also sent to the channel
}

// Metadata is what an app attached to a message for itself to find.
type Metadata struct {
	EventType    string          `json:"event_type"`
	EventPayload json.RawMessage `json:"event_payload"`
}

// Mine reports whether the app posted the message.
func (m Message) Mine() bool { return m.User == BotUserID }

// wire is the message object of Slack's API.
func (m Message) wire(team string, withMetadata bool) map[string]any {
	out := map[string]any{"type": "message", "user": m.User, "ts": m.TS, "text": m.Text, "team": team}
	if m.Mine() {
		out["bot_id"], out["app_id"] = BotID, AppID
	}
	if len(m.Blocks) > 0 {
		out["blocks"] = m.Blocks
	}
	if m.ThreadTS != "" {
		out["thread_ts"], out["parent_user_id"] = m.ThreadTS, BotUserID
	} else if m.Replies > 0 {
		out["thread_ts"], out["reply_count"] = m.TS, m.Replies
	}
	if m.EditedTS != "" {
		out["edited"] = map[string]any{"user": m.User, "ts": m.EditedTS}
	}
	if withMetadata && m.Metadata != nil {
		out["metadata"] = m.Metadata
	}
	if len(m.Files) > 0 {
		out["files"] = m.Files
	}
	return out
}

func (st *state) post(m Message) {
	st.messages[m.Channel] = bounded(st.messages[m.Channel], m, keepMessages)
	if m.ThreadTS != "" {
		st.edit(m.Channel, m.ThreadTS, func(parent Message) Message { parent.Replies++; return parent })
	}
}

func (st *state) whisper(m Message) {
	m.Ephemeral = true
	st.ephemerals[m.To] = bounded(st.ephemerals[m.To], m, keepEphemerals)
}

func (st *state) find(channelID, ts string) (Message, bool) {
	return findTS(st.messages[channelID], ts)
}

func (st *state) findEphemeral(userID, ts string) (Message, bool) {
	return findTS(st.ephemerals[userID], ts)
}

func findTS(list []Message, ts string) (Message, bool) {
	i := slices.IndexFunc(list, func(m Message) bool { return m.TS == ts })
	if i < 0 {
		return Message{}, false
	}
	return list[i], true
}

// edit replaces a message in a copied list, so that snapshots stay as they were.
func (st *state) edit(channelID, ts string, change func(Message) Message) {
	st.messages[channelID] = edited(st.messages[channelID], ts, change)
}

func (st *state) editEphemeral(userID, ts string, change func(Message) Message) {
	st.ephemerals[userID] = edited(st.ephemerals[userID], ts, change)
}

func edited(list []Message, ts string, change func(Message) Message) []Message {
	list = slices.Clone(list)
	for i := range list {
		if list[i].TS == ts {
			list[i] = change(list[i])
		}
	}
	return list
}

func (st *state) remove(channelID, ts string) {
	st.messages[channelID] = without(st.messages[channelID], ts)
}

func without(list []Message, ts string) []Message {
	return slices.DeleteFunc(slices.Clone(list), func(m Message) bool { return m.TS == ts })
}
