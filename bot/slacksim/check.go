package slacksim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	maxMessageBlocks = 50
	maxViewBlocks    = 100
	maxBlockText     = 12_000 // characters of all texts in a message's blocks together; undocumented
	maxView          = 250_000
)

// checker walks Block Kit values, fills in what Slack fills in, and collects
// complaints in Slack's wording, each with a JSON pointer.
type checker struct {
	complaints []string
	text       int // characters in all texts
	blockIDs   map[string]bool
	actionIDs  map[string]bool
	blocks     map[string]shape
	elements   map[string]shape
	objects    map[string]shape
	file       func(id string) bool // whether a file is there to be shown
}

func (w *Workspace) newChecker() *checker {
	return &checker{
		blockIDs: map[string]bool{}, blocks: blockShapes(), elements: elementShapes(), objects: objectShapes(), file: w.hasFile,
	}
}

// checkMessageBlocks returns the blocks as Slack stores them, or invalid_blocks
// or msg_blocks_too_long.
func (w *Workspace) checkMessageBlocks(list []any) (json.RawMessage, error) {
	c := w.newChecker()
	c.list("/blocks", list, messageBlocks, maxMessageBlocks)
	if err := c.verdict("invalid_blocks"); err != nil {
		return nil, err
	}
	if c.text > maxBlockText {
		return nil, fail("msg_blocks_too_long")
	}
	return json.Marshal(list)
}

func (c *checker) verdict(code string) error {
	if c.complaints == nil {
		return nil
	}
	e := &apiError{code: code, extra: reply{"errors": c.complaints}}
	for _, m := range c.complaints {
		e.messages = append(e.messages, "[ERROR] "+m)
	}
	return e
}

func (c *checker) complain(at, format string, a ...any) {
	c.complaints = append(c.complaints, fmt.Sprintf(format, a...)+" [json-pointer:"+at+"]")
}

func (c *checker) list(at string, list []any, allowed []string, most int) {
	if len(list) > most {
		c.complain(at, "no more than %d items allowed", most)
	}
	for i, v := range list {
		c.block(at+"/"+strconv.Itoa(i), v, allowed)
	}
}

func (c *checker) block(at string, v any, allowed []string) {
	m, typ, ok := c.typed(at, v, allowed)
	if !ok {
		return
	}
	c.actionIDs = map[string]bool{}
	c.properties(at, m, c.blocks[typ])
	c.together(at, typ, m)
	c.identify(at, m, "block_id", c.blockIDs)
}

// typed checks that v is an object of an allowed type.
func (c *checker) typed(at string, v any, allowed []string) (map[string]any, string, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		c.complain(at, "must be an object")
		return nil, "", false
	}
	typ, ok := m["type"].(string)
	switch {
	case !ok:
		c.complain(at, "missing required field: type")
		return nil, "", false
	case !slices.Contains(allowed, typ):
		c.complain(at+"/type", "unsupported type: %s", typ)
		return nil, "", false
	}
	return m, typ, true
}

func (c *checker) properties(at string, m map[string]any, s shape) {
	for _, k := range slices.Sorted(maps.Keys(s)) {
		v, given := m[k]
		switch {
		case given && v != nil:
			c.value(at+"/"+k, v, s[k])
		case s[k].need:
			c.complain(at, "missing required field: %s", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if _, known := s[k]; !known && k != "type" {
			c.complain(at, "invalid additional property: %s", k)
		}
	}
}

// element checks an interactive element, an image, or a text in a list of such.
func (c *checker) element(at string, v any, f field) {
	m, typ, ok := c.typed(at, v, f.of)
	if !ok {
		return
	}
	if typ == "plain_text" || typ == "mrkdwn" {
		c.textObject(at, v, field{min: 1, max: 2000}, f.of)
		return
	}
	c.properties(at, m, c.elements[typ])
	c.together(at, typ, m)
	if typ != "image" {
		c.identify(at, m, "action_id", c.actionIDs)
	}
}

// identify gives the id that Slack gives when there is none, and refuses doubles.
func (c *checker) identify(at string, m map[string]any, key string, seen map[string]bool) {
	id, _ := m[key].(string)
	if id == "" {
		id = randomHex(3)
		m[key] = id
	}
	if seen[id] {
		c.complain(at+"/"+key, "`%s` %q already exists", key, id)
	}
	seen[id] = true
}

// together checks what a single property can't say.
func (c *checker) together(at, typ string, m map[string]any) {
	switch typ {
	case "section":
		if m["text"] == nil && m["fields"] == nil {
			c.complain(at, "must define either `text` or `fields`")
		}
	case "image":
		if (m["image_url"] == nil) == (m["slack_file"] == nil) {
			c.complain(at, "must define either `image_url` or `slack_file`")
		}
		c.link(at+"/image_url", m["image_url"])
		c.uploaded(at+"/slack_file", m["slack_file"])
	case "button":
		c.link(at+"/url", m["url"])
	case "markdown":
		text, _ := m["text"].(string)
		c.text += utf8.RuneCountInString(text)
	case "rich_text":
		c.each(at+"/elements", m["elements"], 0, func(at string, v any) {
			c.typed(at, v, []string{"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"})
		})
	case "table":
		c.each(at+"/rows", m["rows"], 100, func(at string, row any) {
			c.each(at, row, 20, func(at string, v any) { c.typed(at, v, []string{"raw_text", "rich_text"}) })
		})
	}
}

// each visits a list of at most so many items; 0 for no bound.
func (c *checker) each(at string, v any, most int, visit func(at string, v any)) {
	list, ok := v.([]any)
	if !ok {
		c.complain(at, "must be an array")
		return
	}
	if most > 0 && len(list) > most {
		c.complain(at, "no more than %d items allowed", most)
	}
	for i, item := range list {
		visit(at+"/"+strconv.Itoa(i), item)
	}
}

func (c *checker) link(at string, v any) {
	s, ok := v.(string)
	if !ok || s == "" {
		return
	}
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || (u.Host == "" && u.Opaque == "") {
		c.complain(at, "invalid url")
	}
}

// uploaded refuses an image whose file isn't complete: a message that is posted
// before its chart is.
func (c *checker) uploaded(at string, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	id, address := str(m["id"]), str(m["url"])
	if address != "" {
		id = fileOf(address)
	}
	if !c.file(id) {
		c.complain(at, "invalid slack file")
	}
}

// countTexts adds up the texts inside rich text and tables.
func (c *checker) countTexts(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if s, ok := inner.(string); ok && k == "text" {
				c.text += utf8.RuneCountInString(s)
				continue
			}
			c.countTexts(inner)
		}
	case []any:
		for _, inner := range v {
			c.countTexts(inner)
		}
	}
}
