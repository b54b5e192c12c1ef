package slacksim

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

func apiTest(_ *Workspace, c *call) (reply, error) {
	if code := c.args.str("error"); code != "" {
		return reply{"args": c.args}, fail(code)
	}
	return reply{"args": c.args}, nil
}

func authTest(w *Workspace, c *call) (reply, error) {
	return reply{
		"url": c.base + "/", "team": "Simulated workspace", "user": botName, "team_id": w.opt.Team,
		"user_id": BotUserID, "bot_id": BotID, "is_enterprise_install": false,
	}, nil
}

func botsInfo(w *Workspace, c *call) (reply, error) {
	if c.args.str("bot") != BotID {
		return nil, fail("bot_not_found")
	}
	return reply{"bot": reply{
		"id": BotID, "app_id": AppID, "user_id": BotUserID, "name": botName, "deleted": false,
		"updated": w.opt.Now().Unix(), "icons": reply{},
	}}, nil
}

func usersInfo(w *Workspace, c *call) (reply, error) {
	id := c.args.str("user")
	if id == BotUserID {
		return reply{"user": w.userObject(Account{ID: BotUserID, Name: botName, RealName: botName, Bot: true, TeamID: w.opt.Team})}, nil
	}
	a, ok := w.Account(id)
	if !ok {
		return nil, fail("user_not_found")
	}
	return reply{"user": w.userObject(a)}, nil
}

func (w *Workspace) userObject(a Account) reply {
	out := reply{
		"id": a.ID, "team_id": a.TeamID, "name": a.Name, "deleted": a.Deleted, "is_bot": a.Bot, "is_app_user": false,
		"updated": 0, "profile": reply{"real_name": a.RealName, "display_name": a.Name, "team": a.TeamID},
	}
	if a.TeamID != w.opt.Team {
		out["is_stranger"] = true
	}
	if a.Deleted { // Slack leaves the rest out for accounts that are deactivated
		return out
	}
	out["real_name"], out["tz"], out["tz_label"], out["tz_offset"] = a.RealName, "Etc/UTC", "UTC", 0
	out["is_admin"], out["is_owner"], out["is_primary_owner"] = false, false, false
	out["is_restricted"], out["is_ultra_restricted"] = a.Restricted || a.UltraRestricted, a.UltraRestricted
	return out
}

func usergroupsUsersList(w *Workspace, c *call) (reply, error) {
	if err := c.args.need("usergroup"); err != nil {
		return nil, err
	}
	g, ok := w.Snapshot().st.groups[c.args.str("usergroup")]
	if !ok || (g.Disabled && !c.args.flag("include_disabled")) {
		return nil, fail("no_such_subteam")
	}
	return reply{"users": append([]string{}, g.Users...)}, nil
}

// readable finds a conversation whose content the app may read.
func (s *Snapshot) readable(id string) (Channel, error) {
	c, ok := s.st.channels[id]
	switch {
	case !ok || (c.Private && !c.BotMember):
		return Channel{}, fail("channel_not_found")
	case !c.BotMember:
		return Channel{}, fail("not_in_channel")
	}
	return c, nil
}

func conversationsInfo(w *Workspace, c *call) (reply, error) {
	ch, ok := w.Snapshot().st.channels[c.args.str("channel")]
	if !ok || (ch.Private && !ch.BotMember) {
		return nil, fail("channel_not_found")
	}
	return reply{"channel": reply{
		"id": ch.ID, "name": ch.Name, "name_normalized": ch.Name, "is_channel": ch.Direct == "", "is_im": ch.Direct != "",
		"is_private": ch.Private, "is_archived": ch.Archived, "is_member": ch.BotMember, "user": ch.Direct,
		"context_team_id": w.opt.Team, "is_shared": false, "is_ext_shared": false,
		"topic": reply{"value": ch.Topic, "creator": "", "last_set": 0},
	}}, nil
}

