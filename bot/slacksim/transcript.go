package slacksim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Transcript is everything that happened in the workspace's conversations, in
// order, as a person would read it: what people typed and pressed, and each
// message as it stands now. What only one person saw says so.
func (w *Workspace) Transcript() string {
	snap := w.Snapshot()
	var out strings.Builder
	for _, id := range snap.st.channelOrder {
		lines := snap.transcript(id, w.opt.Now())
		if len(snap.st.channelOrder) > 1 && lines != "" {
			fmt.Fprintf(&out, "── %s\n", snap.label(id))
		}
		out.WriteString(lines)
	}
	return out.String()
}

func (s *Snapshot) label(channelID string) string {
	c := s.st.channels[channelID]
	if c.Direct != "" {
		return "direct messages with " + s.st.accounts[c.Direct].Name
	}
	return "#" + c.Name
}

// entry is one thing in a transcript.
type entry struct {
	ts   string
	text string
}

func (s *Snapshot) transcript(channelID string, now time.Time) string {
	r := reader{snap: s, zone: now.Location(), now: now}
	var all []entry
	for _, a := range s.st.acts {
		if a.Channel == channelID {
			all = append(all, entry{a.TS, fmt.Sprintf("%s  %s › %s\n", r.clock(a.TS), r.name(a.User), a.Text)})
		}
	}
	for _, m := range s.st.messages[channelID] {
		all = append(all, entry{m.TS, r.message(m)})
	}
	for _, id := range s.st.order {
		for _, m := range s.st.ephemerals[id] {
			if m.Channel == channelID {
				all = append(all, entry{m.TS, r.message(m)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return compareTS(a.ts, b.ts) })
	var out strings.Builder
	for _, e := range all {
		out.WriteString(e.text)
	}
	return out.String()
}

func (r reader) clock(ts string) string {
	var seconds int64
	if _, err := fmt.Sscanf(ts, "%d", &seconds); err != nil {
		return "--:--:--"
	}
	return time.Unix(seconds, 0).In(r.zone).Format("15:04:05")
}

func (r reader) message(m Message) string {
	head := r.clock(m.TS) + "  " + r.name(m.User)
	if m.Ephemeral {
		head += " (only visible to " + r.name(m.To) + ")"
	}
	if m.ThreadTS != "" {
		head += " (in a thread)"
	}
	if m.Edits > 0 {
		head += fmt.Sprintf(" (edited %d×)", m.Edits)
	}
	var out strings.Builder
	out.WriteString(head + "\n")
	for _, line := range strings.Split(strings.TrimRight(r.body(m), "\n"), "\n") {
		out.WriteString(strings.TrimRight("          "+line, " ") + "\n")
	}
	return out.String()
}

// Plain is a message's content as a person reads it, without markup.
func (s *Snapshot) Plain(m Message, now time.Time) string {
	return reader{snap: s, zone: now.Location(), now: now}.body(m)
}

// Plain is a message's content as a person reads it, without markup.
func (w *Workspace) Plain(m Message) string { return w.Snapshot().Plain(m, w.opt.Now()) }

// PlainView is a view's content as a person reads it, without markup.
func (w *Workspace) PlainView(v View) string {
	now := w.opt.Now()
	r := reader{snap: w.Snapshot(), zone: now.Location(), now: now}
	return strings.Join(append([]string{v.Title}, r.blocks(rawBlocks(v.Blocks))...), "\n")
}

func (r reader) body(m Message) string {
	lines := r.blocks(rawBlocks(m.Blocks))
	if len(lines) == 0 {
		lines = []string{r.plain(m.Text)}
	}
	for _, f := range m.Files {
		lines = append(lines, fmt.Sprintf("[file %s: %s]", f.Title, or(f.AltText, "no description")))
	}
	return strings.Join(lines, "\n")
}

func (r reader) blocks(blocks []map[string]any) []string {
	var lines []string
	for _, b := range blocks {
		if text := r.block(b); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

func (r reader) block(b map[string]any) string {
	switch str(b["type"]) {
	case "divider":
		return "────────"
	case "markdown":
		return r.plain(str(b["text"]))
	case "section":
		return r.section(b)
	case "context", "actions":
		return r.joined(b["elements"])
	case "image":
		return r.element(b)
	case "input":
		return textOf(b["label"]) + ": ______"
	case "table":
		return r.table(b)
	case "rich_text":
		return strings.TrimRight(r.rich(b["elements"]), "\n")
	}
	return r.text(b["text"])
}

func (r reader) section(b map[string]any) string {
	var parts []string
	if t := r.text(b["text"]); t != "" {
		parts = append(parts, t)
	}
	fields, _ := b["fields"].([]any)
	for _, f := range fields {
		parts = append(parts, strings.ReplaceAll(r.text(f), "\n", " "))
	}
	if e, ok := b["accessory"].(map[string]any); ok {
		parts = append(parts, r.element(e))
	}
	return strings.Join(parts, "\n")
}

func (r reader) joined(v any) string {
	list, _ := v.([]any)
	var parts []string
	for _, v := range list {
		if e, ok := v.(map[string]any); ok {
			parts = append(parts, r.element(e))
		}
	}
	return strings.Join(parts, "  ")
}

func (r reader) element(e map[string]any) string {
	switch str(e["type"]) {
	case "plain_text", "mrkdwn":
		return r.text(e)
	case "image":
		return "[image: " + str(e["alt_text"]) + "]"
	case "button":
		return "[" + textOf(e["text"]) + "]"
	}
	return "[" + or(textOf(e["placeholder"]), str(e["type"])) + " ▾]"
}

func (r reader) text(v any) string {
	m, _ := v.(map[string]any)
	if str(m["type"]) == "mrkdwn" {
		return r.plain(str(m["text"]))
	}
	return str(m["text"])
}

func (r reader) table(b map[string]any) string {
	rows, _ := b["rows"].([]any)
	var lines []string
	for _, row := range rows {
		cells, _ := row.([]any)
		var texts []string
		for _, c := range cells {
			m, _ := c.(map[string]any)
			texts = append(texts, or(str(m["text"]), strings.TrimSpace(r.rich(m["elements"]))))
		}
		lines = append(lines, strings.Join(texts, " | "))
	}
	return strings.Join(lines, "\n")
}

// rich reads rich text: a tree whose leaves are texts, links, people, emoji.
func (r reader) rich(v any) string {
	list, _ := v.([]any)
	var out strings.Builder
	for _, v := range list {
		e, _ := v.(map[string]any)
		switch str(e["type"]) {
		case "text":
			out.WriteString(str(e["text"]))
		case "link":
			out.WriteString(or(str(e["text"]), str(e["url"])))
		case "user":
			out.WriteString("@" + r.name(str(e["user_id"])))
		case "emoji":
			out.WriteString(":" + str(e["name"]) + ":")
		case "rich_text_list":
			items, _ := e["elements"].([]any)
			for _, item := range items {
				out.WriteString("• " + r.rich([]any{item}))
			}
		default:
			out.WriteString(r.rich(e["elements"]) + "\n")
		}
	}
	return out.String()
}
