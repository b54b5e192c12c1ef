package slacksim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const maxText = 40_000 // characters of a message's text

// content is what a message consists of, as an app sent it.
type content struct {
	text      string
	blocks    json.RawMessage // nil when not given; "" length 0 never
	noBlocks  bool            // given, and empty: takes blocks away
	metadata  *Metadata
	noMeta    bool // given as {}: takes metadata away
	hasBlocks bool
}

// content reads and checks text, blocks, attachments and metadata.
func (w *Workspace) content(c *call) (content, error) {
	out := content{text: c.args.str("text")}
	if utf8.RuneCountInString(out.text) > maxText {
		return out, fail("msg_too_long")
	}
	if c.args.has("markdown_text") {
		return out, invalidArguments("markdown_text is not offered by this simulated workspace; send blocks [json-pointer:/markdown_text]")
	}
	list, err := blockList(c.args, "blocks")
	if err != nil {
		return out, err
	}
	out.hasBlocks = list != nil
	out.noBlocks = list != nil && len(list) == 0
	if len(list) > 0 {
		if out.blocks, err = w.checkMessageBlocks(list); err != nil {
			return out, err
		}
	}
	return out, out.readMetadata(c.args)
}

func (c *content) readMetadata(a args) error {
	v, err := a.structured("metadata")
	if errors.Is(err, errNoValue) {
		return nil
	}
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return fail("invalid_metadata_format")
	}
	if len(m) == 0 {
		c.noMeta = true
		return nil
	}
	kind, _ := m["event_type"].(string)
	payload, ok := m["event_payload"].(map[string]any)
	if kind == "" || !ok {
		return fail("invalid_metadata_schema")
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode metadata again: %w", err)
	}
	c.metadata = &Metadata{EventType: kind, EventPayload: raw}
	return nil
}

func (c content) empty() bool { return strings.TrimSpace(c.text) == "" && len(c.blocks) == 0 }

// blockList returns nil when the argument is missing.
func blockList(a args, key string) ([]any, error) {
	v, err := a.structured(key)
	if errors.Is(err, errNoValue) {
		return nil, nil
	}
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil, fail("invalid_blocks_format")
	}
	return list, nil
}

// postable finds the conversation that the app may post to.
func (w *Workspace) postable(ref string) (Channel, error) {
	var found Channel
	var ok bool
	w.change(func(st *state) { found, ok = st.channel(ref) })
	switch {
	case ref == "" || !ok:
		return Channel{}, fail("channel_not_found")
	case found.Private && !found.BotMember:
		return Channel{}, fail("channel_not_found")
	case found.Archived:
		return Channel{}, fail("is_archived")
	case !found.BotMember:
		return Channel{}, fail("not_in_channel")
	}
	return found, nil
}

func chatPostMessage(w *Workspace, c *call) (reply, error) {
	channel, err := w.postable(c.args.str("channel"))
	if err != nil {
		return nil, err
	}
	body, err := w.content(c)
	if err != nil {
		return nil, err
	}
	if body.empty() {
		return nil, fail("no_text")
	}
	m := Message{
		Channel: channel.ID, ThreadTS: c.args.str("thread_ts"), User: BotUserID, Text: body.text, Blocks: body.blocks,
		Metadata: body.metadata, From: c.name, Broadcast: c.args.flag("reply_broadcast"),
	}
	if m, err = w.publish(m); err != nil {
		return nil, err
	}
	return reply{"channel": m.Channel, "ts": m.TS, "message": m.wire(w.opt.Team, true)}, nil
}

// publish gives a message its ts, stores it and tells subscribers.
func (w *Workspace) publish(m Message) (Message, error) {
	var err error
	w.change(func(st *state) {
		if m.ThreadTS, err = st.threadOf(m); err != nil {
			return
		}
		m.TS = w.tsLocked()
		st.post(m)
	})
	if err == nil {
		w.emitMessage("", m, Message{})
	}
	return m, err
}

// threadOf resolves thread_ts to the thread's parent, as Slack does for replies.
func (st *state) threadOf(m Message) (string, error) {
	if m.ThreadTS == "" {
		return "", nil
	}
	parent, ok := st.find(m.Channel, m.ThreadTS)
	if !ok {
		return "", fail("thread_not_found")
	}
	return or(parent.ThreadTS, parent.TS), nil
}

