package slacksim

import (
	"log/slog"
	"time"
)

// Options says what a simulated workspace consists of. The zero value of every
// field stands for the default named beside it.
type Options struct {
	Team     string      // id of the workspace; "T0TWOKEY01"
	Domain   string      // its host name part; "twokey-sim"
	Accounts []Account   // DefaultAccounts
	Channels []Channel   // DefaultChannels: one, "ops", that the bot is a member of
	Groups   []UserGroup // none

	BotToken      string         // generated
	AppToken      string         // generated; opens Socket Mode connections
	SigningSecret string         // generated
	Scopes        []string       // what the bot token may do; DefaultScopes
	Events        []string       // what the app subscribed to; DefaultEvents
	Commands      []SlashCommand // what the page's composer offers; DefaultCommands

	// RequestURL is the base of the app: commands go to RequestURL +
	// "/slack/commands", interactions to "/slack/interactions", events to
	// "/slack/events". Empty means unreachable until SetRequestURL.
	RequestURL string
	// SocketMode delivers over WebSocket connections instead of RequestURL.
	SocketMode bool

	// SocketLife is how long a Socket Mode connection stands before it is asked to
	// go; 18,060 s, and 360 s where its client added debug_reconnects=true.
	SocketLife time.Duration

	// AckTimeout is how long the app may take to acknowledge a delivery; 3 s.
	AckTimeout time.Duration
	// EventRetries are the pauses before the redeliveries of an event that was
	// not acknowledged; at once, after 1 minute, after 5 minutes.
	EventRetries []time.Duration
	// RateLimits makes the Web API answer 429 as Slack would; off.
	RateLimits bool

	// OnCall, where it isn't nil, sees what the app sends, whether it is then taken
	// or not: the arguments of every method of the Web API by its name, of response
	// URLs as ResponseURLs, of answers inside acknowledgements as Acknowledgement.
	// It must not change them.
	OnCall func(method string, arguments map[string]any)

	Now func() time.Time // clock for ts, triggers, response URLs; time.Now
	Log *slog.Logger     // discards
}

const (
	triggerLife     = 3 * time.Second
	responseURLLife = 30 * time.Minute
	responseURLUses = 5

	// What is kept at least; twice as much before the older half goes.
	keepMessages   = 2_000 // of one channel
	keepEphemerals = 500   // of one person
	keepCalls      = 2_000
	keepActs       = 2_000
)

// DefaultScopes are the bot token's scopes unless Options says otherwise.
func DefaultScopes() []string {
	return []string{
		"channels:history", "channels:read", "chat:write", "commands", "files:read", "files:write",
		"groups:history", "groups:read", "im:history", "im:read", "im:write", "usergroups:read", "users:read",
	}
}

// DefaultEvents are the event subscriptions unless Options says otherwise.
func DefaultEvents() []string {
	return []string{"app_home_opened", "message.channels", "message.groups"}
}

// SlashCommand is a command as the app registered it. Examples are offered on
// the page, complete lines to send.
type SlashCommand struct {
	Name        string   `json:"name"` // with its slash
	Description string   `json:"description"`
	Hint        string   `json:"hint"`
	Examples    []string `json:"examples"`
}

// DefaultCommands is /pg alone.
func DefaultCommands() []SlashCommand {
	return []SlashCommand{{
		Name: "/pg", Description: "Look after PostgreSQL pairs", Hint: "status | verify | failover | help",
		Examples: []string{"/pg status", "/pg verify", "/pg failover", "/pg help"},
	}}
}

// DefaultAccounts are five people by role. The guest is a single-channel guest.
func DefaultAccounts() []Account {
	return []Account{
		{ID: "U0ONCALL01", Name: "oncall", RealName: "On-call engineer"},
		{ID: "U0DBA00001", Name: "dba-1", RealName: "First database administrator"},
		{ID: "U0DBA00002", Name: "dba-2", RealName: "Second database administrator"},
		{ID: "U0MANAGER1", Name: "manager", RealName: "Engineering manager"},
		{ID: "U0GUEST001", Name: "guest", RealName: "Single-channel guest", Restricted: true, UltraRestricted: true},
	}
}

// DefaultChannels is the one ops channel, with everybody and the bot in it.
func DefaultChannels() []Channel {
	return []Channel{{ID: "C0OPS00001", Name: "ops", Topic: "Databases: status, checks, failovers", BotMember: true}}
}

func (o Options) withDefaults() Options {
	o.Team = or(o.Team, "T0TWOKEY01")
	o.Domain = or(o.Domain, "twokey-sim")
	o.BotToken = or(o.BotToken, "xoxb-sim-"+randomHex(16))
	o.AppToken = or(o.AppToken, "xapp-sim-"+randomHex(16))
	o.SigningSecret = or(o.SigningSecret, randomHex(16))
	if o.Accounts == nil {
		o.Accounts = DefaultAccounts()
	}
	if o.Channels == nil {
		o.Channels = DefaultChannels()
	}
	if o.Scopes == nil {
		o.Scopes = DefaultScopes()
	}
	if o.Events == nil {
		o.Events = DefaultEvents()
	}
	if o.Commands == nil {
		o.Commands = DefaultCommands()
	}
	return o.withTiming()
}

func (o Options) withTiming() Options {
	if o.AckTimeout == 0 {
		o.AckTimeout = 3 * time.Second
	}
	if o.EventRetries == nil {
		o.EventRetries = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
