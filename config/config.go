package config

import "github.com/invopop/jsonschema"

// Config is the whole file. Keys that may be left out have the value of
// [Default] then; the tags name the rule that each value has to meet (see
// rules.go) and what it means.
type Config struct {
	Slack       Slack      `yaml:"slack" jsonschema:"required" jsonschema_description:"The workspace and the channel in which people ask and decide."`
	Listen      string     `yaml:"listen" validate:"required,listen" jsonschema_description:"Address for the health pages, and for Slack's deliveries over http, which reach it through your TLS proxy; host:port."`
	Store       string     `yaml:"store" validate:"required,abspath" jsonschema_description:"The bot's own database file: requests, votes, journal, audit log."`
	AdminSocket string     `yaml:"admin_socket" validate:"required,abspath,socket" jsonschema_description:"Unix socket through which the other subcommands ask the running bot."`
	Policy      Policy     `yaml:"policy" jsonschema:"required" jsonschema_description:"Who may approve, and for how long."`
	Schedule    Schedule   `yaml:"schedule" jsonschema_description:"When the bot looks at the pairs by itself. It never acts by itself."`
	Thresholds  Thresholds `yaml:"thresholds" jsonschema_description:"From when a standby that is behind is worth a warning."`
	Alerts      Alerts     `yaml:"alerts,omitempty" jsonschema_description:"Who is called, and when nobody is."`
	Timeouts    Timeouts   `yaml:"timeouts" jsonschema_description:"How long each kind of waiting may take."`
	Vultr       *Vultr     `yaml:"vultr,omitempty" validate:"omitempty" jsonschema_description:"The Vultr account, where a node's driver or a pair's endpoint names one of its servers or records."`
	Pairs       []Pair     `yaml:"pairs" validate:"min=1,dive" jsonschema:"required" jsonschema_description:"The pairs of servers, each a primary and its synchronous standby."`
}

// Slack says which workspace and channel the bot serves and how it proves
// itself there.
type Slack struct {
	Team          string `yaml:"team" validate:"required,team" jsonschema:"required" jsonschema_description:"Id of the workspace, T…"`
	Channel       string `yaml:"channel" validate:"required,channel" jsonschema:"required" jsonschema_description:"Id of the one channel in which the bot works, C… or G…"`
	APIURL        string `yaml:"api_url" validate:"required,apiurl" jsonschema_description:"Base address of the Web API, or of anything that speaks it."`
	Transport     string `yaml:"transport" validate:"required,transport" jsonschema:"enum=http,enum=socket" jsonschema_description:"How Slack's deliveries come: http, to the address listen through your TLS proxy; or socket, over connections that the bot opens."`
	Token         Ref    `yaml:"token" validate:"ref" jsonschema:"required" jsonschema_description:"Where the bot token stands (xoxb-…)."`
	SigningSecret Ref    `yaml:"signing_secret,omitempty" validate:"optionalref" jsonschema_description:"Where the signing secret stands, with which deliveries over http are checked."`
	AppToken      Ref    `yaml:"app_token,omitempty" validate:"optionalref" jsonschema_description:"Where the app-level token stands (xapp-…), with which Socket Mode is opened."`
}

// The transports of Slack's deliveries.
const (
	TransportHTTP   = "http"
	TransportSocket = "socket"
)

// Socket says that deliveries come over Socket Mode.
func (s Slack) Socket() bool { return s.Transport == TransportSocket }

// JSONSchemaExtend demands the secret of the transport that was chosen.
func (Slack) JSONSchemaExtend(s *jsonschema.Schema) {
	transport := jsonschema.NewProperties()
	transport.Set("transport", &jsonschema.Schema{Const: TransportSocket})
	s.If = &jsonschema.Schema{Properties: transport, Required: []string{"transport"}}
	s.Then = &jsonschema.Schema{Required: []string{"app_token"}}
	s.Else = &jsonschema.Schema{Required: []string{"signing_secret"}}
}

