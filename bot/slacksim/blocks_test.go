package slacksim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func text(kind string, n int) object { return object{"type": kind, "text": strings.Repeat("é", n)} }

func plain(n int) object { return text("plain_text", n) }

func repeated(n int, make func(i int) object) []object {
	var out []object
	for i := range n {
		out = append(out, make(i))
	}
	return out
}

func aButton(change object) object {
	out := object{"type": "button", "action_id": "a", "text": plain(3)}
	maps.Copy(out, change)
	return out
}

func confirmation(title, body int) object {
	return object{"title": plain(title), "text": text("mrkdwn", body), "confirm": plain(3), "deny": plain(3)}
}

func aSelect(options int) object {
	return object{"type": "static_select", "action_id": "a", "options": repeated(options, func(i int) object {
		return object{"text": plain(3), "value": fmt.Sprint(i)}
	})}
}

// Each limit is met exactly and then overstepped by one.
func TestBlockLimits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	section := func(n int) object { return object{"type": "section", "text": text("mrkdwn", n)} }
	actions := func(e ...object) object { return object{"type": "actions", "elements": e} }
	for _, tt := range []struct {
		name   string
		blocks func(n int) []object
		limit  int
	}{
		{"blocks of a message", func(n int) []object {
			return repeated(n, func(int) object { return object{"type": "divider"} })
		}, 50},
		{"characters of a section's text", func(n int) []object { return []object{section(n)} }, 3000},
		{"fields of a section", func(n int) []object {
			return []object{{"type": "section", "fields": repeated(n, func(int) object { return text("mrkdwn", 1) })}}
		}, 10},
		{"characters of a field", func(n int) []object {
			return []object{{"type": "section", "fields": []object{text("mrkdwn", n)}}}
		}, 2000},
		{"characters of a header", func(n int) []object { return []object{{"type": "header", "text": plain(n)}} }, 150},
		{"elements of a context", func(n int) []object {
			return []object{{"type": "context", "elements": repeated(n, func(int) object { return text("mrkdwn", 1) })}}
		}, 10},
		{"elements of an actions block", func(n int) []object {
			return []object{actions(repeated(n, func(i int) object { return aButton(object{"action_id": fmt.Sprint(i)}) })...)}
		}, 25},
		{"characters of a button", func(n int) []object { return []object{actions(aButton(object{"text": plain(n)}))} }, 75},
		{"characters of a button's value", func(n int) []object {
			return []object{actions(aButton(object{"value": strings.Repeat("v", n)}))}
		}, 2000},
		{"characters of an action_id", func(n int) []object {
			return []object{actions(aButton(object{"action_id": strings.Repeat("a", n)}))}
		}, 255},
		{"characters of a block_id", func(n int) []object {
			return []object{{"type": "divider", "block_id": strings.Repeat("b", n)}}
		}, 255},
		{"characters of a confirmation's title", func(n int) []object {
			return []object{actions(aButton(object{"confirm": confirmation(n, 1)}))}
		}, 100},
		{"characters of a confirmation's text", func(n int) []object {
			return []object{actions(aButton(object{"confirm": confirmation(1, n)}))}
		}, 300},
		{"options of a menu", func(n int) []object { return []object{actions(aSelect(n))} }, 100},
		{"characters of an image's description", func(n int) []object {
			return []object{{"type": "image", "image_url": "https://example.com/a.png", "alt_text": strings.Repeat("a", n)}}
		}, 2000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": tt.blocks(tt.limit)}); a.code() != "" {
				t.Errorf("%d were refused: %.300s", tt.limit, a.raw)
			}
			if a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": tt.blocks(tt.limit + 1)}); a.code() != "invalid_blocks" {
				t.Errorf("%d were taken: %.300s", tt.limit+1, a.raw)
			}
		})
	}
}

func TestBlockTextAltogether(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	of := func(last int) []object {
		return append(repeated(4, func(int) object { return object{"type": "section", "text": text("mrkdwn", 2900)} }),
			object{"type": "section", "text": text("mrkdwn", last)})
	}
	if a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": of(400)}); a.code() != "" {
		t.Errorf("12,000 characters were refused: %.200s", a.raw)
	}
	if a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": of(401)}); a.code() != "msg_blocks_too_long" {
		t.Errorf("12,001 characters: %.200s", a.raw)
	}
}

