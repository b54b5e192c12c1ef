package bot

import (
	"encoding/json"
	"strings"

	"twokey/approvals"
)

// payload is what the bot reads of an interaction. Everything else in it, the
// message's text and blocks above all, is not looked at.
type payload struct {
	Type        string `json:"type"`
	TriggerID   string `json:"trigger_id"`
	ResponseURL string `json:"response_url"`
	AppID       string `json:"api_app_id"`
	Team        struct {
		ID string `json:"id"`
	} `json:"team"`
	User struct {
		ID     string `json:"id"`
		TeamID string `json:"team_id"`
	} `json:"user"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Container struct {
		Type      string `json:"type"`
		ChannelID string `json:"channel_id"`
		MessageTS string `json:"message_ts"`
	} `json:"container"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
		ActionTS string `json:"action_ts"`
	} `json:"actions"`
	View struct {
		ID       string `json:"id"`
		Callback string `json:"callback_id"`
		Private  string `json:"private_metadata"`
		State    struct {
			Values map[string]map[string]struct {
				Value string `json:"value"`
			} `json:"values"`
		} `json:"state"`
	} `json:"view"`
}

func parsePayload(raw []byte) (payload, bool) {
	var p payload
	err := json.Unmarshal(raw, &p)
	return p, err == nil && p.Type != "" && p.User.ID != ""
}

// typed is what the person entered.
func (p payload) typed() string { return p.View.State.Values[inputText][inputText].Value }

// code is the one-time code that the person entered.
func (p payload) code() string { return p.View.State.Values[inputCode][inputCode].Value }

// has says whether the view has an input field.
func (p payload) has(input string) bool {
	_, ok := p.View.State.Values[input]
	return ok
}

// home is the team of the person, which for a guest of a shared channel is not
// the team that the delivery names.
func (p payload) home() string {
	if p.User.TeamID != "" {
		return p.User.TeamID
	}
	return p.Team.ID
}

// buttonValue is all that a button carries.
func buttonValue(r approvals.Request) string { return r.ID + "|" + r.Digest().Short() }

func parseButton(value string) (id, digest string, ok bool) {
	id, digest, ok = strings.Cut(value, "|")
	return id, digest, ok && id != "" && digest != "" && len(value) <= 255
}
