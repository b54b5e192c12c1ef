package slacksim

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (c *checker) value(at string, v any, f field) {
	switch f.kind {
	case kString:
		c.str(at, v, f)
	case kBool:
		if _, ok := v.(bool); !ok {
			c.complain(at, "must be a boolean")
		}
	case kInt:
		c.integer(at, v, f)
	case kText:
		c.textObject(at, v, f, []string{"plain_text", "mrkdwn"})
	case kPlain:
		c.textObject(at, v, f, []string{"plain_text"})
	case kObject:
		c.object(at, v, f)
	case kElement:
		c.element(at, v, f)
	case kObjects, kElements:
		c.items(at, v, f)
	case kAny:
		c.countTexts(v)
	}
}

func (c *checker) str(at string, v any, f field) {
	s, ok := v.(string)
	if !ok {
		c.complain(at, "must be a string")
		return
	}
	c.length(at, s, f)
	if f.of != nil && !slices.Contains(f.of, s) {
		c.complain(at, "value \"%s\" not in allowed values: %s", s, strings.Join(f.of, ", "))
	}
}

func (c *checker) length(at, s string, f field) {
	n := utf8.RuneCountInString(s)
	if n < f.min {
		c.complain(at, "must be more than %d characters", f.min-1)
	}
	if f.max > 0 && n > f.max {
		c.complain(at, "must be less than %d characters", f.max+1)
	}
}

func (c *checker) integer(at string, v any, f field) {
	number, ok := v.(json.Number)
	if !ok {
		c.complain(at, "must be an integer")
		return
	}
	n, err := strconv.Atoi(number.String())
	if err != nil || n < f.min || (f.max > 0 && n > f.max) {
		c.complain(at, "must be an integer from %d to %d", f.min, f.max)
	}
}

func (c *checker) textObject(at string, v any, f field, allowed []string) {
	m, typ, ok := c.typed(at, v, allowed)
	if !ok {
		return
	}
	s := shape{"text": {kind: kString, need: true, min: f.min, max: f.max}}
	if typ == "plain_text" {
		s["emoji"] = field{kind: kBool}
		fill(m, "emoji", true)
	} else {
		s["verbatim"] = field{kind: kBool}
		fill(m, "verbatim", false)
	}
	c.properties(at, m, s)
	text, _ := m["text"].(string)
	c.text += utf8.RuneCountInString(text)
}

func fill(m map[string]any, key string, value any) {
	if _, given := m[key]; !given {
		m[key] = value
	}
}

func (c *checker) object(at string, v any, f field) {
	m, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "must be an object")
		return
	}
	c.properties(at, m, c.objects[f.shape])
}

func (c *checker) items(at string, v any, f field) {
	list, ok := v.([]any)
	if !ok {
		c.complain(at, "must be an array")
		return
	}
	if len(list) < f.min {
		c.complain(at, "no fewer than %d items allowed", f.min)
	}
	if len(list) > f.max {
		c.complain(at, "no more than %d items allowed", f.max)
	}
	for i, item := range list {
		each := f
		each.kind = kObject
		if f.kind == kElements {
			each.kind = kElement
		}
		c.value(at+"/"+strconv.Itoa(i), item, each)
	}
}
