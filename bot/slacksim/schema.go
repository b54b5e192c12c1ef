package slacksim

import "maps"

// kind is what a field of a Block Kit object must be.
type kind int

const (
	kString   kind = iota // a string
	kBool                 // true or false
	kInt                  // a whole number
	kText                 // a text object, plain_text or mrkdwn
	kPlain                // a text object, plain_text only
	kObject               // an object of one named shape
	kObjects              // a list of such
	kElement              // an object whose type is one of a list
	kElements             // a list of such
	kAny                  // anything, looked into only for its texts
)

// field says what a property of a Block Kit object must be.
type field struct {
	kind     kind
	need     bool
	min, max int      // characters of a string or text, or items of a list; max 0: no bound of its own
	of       []string // allowed types of elements, or allowed values of a string
	shape    string   // of kObject and kObjects
}

// shape is a Block Kit object: its properties. Others are refused, as Slack does.
type shape map[string]field

var (
	interactive = []string{
		"button", "checkboxes", "datepicker", "datetimepicker", "multi_static_select", "multi_users_select",
		"overflow", "radio_buttons", "static_select", "timepicker", "users_select",
	}
	inputs = []string{
		"checkboxes", "datepicker", "datetimepicker", "email_text_input", "multi_static_select", "multi_users_select",
		"number_input", "plain_text_input", "radio_buttons", "static_select", "timepicker", "url_text_input", "users_select",
	}
	messageBlocks = []string{
		"actions", "context", "divider", "header", "image", "input", "markdown", "rich_text", "section", "table",
	}
	viewBlocks = []string{"actions", "context", "divider", "header", "image", "input", "rich_text", "section"}
)

func id255() field                 { return field{kind: kString, max: 255} }
func plain(need bool, n int) field { return field{kind: kPlain, need: need, min: 1, max: n} }

// blockShapes are the blocks that a message or view may consist of. A list as a
// function: a value that nobody can change.
func blockShapes() map[string]shape {
	return map[string]shape{
		"section": {
			"block_id": id255(), "text": {kind: kText, min: 1, max: 3000}, "expand": {kind: kBool},
			"fields":    {kind: kElements, of: []string{"plain_text", "mrkdwn"}, min: 1, max: 10},
			"accessory": {kind: kElement, of: append([]string{"image"}, interactive...)},
		},
		"header":  {"block_id": id255(), "text": plain(true, 150)},
		"divider": {"block_id": id255()},
		"context": {"block_id": id255(), "elements": {
			kind: kElements, need: true, of: []string{"image", "plain_text", "mrkdwn"}, min: 1, max: 10,
		}},
		"actions": {"block_id": id255(), "elements": {kind: kElements, need: true, of: interactive, min: 1, max: 25}},
		"image": {
			"block_id": id255(), "alt_text": {kind: kString, need: true, min: 1, max: 2000}, "title": plain(false, 2000),
			"image_url": {kind: kString, min: 1, max: 3000}, "slack_file": {kind: kObject, shape: "slack_file"},
		},
		"input": {
			"block_id": id255(), "label": plain(true, 2000), "hint": plain(false, 2000), "optional": {kind: kBool},
			"dispatch_action": {kind: kBool}, "element": {kind: kElement, need: true, of: inputs},
		},
		"markdown":  {"block_id": id255(), "text": {kind: kString, need: true, min: 1, max: 12_000}},
		"rich_text": {"block_id": id255(), "elements": {kind: kAny, need: true}},
		"table":     {"block_id": id255(), "rows": {kind: kAny, need: true}, "column_settings": {kind: kAny}},
	}
}

// elementShapes are the elements inside blocks.
func elementShapes() map[string]shape {
	confirm, placeholder, focus := field{kind: kObject, shape: "confirm"}, plain(false, 150), field{kind: kBool}
	options := func(n int) field { return field{kind: kObjects, shape: "option", need: true, min: 1, max: n} }
	initial := field{kind: kObject, shape: "option"}
	initials := field{kind: kObjects, shape: "option", min: 1, max: 100}
	text := shape{
		"action_id": id255(), "placeholder": placeholder, "initial_value": {kind: kString, max: 3000},
		"focus_on_load": focus, "dispatch_action_config": {kind: kAny},
	}
	return map[string]shape{
		"button": {
			"action_id": id255(), "text": plain(true, 75), "value": {kind: kString, max: 2000}, "url": {kind: kString, max: 3000},
			"style": {kind: kString, of: []string{"primary", "danger"}}, "confirm": confirm,
			"accessibility_label": {kind: kString, max: 75},
		},
		"image": {
			"alt_text": {kind: kString, need: true, min: 1, max: 2000}, "image_url": {kind: kString, min: 1, max: 3000},
			"slack_file": {kind: kObject, shape: "slack_file"},
		},
		"overflow":            {"action_id": id255(), "confirm": confirm, "options": options(5)},
		"checkboxes":          {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "options": options(10), "initial_options": initials},
		"radio_buttons":       {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "options": options(10), "initial_option": initial},
		"static_select":       {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "options": options(100), "initial_option": initial},
		"multi_static_select": {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "options": options(100), "initial_options": initials, "max_selected_items": {kind: kInt}},
		"users_select":        {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "initial_user": {kind: kString}},
		"multi_users_select":  {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "initial_users": {kind: kAny}, "max_selected_items": {kind: kInt}},
		"datepicker":          {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "initial_date": {kind: kString}},
		"timepicker":          {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "placeholder": placeholder, "initial_time": {kind: kString}, "timezone": {kind: kString}},
		"datetimepicker":      {"action_id": id255(), "confirm": confirm, "focus_on_load": focus, "initial_date_time": {kind: kInt}},
		"plain_text_input": text.with(shape{
			"multiline": {kind: kBool}, "min_length": {kind: kInt, max: 3000}, "max_length": {kind: kInt, min: 1, max: 3000},
		}),
		"number_input":     text.with(shape{"is_decimal_allowed": {kind: kBool, need: true}, "min_value": {kind: kString}, "max_value": {kind: kString}}),
		"email_text_input": text,
		"url_text_input":   text,
	}
}

// objectShapes are the composition objects.
func objectShapes() map[string]shape {
	return map[string]shape{
		"confirm": {
			"title": plain(true, 100), "text": {kind: kText, need: true, min: 1, max: 300}, "confirm": plain(true, 30),
			"deny": plain(true, 30), "style": {kind: kString, of: []string{"primary", "danger"}},
		},
		"option": {
			"text": {kind: kText, need: true, min: 1, max: 75}, "value": {kind: kString, need: true, min: 1, max: 150},
			"description": {kind: kText, min: 1, max: 75}, "url": {kind: kString, max: 3000},
		},
		"slack_file": {"id": {kind: kString}, "url": {kind: kString, max: 3000}},
	}
}

// viewShapes are modals and App Homes. Blocks are checked on their own.
func viewShapes() map[string]shape {
	common := shape{
		"type": {kind: kString, need: true}, "blocks": {kind: kAny, need: true},
		"private_metadata": {kind: kString, max: 3000}, "callback_id": id255(), "external_id": id255(),
	}
	return map[string]shape{
		"home": common,
		"modal": common.with(shape{
			"title": plain(true, 24), "submit": plain(false, 24), "close": plain(false, 24), "clear_on_close": {kind: kBool},
			"notify_on_close": {kind: kBool}, "submit_disabled": {kind: kBool},
		}),
	}
}

func (s shape) with(more shape) shape {
	out := shape{}
	for _, m := range []shape{s, more} {
		maps.Copy(out, m)
	}
	return out
}
