package bot

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// ManifestOptions say how an app is to be installed.
type ManifestOptions struct {
	Socket  bool   // deliveries over Socket Mode; else URL is needed
	URL     string // https address under which Slack reaches the bot, without /slack/…
	Private bool   // the operations channel is a private one
	Group   bool   // the approvers are a Slack user group
	Name    string // of the app and its bot; "twokey" when ""
	Command string // "/pg" when ""
}

// use is a scope of the bot token, and what the bot does with it. Methods
// without a scope aren't listed: chat.getPermalink, views.*.
type use struct {
	scope   string
	methods []string
}

// uses are all scopes that the bot needs: none is asked for in reserve. A test
// compares them with the methods that were called in all others.
func uses(private, group bool) []use {
	history := "channels:history"
	if private {
		history = "groups:history"
	}
	all := []use{
		{"chat:write", []string{methodPost, methodUpdate, "chat.postEphemeral"}},
		{"commands", nil},
		{"files:write", []string{methodUploadURL, methodUploaded}},
		{history, []string{methodHistory, methodReplies}}, // and the event of a deleted message
		{"users:read", []string{"users.info"}},
	}
	if group {
		all = append(all, use{"usergroups:read", []string{"usergroups.users.list"}})
	}
	return all
}

// Scopes are the bot token's, sorted.
func (o ManifestOptions) Scopes() []string {
	var scopes []string
	for _, u := range uses(o.Private, o.Group) {
		scopes = append(scopes, u.scope)
	}
	slices.Sort(scopes)
	return scopes
}

// Events are those that the bot handles.
func (o ManifestOptions) Events() []string {
	if o.Private {
		return []string{"app_home_opened", "message.groups"}
	}
	return []string{"app_home_opened", "message.channels"}
}

const longestAppName = 35 // characters; Slack's limit

// Manifest describes the app to Slack, so that one doesn't click it together:
// exactly what the code uses, and where deliveries go.
func (o ManifestOptions) Manifest() (slack.Manifest, error) {
	o.Name, o.Command = orElse(o.Name, "twokey"), orElse(o.Command, "/pg")
	base, err := o.base()
	if err != nil {
		return slack.Manifest{}, err
	}
	to := func(path string) string {
		if base == "" {
			return ""
		}
		return base + path
	}
	return slack.Manifest{
		Display: slack.Display{
			Name: o.Name, Description: "Two-person PostgreSQL failover",
			// Slack takes none that is shorter than 174 characters.
			LongDescription: "Two named people, and never one, fail a PostgreSQL pair over from the operations channel, after it was proven " +
				"that no acknowledged write is lost. Every request, vote and step is recorded. " + o.Command + " help lists what it can do.",
			BackgroundColor: "#0f4c5c",
		},
		Features: slack.Features{
			AppHome: slack.AppHome{HomeTabEnabled: true},
			BotUser: slack.BotUser{DisplayName: o.Name, AlwaysOnline: true},
			SlashCommands: []slack.ManifestSlashCommand{{
				Command: o.Command, Description: "Look after PostgreSQL pairs", UsageHint: usageHint(), Url: to("/slack/commands"),
			}},
		},
		OAuthConfig: slack.OAuthConfig{Scopes: slack.OAuthScopes{Bot: o.Scopes()}},
		Settings: slack.Settings{
			EventSubscriptions: &slack.EventSubscriptions{RequestUrl: to("/slack/events"), BotEvents: o.Events()},
			Interactivity:      &slack.Interactivity{IsEnabled: true, RequestUrl: to("/slack/interactions")}, // over Socket Mode, too
			SocketModeEnabled:  o.Socket,
		},
	}, nil
}

// base is the address before the paths, "" over Socket Mode.
func (o ManifestOptions) base() (string, error) {
	if n := len([]rune(o.Name)); n > longestAppName {
		return "", fmt.Errorf("the app's name has %d characters; Slack takes %d", n, longestAppName)
	}
	switch {
	case o.Socket && o.URL != "":
		return "", errors.New("over Socket Mode the bot opens the connections, so it has no URL")
	case o.Socket:
		return "", nil
	case o.URL == "":
		return "", errors.New("the URL is missing under which Slack reaches the bot, for example https://twokey.example.com")
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the URL must be an https:// address without query, user or password: Slack calls no other")
	}
	return strings.TrimRight(o.URL, "/"), nil
}

// usageHint names the verbs; Slack shows it beside the command as one types.
func usageHint() string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return strings.Join(names, " | ")
}