func TestInvalidBlocksSayWhereAndWhy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, tt := range []struct {
		name  string
		block object
		want  string
	}{
		{"an unknown block", object{"type": "carousel3"}, "unsupported type: carousel3 [json-pointer:/blocks/0/type]"},
		{"a block without a type", object{}, "missing required field: type [json-pointer:/blocks/0]"},
		{"an unknown element", object{"type": "actions", "elements": []object{{"type": "lever"}}}, "unsupported type: lever [json-pointer:/blocks/0/elements/0/type]"},
		{"an input element among actions", object{"type": "actions", "elements": []object{{"type": "plain_text_input"}}}, "unsupported type: plain_text_input [json-pointer:/blocks/0/elements/0/type]"},
		{"a misspelt property", object{"type": "divider", "blockid": "x"}, "invalid additional property: blockid [json-pointer:/blocks/0]"},
		{"a section of nothing", object{"type": "section"}, "must define either `text` or `fields` [json-pointer:/blocks/0]"},
		{"a text that is a string", object{"type": "section", "text": "x"}, "must be an object [json-pointer:/blocks/0/text]"},
		{"mrkdwn in a header", object{"type": "header", "text": text("mrkdwn", 1)}, "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"},
		{"an empty text", object{"type": "section", "text": text("mrkdwn", 0)}, "must be more than 0 characters [json-pointer:/blocks/0/text/text]"},
		{"a style that doesn't exist", object{"type": "actions", "elements": []object{aButton(object{"style": "loud"})}}, "value \"loud\" not in allowed values: primary, danger [json-pointer:/blocks/0/elements/0/style]"},
		{"two elements of one action_id", object{"type": "actions", "elements": []object{aButton(nil), aButton(nil)}}, "`action_id` \"a\" already exists [json-pointer:/blocks/0/elements/1/action_id]"},
		{"an image without an address", object{"type": "image", "alt_text": "a"}, "must define either `image_url` or `slack_file` [json-pointer:/blocks/0]"},
		{"an address that is none", object{"type": "actions", "elements": []object{aButton(object{"url": "nowhere"})}}, "invalid url [json-pointer:/blocks/0/elements/0/url]"},
		{"a table with a cell that is none", object{"type": "table", "rows": []any{[]any{"x"}}}, "must be an object [json-pointer:/blocks/0/rows/0/0]"},
		{"rich text of an unknown part", object{"type": "rich_text", "elements": []object{{"type": "poem"}}}, "unsupported type: poem [json-pointer:/blocks/0/elements/0/type]"},
		{"no elements", object{"type": "actions", "elements": []object{}}, "no fewer than 1 items allowed [json-pointer:/blocks/0/elements]"},
		{"elements that are no list", object{"type": "actions", "elements": "x"}, "must be an array [json-pointer:/blocks/0/elements]"},
		{"a flag that is a string", object{"type": "section", "expand": "yes", "text": text("mrkdwn", 1)}, "must be a boolean [json-pointer:/blocks/0/expand]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": []object{tt.block}})
			list, _ := a.body["errors"].([]any)
			if a.code() != "invalid_blocks" || !slices.Contains(list, any(tt.want)) {
				t.Errorf("answer %s\nwant %s", a.raw, tt.want)
			}
			meta, _ := a.body["response_metadata"].(object)
			messages, _ := meta["messages"].([]any)
			if !slices.Contains(messages, any("[ERROR] "+tt.want)) {
				t.Errorf("response_metadata %v", meta)
			}
		})
	}
}

func TestTwoBlocksOfOneIDAreRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	same := object{"type": "divider", "block_id": "x"}
	if a := b.json(t, "chat.postMessage", object{"channel": ops, "blocks": []object{same, same}}); a.code() != "invalid_blocks" {
		t.Errorf("answer %s", a.raw)
	}
}

func TestSlackFillsInIDs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	button := aButton(nil)
	delete(button, "action_id")
	b.json(t, "chat.postMessage", object{"channel": ops, "blocks": []object{{"type": "actions", "elements": []object{button}}}})
	buttons := b.Messages(ops)[0].Buttons()
	if len(buttons) != 1 || buttons[0].ActionID == "" || buttons[0].BlockID == "" {
		t.Errorf("buttons %+v", buttons)
	}
}
