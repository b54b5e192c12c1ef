package slacksim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// View is a modal or an App Home as one person has it before them.
type View struct {
	ID              string            `json:"id"`
	Type            string            `json:"type"` // "modal" or "home"
	User            string            `json:"user"`
	Channel         string            `json:"channel"` // where the person was when it opened
	Title           string            `json:"title"`
	Submit          string            `json:"submit"`
	Close           string            `json:"close"`
	CallbackID      string            `json:"callback_id"`
	ExternalID      string            `json:"external_id"`
	PrivateMetadata string            `json:"private_metadata"`
	Hash            string            `json:"hash"`
	RootID          string            `json:"root_view_id"`
	PreviousID      string            `json:"previous_view_id"`
	NotifyOnClose   bool              `json:"notify_on_close"`
	ClearOnClose    bool              `json:"clear_on_close"`
	Blocks          json.RawMessage   `json:"blocks"`
	Errors          map[string]string `json:"errors,omitempty"` // by block_id, after a refused submission
	Shown           string            `json:"shown,omitempty"`  // what Slack says above the buttons when the app failed
	Updates         int               `json:"updates"`
}

const maxStack = 3

// readView checks a view of one type and returns what it defines.
func (w *Workspace) readView(v any, wantType string) (View, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return View{}, invalidArguments("must be a valid view object [json-pointer:/view]")
	}
	if raw, err := json.Marshal(m); err != nil || len(raw) > maxView {
		return View{}, fail("view_too_large")
	}
	if typ, _ := m["type"].(string); typ != wantType {
		return View{}, invalidArguments("unsupported view type: " + typ + " [json-pointer:/view/type]")
	}
	c := w.newChecker()
	c.properties("/view", m, viewShapes()[wantType])
	list, _ := m["blocks"].([]any)
	c.text = 0
	c.list("/view/blocks", list, viewBlocks, maxViewBlocks)
	if hasInput(list) && m["submit"] == nil && wantType == "modal" {
		c.complain("/view", "`submit` is required when an input block is present")
	}
	if err := c.verdict("invalid_arguments"); err != nil {
		return View{}, err
	}
	return newView(m, list)
}

func hasInput(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		return m["type"] == "input"
	})
}

func newView(m map[string]any, list []any) (View, error) {
	blocks, err := json.Marshal(list)
	if err != nil {
		return View{}, fmt.Errorf("encode the view's blocks again: %w", err)
	}
	text := func(key string) string {
		o, _ := m[key].(map[string]any)
		s, _ := o["text"].(string)
		return s
	}
	str := func(key string) string { s, _ := m[key].(string); return s }
	flag := func(key string) bool { b, _ := m[key].(bool); return b }
	return View{
		Type: str("type"), Title: text("title"), Submit: text("submit"), Close: text("close"), Blocks: blocks,
		CallbackID: str("callback_id"), ExternalID: str("external_id"), PrivateMetadata: str("private_metadata"),
		NotifyOnClose: flag("notify_on_close"), ClearOnClose: flag("clear_on_close"),
	}, nil
}

// wire is the view object of Slack's API, with the values a person has entered.
func (v View) wire(team string, values map[string]map[string]any) reply {
	if values == nil {
		values = map[string]map[string]any{}
	}
	out := reply{
		"id": v.ID, "team_id": team, "type": v.Type, "blocks": v.Blocks, "private_metadata": v.PrivateMetadata,
		"callback_id": v.CallbackID, "external_id": v.ExternalID, "state": reply{"values": values}, "hash": v.Hash,
		"clear_on_close": v.ClearOnClose, "notify_on_close": v.NotifyOnClose, "root_view_id": or(v.RootID, v.ID),
		"previous_view_id": nil, "app_id": AppID, "bot_id": BotID, "app_installed_team_id": team,
		"title": plainText(v.Title), "submit": plainText(v.Submit), "close": plainText(v.Close),
	}
	if v.PreviousID != "" {
		out["previous_view_id"] = v.PreviousID
	}
	return out
}

func plainText(s string) any {
	if s == "" {
		return nil
	}
	return reply{"type": "plain_text", "text": s, "emoji": true}
}

// push puts a view on top of a person's stack.
func (w *Workspace) pushLocked(st *state, v View, user, channel string) View {
	v.User, v.Channel, v.ID, v.Hash = user, channel, w.idLocked("V"), w.hashLocked()
	v.RootID = v.ID
	if stack := st.modals[user]; len(stack) > 0 {
		v.RootID, v.PreviousID = stack[0].ID, stack[len(stack)-1].ID
	}
	st.modals[user] = append(slices.Clone(st.modals[user]), v)
	return v
}

func (w *Workspace) hashLocked() string { return w.tsLocked() + "." + randomHex(4) }

// replaceLocked puts new content into an open view, keeping its identity.
func (w *Workspace) replaceLocked(st *state, old, v View) View {
	v.ID, v.User, v.Channel, v.RootID, v.PreviousID = old.ID, old.User, old.Channel, old.RootID, old.PreviousID
	v.Updates, v.Hash = old.Updates+1, w.hashLocked()
	if old.Type == "home" {
		st.homes[v.User] = v
		return v
	}
	stack := slices.Clone(st.modals[v.User])
	for i := range stack {
		if stack[i].ID == v.ID {
			stack[i] = v
		}
	}
	st.modals[v.User] = stack
	return v
}