func conversationsMembers(w *Workspace, c *call) (reply, error) {
	snap := w.Snapshot()
	ch, err := snap.readable(c.args.str("channel"))
	if err != nil {
		return nil, err
	}
	members := []string{}
	for _, id := range append(slices.Clone(snap.st.order), BotUserID) {
		if ch.has(id) {
			members = append(members, id)
		}
	}
	return reply{"members": members, "response_metadata": reply{"next_cursor": ""}}, nil
}

func conversationsOpen(w *Workspace, c *call) (reply, error) {
	user := c.args.str("users")
	if a, ok := w.Account(user); !ok {
		return nil, fail("user_not_found")
	} else if a.Deleted {
		return nil, fail("user_disabled")
	}
	var ch Channel
	w.change(func(st *state) { ch, _ = st.channel(user) })
	return reply{"channel": reply{"id": ch.ID}}, nil
}

func conversationsHistory(w *Workspace, c *call) (reply, error) {
	snap := w.Snapshot()
	ch, err := snap.readable(c.args.str("channel"))
	if err != nil {
		return nil, err
	}
	top := slices.DeleteFunc(slices.Clone(snap.Messages(ch.ID)), func(m Message) bool {
		return m.ThreadTS != "" && !m.Broadcast
	})
	slices.Reverse(top)
	return w.page(c, top)
}

func conversationsReplies(w *Workspace, c *call) (reply, error) {
	snap := w.Snapshot()
	ch, err := snap.readable(c.args.str("channel"))
	if err != nil {
		return nil, err
	}
	asked, ok := snap.st.find(ch.ID, c.args.str("ts"))
	if !ok {
		return nil, fail("thread_not_found")
	}
	parent := or(asked.ThreadTS, asked.TS)
	thread := slices.DeleteFunc(slices.Clone(snap.Messages(ch.ID)), func(m Message) bool {
		return m.TS != parent && m.ThreadTS != parent
	})
	return w.page(c, thread)
}

// page applies oldest, latest, inclusive, limit and cursor to a list.
func (w *Workspace) page(c *call, list []Message) (reply, error) {
	limit, err := c.args.number("limit", 100)
	if err != nil || limit < 0 || limit > 999 {
		return nil, fail("invalid_limit")
	}
	from, err := readCursor(c.args.str("cursor"))
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(m Message) bool { return !c.within(m.TS) })
	from = min(from, len(list))
	to := min(from+max(limit, 1), len(list))
	messages := []map[string]any{}
	for _, m := range list[from:to] {
		messages = append(messages, m.wire(w.opt.Team, c.args.flag("include_all_metadata")))
	}
	out := reply{"messages": messages, "has_more": to < len(list), "pin_count": 0}
	if to < len(list) {
		out["response_metadata"] = reply{"next_cursor": cursor(to)}
	}
	return out, nil
}

func (c *call) within(ts string) bool {
	oldest, latest, inclusive := c.args.str("oldest"), c.args.str("latest"), c.args.flag("inclusive")
	after := oldest == "" || oldest == "0" || compareTS(ts, oldest) > 0 || (inclusive && compareTS(ts, oldest) == 0)
	before := latest == "" || compareTS(ts, latest) < 0 || (inclusive && compareTS(ts, latest) == 0)
	return after && before
}

// compareTS orders timestamps of which the fraction may be missing.
func compareTS(a, b string) int {
	as, af, _ := strings.Cut(a, ".")
	bs, bf, _ := strings.Cut(b, ".")
	if d := len(as) - len(bs); d != 0 {
		return d
	}
	if d := strings.Compare(as, bs); d != 0 {
		return d
	}
	return strings.Compare(fmt.Sprintf("%-06s", af), fmt.Sprintf("%-06s", bf))
}

func cursor(at int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "at:%d", at))
}

func readCursor(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	at := 0
	if err != nil {
		return 0, fail("invalid_cursor")
	}
	if n, err := fmt.Sscanf(string(raw), "at:%d", &at); n != 1 || err != nil || at < 0 {
		return 0, fail("invalid_cursor")
	}
	return at, nil
}