// Policy is the two-person rule's settings; that it takes two is none of them.
type Policy struct {
	Approvers      []Approver `yaml:"approvers,omitempty" validate:"dive" jsonschema_description:"The people whose approval counts. Three at least, or two with allow_requester. Left out where approver_group is set."`
	ApproverGroup  string     `yaml:"approver_group,omitempty" validate:"omitempty,usergroup" jsonschema_description:"Id of the Slack user group whose members' approval counts, S…, instead of approvers. Whoever may edit the group in Slack says who that is."`
	People         []Approver `yaml:"people,omitempty" validate:"dive" jsonschema_description:"Names for further accounts, in messages and in the audit log. They give nobody a vote."`
	AllowRequester bool       `yaml:"allow_requester" jsonschema_description:"Whether the requester's own approval counts as one of the two."`
	Expiry         Duration   `yaml:"expiry" validate:"span=1s 7d" jsonschema_description:"How long a request stands, from asking to the end of votes."`
	Remind         Duration   `yaml:"remind" validate:"span=0s 7d" jsonschema_description:"How long before the expiry those who have not voted are reminded, once; at most half of expiry. 0s for never."`
	HoldExpiry     Duration   `yaml:"hold_expiry" validate:"span=1s 24h" jsonschema_description:"How long an execution on hold waits for the typed statement before it is taken back."`
	OTP            string     `yaml:"otp" validate:"required,otprule" jsonschema_description:"Whether an approval needs a one-time code besides: off, optional (of those who are enrolled) or required."`
	OTPFormerKey   Ref        `yaml:"otp_former_key,omitempty" validate:"optionalref" jsonschema_description:"Where the key stands that otp_key takes the place of: at the next start what was stored under it is stored anew."`
	OTPKey         Ref        `yaml:"otp_key,omitempty" validate:"optionalref" jsonschema_description:"Where the key stands under which the store keeps the codes' secrets, 32 characters at least. Needed unless otp is off."`
}

// Approver is one person: the name under which votes are recorded, and the
// account that proves it is them.
type Approver struct {
	Name  string `yaml:"name" validate:"required,person" jsonschema:"required" jsonschema_description:"Name in messages and in the audit log."`
	Slack string `yaml:"slack" validate:"required,member" jsonschema:"required" jsonschema_description:"Member id of the Slack account, U… or W…"`
}

// Schedule is when the bot looks without being asked. Specs are those of cron
// (five fields, @every 30s, @hourly …), in Timezone.
type Schedule struct {
	LagCheck    string   `yaml:"lag_check" validate:"required,cron" jsonschema_description:"When every pair is looked at, as a cron spec."`
	Report      string   `yaml:"report" validate:"required,cron" jsonschema_description:"When the health report is posted, as a cron spec."`
	Timezone    string   `yaml:"timezone" validate:"required,timezone" jsonschema_description:"Time zone of the two specs, e.g. UTC or Europe/Berlin."`
	KeepSamples Duration `yaml:"keep_samples" validate:"span=1h 400d" jsonschema_description:"How long the measurements of each look are kept."`
}

// Thresholds say from when a standby is behind, or a slot keeps too much.
type Thresholds struct {
	LagBytes Size     `yaml:"lag_bytes" validate:"size" jsonschema_description:"WAL that the standby has not replayed yet."`
	LagTime  Duration `yaml:"lag_time" validate:"span=100ms 1d" jsonschema_description:"Age of the oldest change not replayed; only counts while bytes are behind."`
	LagFor   Duration `yaml:"lag_for" validate:"span=0s 1d" jsonschema_description:"How long a mild trouble must last before people are told."`

	CriticalBytes Size     `yaml:"critical_bytes" validate:"size" jsonschema_description:"WAL not replayed from which on people are called at once."`
	CriticalTime  Duration `yaml:"critical_time" validate:"span=100ms 1d" jsonschema_description:"Age of the oldest change not replayed from which on people are called at once."`
	SlotBytes     Size     `yaml:"slot_bytes" validate:"size" jsonschema_description:"WAL that one replication slot may keep on the primary without a warning."`
}

// Alerts say who is called, and when nobody is.
type Alerts struct {
	Mention string `yaml:"mention,omitempty" validate:"omitempty,usergroup" jsonschema_description:"Id of the Slack user group that is called when something severe begins, S…; nobody when left out."`
	Quiet   string `yaml:"quiet,omitempty" validate:"omitempty,hours" jsonschema_description:"Hours in which mild troubles wait, from and to, in the schedule's time zone; never when left out."`
	Runbook string `yaml:"runbook,omitempty" validate:"omitempty,weburl" jsonschema_description:"Address of the page that says what to do about each alert; docs/alerts.md, or yours with the same anchors."`
}

// Timeouts end what hangs; see actions.Timeouts for what each of them bounds.
type Timeouts struct {
	Observe Duration `yaml:"observe" validate:"span=100ms 5m" jsonschema_description:"One look at one node."`
	Effect  Duration `yaml:"effect" validate:"span=100ms 30m" jsonschema_description:"One statement that changes something."`
	Stop    Duration `yaml:"stop" validate:"span=1s 30m" jsonschema_description:"From the stop order until the shutdown checkpoint stands on the standby."`
	Promote Duration `yaml:"promote" validate:"span=1s 30m" jsonschema_description:"From the promotion until the node is out of recovery."`
	Fence   Duration `yaml:"fence" validate:"span=1s 1h" jsonschema_description:"Until a fence is confirmed."`
	Rejoin  Duration `yaml:"rejoin" validate:"span=1s 7d" jsonschema_description:"Until the old primary streams again, a base backup included."`
}