// open finds an open view by id or external id.
func (st *state) open(id, external string) (View, bool) {
	matches := func(v View) bool { return (id != "" && v.ID == id) || (external != "" && v.ExternalID == external) }
	for _, user := range slices.Sorted(maps.Keys(st.modals)) {
		if i := slices.IndexFunc(st.modals[user], matches); i >= 0 {
			return st.modals[user][i], true
		}
	}
	for _, v := range st.homes {
		if matches(v) {
			return v, true
		}
	}
	return View{}, false
}

// closeView takes a view off its stack; the whole stack when it is its root or
// when all is set.
func (st *state) closeView(v View, all bool) {
	stack := st.modals[v.User]
	i := slices.IndexFunc(stack, func(o View) bool { return o.ID == v.ID })
	if all {
		i = 0
	}
	if i >= 0 {
		st.modals[v.User] = slices.Clone(stack[:i])
	}
}

func viewsOpen(w *Workspace, c *call) (reply, error) { return w.show(c, false) }
func viewsPush(w *Workspace, c *call) (reply, error) { return w.show(c, true) }

func (w *Workspace) show(c *call, push bool) (reply, error) {
	v, err := w.viewOf(c, "modal")
	if err != nil {
		return nil, err
	}
	if err := c.args.need("trigger_id"); err != nil {
		return nil, err
	}
	w.change(func(st *state) {
		if err = w.mayShow(st, c.args.str("trigger_id"), v, push); err != nil {
			return
		}
		t := w.triggers[c.args.str("trigger_id")]
		t.used = true
		if !push {
			st.modals[t.user] = nil // Slack replaces what was open
		}
		v = w.pushLocked(st, v, t.user, t.channel)
	})
	if err != nil {
		return nil, err
	}
	return reply{"view": v.wire(w.opt.Team, v.initial())}, nil
}

func (w *Workspace) mayShow(st *state, triggerID string, v View, push bool) error {
	t, err := w.redeemable(triggerID)
	if err != nil {
		return err
	}
	if _, taken := st.open("", v.ExternalID); taken {
		return fail("duplicate_external_id")
	}
	switch depth := len(st.modals[t.user]); {
	case push && depth == 0:
		return fail("not_found")
	case push && depth >= maxStack:
		return fail("push_limit_reached")
	}
	return nil
}

func (w *Workspace) viewOf(c *call, typ string) (View, error) {
	raw, err := c.args.structured("view")
	if err != nil {
		return View{}, invalidArguments("must be a valid view object [json-pointer:/view]")
	}
	return w.readView(raw, typ)
}

func viewsUpdate(w *Workspace, c *call) (reply, error) {
	id, external := c.args.str("view_id"), c.args.str("external_id")
	if id == "" && external == "" {
		return nil, invalidArguments("missing required field: view_id")
	}
	v, err := w.update(c, id, external)
	if err != nil {
		return nil, err
	}
	return reply{"view": v.wire(w.opt.Team, v.initial())}, nil
}

func (w *Workspace) update(c *call, id, external string) (v View, err error) {
	old, ok := w.Snapshot().st.open(id, external)
	if !ok {
		return View{}, fail("not_found")
	}
	if v, err = w.viewOf(c, old.Type); err != nil {
		return View{}, err
	}
	w.change(func(st *state) {
		old, ok := st.open(id, external)
		hash := c.args.str("hash")
		switch {
		case !ok:
			err = fail("not_found")
		case hash != "" && hash != old.Hash:
			err = fail("hash_conflict")
		default:
			v = w.replaceLocked(st, old, v)
		}
	})
	return v, err
}

func viewsPublish(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("user_id"); err != nil {
		return nil, err
	}
	user := c.args.str("user_id")
	if a, ok := w.Account(user); !ok || a.Deleted {
		return nil, fail("user_not_found")
	}
	v, err := w.viewOf(c, "home")
	if err != nil {
		return nil, err
	}
	w.change(func(st *state) { v, err = w.publishHome(st, v, user, c.args.str("hash")) })
	if err != nil {
		return nil, err
	}
	return reply{"view": v.wire(w.opt.Team, v.initial())}, nil
}

func (w *Workspace) publishHome(st *state, v View, user, hash string) (View, error) {
	old, had := st.homes[user]
	if hash != "" && hash != old.Hash {
		return v, fail("hash_conflict")
	}
	if !had {
		old = View{ID: w.idLocked("V"), Type: "home", User: user, Updates: -1}
		old.RootID = old.ID
	}
	return w.replaceLocked(st, old, v), nil
}

// trouble is what a view shows when a delivery about it failed.
func trouble(d Delivery) string {
	if strings.Contains(d.Failure, "timeout") {
		return "We had some trouble connecting. Try again? (The app took longer than 3 seconds.)"
	}
	return "We had some trouble connecting. Try again?"
}