func chatUpdate(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("channel", "ts"); err != nil {
		return nil, err
	}
	body, err := w.content(c)
	if err != nil {
		return nil, err
	}
	if !c.args.has("text") && !body.hasBlocks && body.metadata == nil {
		return nil, fail("no_text")
	}
	before, after, err := w.amend(c, body)
	if err != nil {
		return nil, err
	}
	w.emitMessage("message_changed", after, before)
	return reply{"channel": after.Channel, "ts": after.TS, "text": after.Text, "message": after.wire(w.opt.Team, true)}, nil
}

// amend applies an update. Blocks that aren't given stay only if no text is
// given either; metadata that isn't given stays.
func (w *Workspace) amend(c *call, body content) (before, after Message, err error) {
	channel, ts := c.args.str("channel"), c.args.str("ts")
	w.change(func(st *state) {
		if before, err = st.mine(channel, ts, "cant_update_message"); err != nil {
			return
		}
		st.edit(channel, ts, func(m Message) Message {
			after = m.amended(body, c.args.has("text"))
			after.EditedTS = w.tsLocked()
			return after
		})
	})
	return before, after, err
}

func (m Message) amended(body content, textGiven bool) Message {
	m.Edits++
	switch {
	case body.hasBlocks || textGiven:
		m.Text, m.Blocks = body.text, body.blocks
	}
	if body.metadata != nil || body.noMeta {
		m.Metadata = body.metadata
	}
	return m
}

// mine finds a message that the app may change.
func (st *state) mine(channelID, ts, refusal string) (Message, error) {
	c, ok := st.channels[channelID]
	if !ok || (c.Private && !c.BotMember) {
		return Message{}, fail("channel_not_found")
	}
	m, ok := st.find(channelID, ts)
	switch {
	case !ok:
		return Message{}, fail("message_not_found")
	case !m.Mine():
		return Message{}, fail(refusal)
	}
	return m, nil
}

func chatDelete(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("channel", "ts"); err != nil {
		return nil, err
	}
	channel, ts := c.args.str("channel"), c.args.str("ts")
	var gone Message
	var err error
	w.change(func(st *state) {
		if gone, err = st.mine(channel, ts, "cant_delete_message"); err == nil {
			st.remove(channel, ts)
		}
	})
	if err != nil {
		return nil, err
	}
	w.emitMessage("message_deleted", gone, gone)
	return reply{"channel": channel, "ts": ts}, nil
}

func chatPostEphemeral(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("channel", "user"); err != nil {
		return nil, err
	}
	channel, err := w.postable(c.args.str("channel"))
	if err != nil {
		return nil, err
	}
	user := c.args.str("user")
	if a, ok := w.Account(user); !ok || a.Deleted || !channel.has(user) {
		return nil, fail("user_not_in_channel")
	}
	body, err := w.content(c)
	if err != nil {
		return nil, err
	}
	if body.empty() {
		return nil, fail("no_text")
	}
	m := w.whisper(Message{
		Channel: channel.ID, ThreadTS: c.args.str("thread_ts"), User: BotUserID, To: user,
		Text: body.text, Blocks: body.blocks, From: c.name,
	})
	return reply{"message_ts": m.TS}, nil
}

// whisper shows a message to one person only.
func (w *Workspace) whisper(m Message) Message {
	m.Ephemeral = true
	w.change(func(st *state) {
		m.TS = w.tsLocked()
		st.whisper(m)
	})
	return m
}

func chatGetPermalink(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("channel", "message_ts"); err != nil {
		return nil, err
	}
	channel, ts := c.args.str("channel"), c.args.str("message_ts")
	snap := w.Snapshot()
	if _, ok := snap.st.channels[channel]; !ok {
		return nil, fail("channel_not_found")
	}
	if _, ok := snap.st.find(channel, ts); !ok {
		return nil, fail("message_not_found")
	}
	link := c.base + "/archives/" + channel + "/p" + strings.ReplaceAll(ts, ".", "")
	return reply{"channel": channel, "permalink": link}, nil
}
