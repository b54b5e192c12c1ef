package slacksim

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Input is one input block of a view as a person sees it.
type Input struct {
	BlockID, ActionID, Type, Label string
	Optional                       bool
}

// Inputs lists the input blocks of a view, in order.
func (v View) Inputs() []Input {
	var out []Input
	for _, b := range rawBlocks(v.Blocks) {
		e, ok := b["element"].(map[string]any)
		if !ok || b["type"] != "input" {
			continue
		}
		optional, _ := b["optional"].(bool)
		out = append(out, Input{
			BlockID: str(b["block_id"]), ActionID: str(e["action_id"]), Type: str(e["type"]), Label: textOf(b["label"]), Optional: optional,
		})
	}
	return out
}

// initial are the values that a view starts with.
func (v View) initial() map[string]map[string]any {
	values, _ := v.values(nil, false)
	return values
}

// values are a view's state after a person entered what given says, by block_id
// or action_id. With strict set they are checked as Slack's own form does.
func (v View) values(given map[string]string, strict bool) (map[string]map[string]any, error) {
	out := map[string]map[string]any{}
	known := map[string]bool{}
	for _, b := range rawBlocks(v.Blocks) {
		e, ok := b["element"].(map[string]any)
		if !ok || b["type"] != "input" {
			continue
		}
		blockID, actionID := str(b["block_id"]), str(e["action_id"])
		known[blockID], known[actionID] = true, true
		value, err := fieldValue(b, e, given, strict)
		if err != nil {
			return nil, err
		}
		out[blockID] = map[string]any{actionID: value}
	}
	for key := range given {
		if !known[key] {
			return nil, fmt.Errorf("the view has no input %q", key)
		}
	}
	return out, nil
}

func fieldValue(block, element map[string]any, given map[string]string, strict bool) (reply, error) {
	text, typed := given[str(block["block_id"])]
	if !typed {
		text, typed = given[str(element["action_id"])]
	}
	if !typed {
		text = initialChoice(element)
	}
	value, err := entered(element, text)
	if err != nil {
		return nil, err
	}
	optional, _ := block["optional"].(bool)
	if strict && !optional && text == "" {
		return nil, fmt.Errorf("the input %q must not be left empty", textOf(block["label"]))
	}
	if strict {
		return value, lengthOf(element, text)
	}
	return value, nil
}

func lengthOf(element map[string]any, text string) error {
	n := utf8.RuneCountInString(text)
	least, most := whole(element["min_length"]), whole(element["max_length"])
	switch {
	case text != "" && n < least:
		return fmt.Errorf("at least %d characters, not %d", least, n)
	case most > 0 && n > most:
		return fmt.Errorf("at most %d characters, not %d", most, n)
	}
	return nil
}

func whole(v any) int { f, _ := v.(float64); return int(f) }

// initialChoice is an element's initial value in the words of entered.
func initialChoice(e map[string]any) string {
	for _, k := range []string{"initial_value", "initial_user", "initial_date", "initial_time"} {
		if s := str(e[k]); s != "" {
			return s
		}
	}
	if o, ok := e["initial_option"].(map[string]any); ok {
		return str(o["value"])
	}
	var chosen []string
	list, _ := e["initial_options"].([]any)
	for _, v := range list {
		o, _ := v.(map[string]any)
		chosen = append(chosen, str(o["value"]))
	}
	return strings.Join(chosen, ",")
}

// entered is the state that Slack reports for an element after a choice.
// Several choices are separated by commas.
func entered(e map[string]any, choice string) (reply, error) {
	out := reply{"type": e["type"]}
	switch str(e["type"]) {
	case "static_select", "radio_buttons", "overflow":
		return one(out, e, choice)
	case "multi_static_select", "checkboxes":
		return several(out, e, choice)
	case "users_select":
		out["selected_user"] = orNil(choice)
	case "multi_users_select":
		out["selected_users"] = split(choice)
	case "datepicker":
		out["selected_date"] = orNil(choice)
	case "timepicker":
		out["selected_time"] = orNil(choice)
	case "datetimepicker":
		return moment(out, choice)
	default:
		out["value"] = orNil(choice)
	}
	return out, nil
}

func moment(out reply, choice string) (reply, error) {
	out["selected_date_time"] = nil
	if choice == "" {
		return out, nil
	}
	seconds, err := strconv.ParseInt(choice, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("a date and time is chosen as Unix seconds: %w", err)
	}
	out["selected_date_time"] = seconds
	return out, nil
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func split(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

func one(out reply, e map[string]any, choice string) (reply, error) {
	out["selected_option"] = nil
	if choice == "" {
		return out, nil
	}
	o := option(e, choice)
	if o == nil {
		return nil, fmt.Errorf("%q is none of the options of %s", choice, str(e["action_id"]))
	}
	out["selected_option"] = o
	return out, nil
}

func several(out reply, e map[string]any, choices string) (reply, error) {
	chosen := []any{}
	for _, c := range split(choices) {
		o := option(e, c)
		if o == nil {
			return nil, fmt.Errorf("%q is none of the options of %s", c, str(e["action_id"]))
		}
		chosen = append(chosen, o)
	}
	out["selected_options"] = chosen
	return out, nil
}

func option(e map[string]any, value string) any {
	list, _ := e["options"].([]any)
	for _, v := range list {
		if o, _ := v.(map[string]any); str(o["value"]) == value {
			return o
		}
	}
	return nil
}
