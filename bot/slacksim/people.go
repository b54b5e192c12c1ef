package slacksim

import (
	"fmt"
	"slices"
	"strings"
)

// Account is a person (or another app's bot) known to the workspace.
type Account struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	RealName        string `json:"real_name"`
	Bot             bool   `json:"bot"`
	Deleted         bool   `json:"deleted"` // deactivated
	Restricted      bool   `json:"restricted"`
	UltraRestricted bool   `json:"ultra_restricted"` // single-channel guest
	TeamID          string `json:"team_id"`          // the workspace's own when empty
}

// Channel is a conversation. Members nil means every account of the workspace.
type Channel struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Topic     string   `json:"topic"`
	Private   bool     `json:"private"`
	Archived  bool     `json:"archived"`
	BotMember bool     `json:"bot_member"`
	Members   []string `json:"members"`
	Direct    string   `json:"direct"` // the person of a direct message with the bot
}

// UserGroup is a mentionable group of accounts.
type UserGroup struct {
	ID, Handle, Name string
	Users            []string
	Disabled         bool
}

// The app's own identity in the workspace.
const (
	BotUserID = "U0TWOKEYBT"
	BotID     = "B0TWOKEY01"
	AppID     = "A0TWOKEY01"
	botName   = "twokey"
)

// Identity names the app in the workspace: its user, bot and app id.
func (w *Workspace) Identity() (botUserID, botID, appID string) { return BotUserID, BotID, AppID }

// SetAccount adds an account or replaces the one with the same id, which is how
// a person is deactivated or made a guest.
func (w *Workspace) SetAccount(a Account) {
	a.TeamID = or(a.TeamID, w.opt.Team)
	w.change(func(st *state) {
		if _, known := st.accounts[a.ID]; !known {
			st.order = append(slices.Clip(st.order), a.ID)
		}
		st.accounts[a.ID] = a
	})
}

// Account looks an account up by id.
func (w *Workspace) Account(id string) (Account, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.st.accounts[id]
	return a, ok
}

// SetChannel adds a channel or replaces the one with the same id.
func (w *Workspace) SetChannel(c Channel) {
	w.change(func(st *state) { st.putChannel(c) })
}

// SetGroup adds a user group or replaces the one with the same id.
func (w *Workspace) SetGroup(g UserGroup) {
	w.change(func(st *state) { st.groups[g.ID] = g })
}

// JoinChannel makes a person, or the bot by BotUserID, a member of a channel.
func (w *Workspace) JoinChannel(userID, channelID string) error {
	return w.membership(userID, channelID, true)
}

// LeaveChannel ends a membership; the app then meets not_in_channel.
func (w *Workspace) LeaveChannel(userID, channelID string) error {
	return w.membership(userID, channelID, false)
}

func (w *Workspace) membership(userID, channelID string, member bool) (err error) {
	w.change(func(st *state) {
		c, ok := st.channels[channelID]
		if !ok {
			err = fmt.Errorf("channel %s doesn't exist in this workspace", channelID)
			return
		}
		st.putChannel(c.withMember(userID, member, st.order))
	})
	return err
}

func (c Channel) withMember(userID string, member bool, everybody []string) Channel {
	if userID == BotUserID {
		c.BotMember = member
		return c
	}
	if c.Members == nil {
		c.Members = everybody
	}
	rest := slices.DeleteFunc(slices.Clone(c.Members), func(id string) bool { return id == userID })
	if member {
		rest = append(rest, userID)
	}
	c.Members = rest
	return c
}

func (c Channel) has(userID string) bool {
	switch {
	case userID == BotUserID:
		return c.BotMember
	case c.Direct != "":
		return c.Direct == userID
	}
	return c.Members == nil || slices.Contains(c.Members, userID)
}

// directID is the id of the direct message conversation of a person and the bot.
func directID(userID string) string { return "D" + strings.TrimLeft(userID, "UW") }

func (st *state) putChannel(c Channel) {
	if _, known := st.channels[c.ID]; !known {
		st.channelOrder = append(slices.Clip(st.channelOrder), c.ID)
	}
	st.channels[c.ID] = c
}

// channel finds a conversation by id, by #name, or by a person's id, which
// stands for the direct message with that person (made when first used).
func (st *state) channel(ref string) (Channel, bool) {
	if c, ok := st.channels[ref]; ok {
		return c, true
	}
	if _, person := st.accounts[ref]; person {
		c := Channel{ID: directID(ref), Direct: ref, BotMember: true}
		if known, ok := st.channels[c.ID]; ok {
			return known, true
		}
		st.putChannel(c)
		return c, true
	}
	for _, c := range st.channels {
		if name := strings.TrimPrefix(ref, "#"); name != "" && c.Name == name {
			return c, true
		}
	}
	return Channel{}, false
}
