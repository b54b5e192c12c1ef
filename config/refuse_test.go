package config_test

import (
	"strings"
	"testing"
)

// refusal is one wrong file: the sample with old replaced by new.
type refusal struct {
	name     string
	old, new string
	key      string // that the problem names
	at       string // a piece of the line that it names, in the changed file
	says     string // a piece of the sentence
	hint     string // a piece of the hint
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for group, rows := range map[string][]refusal{
		"keys": wrongKeys(), "slack": wrongSlack(), "people": wrongPeople(), "durations": wrongDurations(),
		"schedule": wrongSchedules(), "pairs": wrongPairs(), "nodes": wrongNodes(), "addresses": wrongAddresses(),
		"vultr": wrongVultr(), "kube": wrongKube(),
	} {
		for _, row := range rows {
			t.Run(group+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				row.check(t)
			})
		}
	}
}

func (r refusal) check(t *testing.T) {
	t.Helper()
	text := changed(t, r.old, r.new)
	wrong := refused(t, text)
	if len(wrong.Problems) != 1 {
		t.Fatalf("one thing is wrong, %d were found:\n%v", len(wrong.Problems), wrong)
	}
	p := wrong.Problems[0]
	if p.Key != r.key {
		t.Errorf("it names the key %q, want %q", p.Key, r.key)
	}
	if want := lineOf(t, text, r.at); p.Line != want {
		t.Errorf("it names line %d, want %d (%s)", p.Line, want, r.at)
	}
	if !strings.Contains(p.String(), r.says) {
		t.Errorf("it says %q, want in it %q", p, r.says)
	}
	if !strings.Contains(p.Hint, r.hint) {
		t.Errorf("its hint is %q, want in it %q", p.Hint, r.hint)
	}
	if printed := wrong.Error(); !strings.HasPrefix(printed, "twokey.yaml:") || strings.Contains(printed, "Go ") {
		t.Errorf("printed as %q", printed)
	}
}

// One data folder for two nodes: the servers would destroy each other's data.
func TestDataFolderBelongsToOneServer(t *testing.T) {
	t.Parallel()
	const passfile = "passfile: /etc/twokey/passfile"
	local := passfile + ", driver: {local: {data_dir: /data/, log_file: /l, replication: {sslmode: disable}}}"
	wrong := refused(t, strings.ReplaceAll(least, passfile, local))
	if len(wrong.Problems) != 1 || wrong.Problems[0].Key != "pairs[0].nodes[1].driver.local.data_dir" || !strings.Contains(wrong.Error(), "belongs to one server") {
		t.Error(wrong)
	}
}

func wrongKeys() []refusal {
	return []refusal{
		{
			"a key with a typing error", "  expiry: 30m", "  expirey: 30m", "policy.expirey", "expirey",
			"no key that can stand here", "did you mean expiry?",
		},
		{
			"a key that nothing resembles", "listen: 127", "quorum: 127", "quorum", "quorum",
			"no key that can stand here", "known keys here: slack, listen",
		},
		{
			"a key of a node in a pair", "    nodes: #", "    passfile: /x\n    nodes: #", "pairs[0].passfile", "passfile: /x",
			"no key that can stand here", "known keys here: name, database",
		},
		{
			"a key twice", "listen: 127.0.0.1:8080", "listen: 127.0.0.1:8080\nlisten: 127.0.0.1:8081", "", "127.0.0.1:8081",
			"already defined", "",
		},
		{"a key without a value", "  timezone: UTC", "  timezone:", "schedule.timezone", "timezone:", "has no value", "leave the key out"},
		{"an empty text", "  timezone: UTC", `  timezone: ""`, "schedule.timezone", "timezone:", "has no value", "leave the key out"},
		{"a list where a text belongs", "  timezone: UTC", "  timezone: [UTC]", "schedule.timezone", "timezone:", "must be a text, it is a list", ""},
		{"a number where a text belongs", "  timezone: UTC", "  timezone: 2", "schedule.timezone", "timezone:", "must be a text", "quotes"},
		{"a text where yes or no belongs", "allow_requester: false", "allow_requester: no", "policy.allow_requester", "allow_requester", `must be true or false, it is "no"`, ""},
		{"a list where keys belong", "thresholds: # of the standby's replay; more is worth a warning\n  lag_bytes: 16MiB # default\n  lag_time: 5s # default\n  lag_for: 5m # default; so long a mild trouble lasts before people are told\n  critical_bytes: 256MiB # default; from here on people are called at once\n  critical_time: 1m # default\n  slot_bytes: 1GiB # default; WAL that one replication slot keeps on the primary", "thresholds: [16MiB]", "thresholds", "thresholds", "must have keys of its own, it is a list", "lag_bytes, lag_time"},
		{"an anchor", "  expiry: 30m", "  expiry: &a 30m", "policy.expiry", "&a", "anchor", "write the value out"},
		{"an alias of an anchor that is not there", "  expiry: 30m", "  expiry: *a", "policy.expiry", "*a", "anchor, alias", "write the value out"},
		{"a merge key", "  expiry: 30m", "  <<: {expiry: 30m}", "policy", "<<", "merge key", "write the values out"},
		{"a tag", "  timezone: UTC", "  timezone: !!str UTC", "schedule.timezone", "!!str", "tag", "write the value out"},
		{"a second document", "listen: 127", "---\nlisten: 127", "", "listen: 127", "second document", "---"},
		{"a bracket that is not closed", "{name: dba-1, slack: U0123AAAA}", "{name: dba-1, slack: U0123AAAA", "", "dba-2", "can't be understood as YAML", ""},
		{"a tab before a key", "  expiry: 30m", "\texpiry: 30m", "", "\texpiry", "can't be understood as YAML", ""},
	}
}

func wrongSlack() []refusal {
	return []refusal{
		{"no team", "  team: T0123ABCD", "  #", "slack.team", "slack:\n", "is missing", ""},
		{"a team's name", "  team: T0123ABCD", "  team: acme", "slack.team", "team: acme", `id of a workspace (T…), it is "acme"`, "in a browser"},
		{"a channel's name", "  channel: C0123ABCD", `  channel: "#ops"`, "slack.channel", "#ops", "not its name", "id at the bottom"},
		{"no token", "  token: {env: TWOKEY_SLACK_TOKEN}", "  #", "slack.token", "slack:\n", "is missing", "{env: NAME}"},
		{"an empty place for the token", "{env: TWOKEY_SLACK_TOKEN}", "{}", "slack.token", "token: {}", "must name one place", "{env: NAME}"},
		{"two places for the token", "{env: TWOKEY_SLACK_TOKEN}", "{env: A, file: /b}", "slack.token", "token: {", "must name one place", "{env: NAME}"},
		{"another kind of place", "{env: TWOKEY_SLACK_TOKEN}", "{vault: a/b}", "slack.token", "token: {", "env or file, nothing else", "{env: NAME}"},
		{"a relative path of the token", "{env: TWOKEY_SLACK_TOKEN}", "{file: token}", "slack.token", "token: {", "whole path", "{file: /path}"},
		{"no signing secret", "  signing_secret: {env: TWOKEY_SLACK_SIGNING_SECRET}", "  #", "slack.signing_secret", "slack:\n", "is missing: deliveries over http", "{env: NAME}"},
		{"a socket without its token", "  transport: http", "  transport: socket", "slack.app_token", "slack:\n", "is missing: transport socket", "{env: NAME}"},
		{"another transport", "  transport: http", "  transport: rtm", "slack.transport", "rtm", `must be http or socket, it is "rtm"`, ""},
		{"an app token that is written out", "  transport: http", "  transport: socket\n  app_token: xapp-1-hunter2", "slack.app_token", "app_token: xapp", "must say where the secret stands", "{env: NAME}"},
		{"an API over plain http", "https://slack.com/api/", "http://slack.example/api/", "slack.api_url", "api_url", "must be an https:// address", "https://slack.com/api/"},
		{"an API without a scheme", "https://slack.com/api/", "slack.com/api", "slack.api_url", "api_url", "must be an https:// address", ""},
		{"an API with a password", "https://slack.com/api/", "https://a:b@slack.com/api/", "slack.api_url", "api_url", "without query, user or password", ""},
		{"an API with a query", "https://slack.com/api/", "https://slack.com/api/?a=b", "slack.api_url", "api_url", "without query", ""},
		{"an API without a host", "https://slack.com/api/", "https:///api/", "slack.api_url", "api_url", "must be an https:// address", ""},
	}
}

func wrongPeople() []refusal {
	two := "    - {name: dba-2, slack: U0123BBBB}\n    - {name: manager, slack: U0123CCCC}\n"
	return []refusal{
		{"two approvers when the requester's own vote doesn't count", two, "    - {name: dba-2, slack: U0123BBBB}\n", "policy.approvers", "approvers:\n", "2 distinct approvers are configured, but 3 are needed", ""},
		{"one approver when the requester's own vote counts", two + "  allow_requester: false", "  allow_requester: true", "policy.approvers", "approvers:\n", "1 distinct approvers are configured, but 2 are needed", ""},
		{"no approver", "    - {name: dba-1, slack: U0123AAAA} # the member id, from the person's profile\n" + two, "    []\n", "policy.approvers", "approvers:\n", "at least one entry", ""},
		{"one account twice", "slack: U0123BBBB", "slack: U0123AAAA", "policy.approvers[1].slack", "name: dba-2", "one person can't approve twice", "Copy member ID"},
		{"one name twice", "name: dba-2", "name: DBA-1", "policy.approvers[1].name", "DBA-1", `is "DBA-1", as is policy.approvers[0]`, ""},
		{"one account in both lists", "slack: U0123DDDD", "slack: U0123AAAA", "policy.people[0].slack", "name: oncall", "is the account of policy.approvers[0] too", "Copy member ID"},
		{"one name in both lists", "name: oncall", "name: Manager", "policy.people[0].name", "Manager", "as is policy.approvers[2]", ""},
		{"a list and a group", "  allow_requester: false # default", "  approver_group: S0123ABCD", "policy.approver_group", "approver_group: S0123ABCD\n  people", "either a list says who may approve, or a group does", "people"},
		{"a handle that is to be called", "  mention: S0123EFGH", "  mention: \"@dbas\"", "alerts.mention", "@dbas", "must be the id of a user group", "Copy group ID"},
		{"quiet hours without an end", "  quiet: 22:00-07:00", "  quiet: \"22:00\"", "alerts.quiet", "quiet:", "must be two times of the day", "22:00-07:00"},
		{"quiet hours that are none", "  quiet: 22:00-07:00", "  quiet: 22:00-24:00", "alerts.quiet", "quiet:", "must be two times of the day", ""},
		{"a runbook that isn't encrypted", "runbook: https://", "runbook: http://", "alerts.runbook", "runbook:", "must be an https:// address", ""},
		{"a runbook with an anchor", "twokey-alerts #", "twokey-alerts#top #", "alerts.runbook", "runbook:", "must be an https:// address", "without an anchor"},
		{"a group's handle", "  allow_requester: false # default", "  approver_group: dbas", "policy.approver_group", "approver_group: dbas", "must be the id of a user group", "Copy group ID"},
		{"another rule for codes", "otp: off", "otp: on", "policy.otp", "otp: on", "must be off, optional or required", ""},
		{"codes without a key", "  otp: off # default; optional or required: an approval needs a one-time code besides\n  otp_key: {env: TWOKEY_OTP_KEY}", "  otp: required", "policy.otp_key", "policy:\n", "without it no code's secret can be kept", "{env: NAME}"},
		{"a key in the file", "otp_key: {env: TWOKEY_OTP_KEY}", "otp_key: 0123456789abcdef", "policy.otp_key", "otp_key: 0", "must say where the secret stands", "{env: NAME}"},
		{"a name instead of an id", "slack: U0123BBBB", "slack: dba2", "policy.approvers[1].slack", "dba2", "must be a member id", "Copy member ID"},
		{"a mention instead of an id", "slack: U0123BBBB", `slack: "@dba2"`, "policy.approvers[1].slack", "@dba2", "must be a member id", "Copy member ID"},
		{"an e-mail address instead of an id", "slack: U0123BBBB", "slack: dba@example.com", "policy.approvers[1].slack", "dba@example", "e-mail", "Copy member ID"},
		{"an id in lower case", "slack: U0123BBBB", "slack: u0123bbbb", "policy.approvers[1].slack", "u0123", "must be a member id", ""},
		{"an id with something after it", "slack: U0123BBBB", `slack: "U0123BBBB\n"`, "policy.approvers[1].slack", "U0123BBBB", "must be a member id", ""},
		{"a name with a comma, which parts names in the signed text", "name: dba-2", `name: "dba-2, manager"`, "policy.approvers[1].name", "dba-2, manager", "at most 40 letters", ""},
		{"a name with a colon, as strangers have", "name: dba-2", `name: "slack:T1/U1"`, "policy.approvers[1].name", "slack:T1", "at most 40 letters", ""},
	}
}

func wrongDurations() []refusal {
	return []refusal{
		{"an expiry of 0", "  expiry: 30m", "  expiry: 0", "policy.expiry", "expiry: 0", "must be between 1s and 7d, it is 0s", ""},
		{"a negative expiry", "  expiry: 30m", "  expiry: -30m", "policy.expiry", "expiry: -30m", "it is -30m", ""},
		{"an expiry of a month", "  expiry: 30m", "  expiry: 30d", "policy.expiry", "expiry: 30d", "it is 30d", ""},
		{"an expiry without a unit", "  expiry: 30m", "  expiry: 30", "policy.expiry", "expiry: 30", "with a unit, it is 30", "30s, 30m, 30h"},
		{"an expiry in words", "  expiry: 30m", "  expiry: half an hour", "policy.expiry", "half", "must be a duration", "1h30m"},
		{"an expiry as a list", "  expiry: 30m", "  expiry: [30m]", "policy.expiry", "[30m]", "such as 30s, it is a list", ""},
		{"a hold that lasts longer than a day", "hold_expiry: 15m", "hold_expiry: 25h", "policy.hold_expiry", "25h", "must be between 1s and 1d, it is 1d1h", ""},
		{"a duration beyond all numbers", "keep_samples: 90d", "keep_samples: 99999999999d", "schedule.keep_samples", "99999999999d", "longer than 50000 days", ""},
		{"samples kept for no time", "keep_samples: 90d", "keep_samples: 1s", "schedule.keep_samples", "keep_samples: 1s", "must be between 1h and 400d", ""},
		{"a look that may take no time", "observe: 3s", "observe: 1ms", "timeouts.observe", "observe: 1ms", "must be between 100ms and 5m", ""},
		{"a size in PostgreSQL's own unit", "lag_bytes: 16MiB", "lag_bytes: 16MB", "thresholds.lag_bytes", "16MB", `"16MB" is no size`, "16MiB"},
		{"a size of 0", "lag_bytes: 16MiB", "lag_bytes: 0", "thresholds.lag_bytes", "lag_bytes: 0", "larger than 0", ""},
		{"a negative size", "lag_bytes: 16MiB", "lag_bytes: -1", "thresholds.lag_bytes", "lag_bytes: -1", "must be a size", ""},
		{"a size beyond all numbers", "lag_bytes: 16MiB", "lag_bytes: 99999999TiB", "thresholds.lag_bytes", "99999999TiB", "too large", ""},
	}
}

func wrongSchedules() []refusal {
	report := "report: 0 9 * * *"
	return []refusal{
		{"words instead of a cron spec", report, "report: every morning", "schedule.report", "every morning", "must be a cron spec", "minute hour day month weekday"},
		{"a cron spec with seconds", report, "report: 0 0 9 * * *", "schedule.report", "0 0 9", "expected exactly 5 fields", "minute hour"},
		{"an hour that is none", report, "report: 0 25 * * *", "schedule.report", "0 25", "above maximum", ""},
		{"a day that never comes", report, "report: 0 9 30 2 *", "schedule.report", "30 2", "never comes", ""},
		{"a time zone within the spec", report, "report: CRON_TZ=UTC 0 9 * * *", "schedule.report", "CRON_TZ", "schedule.timezone", ""},
		{"a time zone alone", report, "report: TZ=UTC", "schedule.report", "report: TZ", "schedule.timezone", ""},
		{"a look more often than every second", `"@every 30s"`, `"@every 5ms"`, "schedule.lag_check", "5ms", "more often than once a second", ""},
		{"a zone that is not on earth", "timezone: UTC", "timezone: Mars/Olympus", "schedule.timezone", "Mars", "must be a time zone", "Europe/Berlin"},
		{"a zone outside the folder of zones", "timezone: UTC", "timezone: ../../etc/passwd", "schedule.timezone", "timezone: ..", "must be a time zone", ""},
	}
}

func wrongAddresses() []refusal {
	return []refusal{
		{"a port to listen at that is none", "listen: 127.0.0.1:8080", "listen: 127.0.0.1:80800", "listen", "80800", "a port up to 65535", ":8080"},
		{"an address to listen at without port", "listen: 127.0.0.1:8080", "listen: 127.0.0.1", "listen", "listen: 127", "must be host:port", ""},
		{"a port to listen at by name", "listen: 127.0.0.1:8080", "listen: 127.0.0.1:http", "listen", "listen: 127", "must be host:port", ""},
		{"a store with a relative path", "store: /var/lib/twokey/twokey.db", "store: twokey.db", "store", "store: twokey", "whole path", ""},
		{"a socket with a path that no system takes", "admin_socket: /run/twokey/admin.sock", "admin_socket: /" + strings.Repeat("a", 103), "admin_socket", "admin_socket: /a", "too long for a socket", ""},
		{"socket and store in one file", "admin_socket: /run/twokey/admin.sock", "admin_socket: /var/lib/twokey/twokey.db", "admin_socket", "admin_socket", "is the same file as store", ""},
	}
}

func wrongPairs() []refusal {
	again := "pairs:\n  - {name: orders, database: d, nodes: [{name: a, host: 192.0.2.21, passfile: /p}, {name: b, host: 192.0.2.22, passfile: /p}]}\n"
	foreign := "pairs:\n  - {name: other, database: d, nodes: [{name: a, host: 192.0.2.21, passfile: /p}, {name: b, host: DC1.example.com., source: 192.0.2.22, passfile: /p}]}\n"
	return []refusal{
		{"two pairs with one name", "pairs:\n", again, "pairs[1].name", "- name: orders #", `is "orders", as is pair 1`, ""},
		{"one server in two pairs", "pairs:\n", foreign, "pairs[1].nodes[0].host", "host: dc1.example.com #", "which pairs[0].nodes[1] has already", ""},
		{"a pair that is hard to type", "name: orders #", "name: Orders & Co #", "pairs[0].name", "Orders & Co", "easy to type", "lower-case"},
		{"no database", "    database: orders #", "    #", "pairs[0].database", "- name: orders", "is missing", ""},
		{"an sslmode that may go on in clear", "    sslmode: verify-full # default; for clients", "    sslmode: prefer", "pairs[0].sslmode", "prefer", "must be disable, require", "allow and prefer"},
		{"another policy after a failover", "after_failover: degrade", "after_failover: wait", "pairs[0].after_failover", "after_failover: wait", "must be block or degrade", ""},
		{"a third node", "      - name: dc2\n", "      - {name: dc3, host: 192.0.2.3, passfile: /p}\n      - name: dc2\n", "pairs[0].nodes", "nodes: #", "must have exactly 2 entries, it has 3", "two servers"},
		{"the same host and port twice", "host: dc2.example.com", "host: dc1.example.com", "pairs[0].nodes[1].host", "        host: dc1.example.com\n", "same server (dc1.example.com:5432)", "a pair is two servers"},
		{"the same host in another spelling", "host: dc2.example.com", "host: DC1.Example.COM.", "pairs[0].nodes[1].host", "DC1.Example", "same server (dc1.example.com:5432)", ""},
		{"names that only differ in case", "- name: dc2", "- name: DC1\n        slot: x", "pairs[0].nodes[1].name", "- name: DC1", "ignores case", ""},
		{"one slot for both", "- name: dc2\n", "- name: dc2\n        slot: twokey_dc1\n", "pairs[0].nodes[1].slot", "        slot: twokey_dc1\n", "each needs its own", ""},
	}
}

func wrongNodes() []refusal {
	return []refusal{
		{"a name that needs quotes", "- name: dc2", "- name: dc-2", "pairs[0].nodes[1].name", "dc-2", "without quotes", "letters, digits and _"},
		{"a name that is a keyword there", "- name: dc2", "- name: First", "pairs[0].nodes[1].name", "First", "without quotes", "not FIRST or ANY"},
		{"a name that matches every standby", "- name: dc2", `- name: "*"`, "pairs[0].nodes[1].name", `"*"`, "without quotes", ""},
		{"a name like that of a returning node", "- name: dc2", "- name: dc1_rejoin", "pairs[0].nodes[1].name", "dc1_rejoin", "without quotes", "_rejoin"},
		{"a port of 0", "port: 5432", "port: 0", "pairs[0].nodes[0].port", "        port: 0", "a number from 1 to 65535", ""},
		{"a port above all ports", "port: 5432", "port: 65536", "pairs[0].nodes[0].port", "port: 65536", "a number from 1 to 65535", ""},
		{"a port in quotes", "port: 5432", `port: "5432"`, "pairs[0].nodes[0].port", `port: "5432"`, "a number from 1 to 65535", ""},
		{"no host", "        host: dc2.example.com\n", "", "pairs[0].nodes[1].host", "- name: dc2", "is missing", ""},
		{"two hosts in one", "host: dc2.example.com", "host: dc2.example.com,dc3.example.com", "pairs[0].nodes[1].host", "dc3.example", "one host name", ""},
		{"a port within the host", "host: dc2.example.com", "host: dc2.example.com:5433", "pairs[0].nodes[1].host", ":5433", "without port", ""},
		{"a socket folder as the host", "host: dc2.example.com", "host: /var/run/postgresql", "pairs[0].nodes[1].host", "/var/run", "one host name", ""},
		{"an address that is none", "host: dc2.example.com", "host: 300.1.2.3", "pairs[0].nodes[1].host", "300.1", "one host name or IP", ""},
		{"every address as the host", "host: dc2.example.com", "host: 0.0.0.0", "pairs[0].nodes[1].host", "0.0.0.0", "one host name or IP", ""},
		{"no source where the host is a name", "        source: 192.0.2.12\n", "", "pairs[0].nodes[1].source", "- name: dc2", "is missing", ""},
		{"a source by name", "source: 192.0.2.12", "source: dc2.example.com", "pairs[0].nodes[1].source", "source: dc2", "must be an IP address", "client_addr"},
		{"a slot in upper case", "slot: twokey_dc1", "slot: DC1", "pairs[0].nodes[0].slot", "slot: DC1", "name of a replication slot", "lower-case"},
		{"no way to log in", "        passfile: /etc/twokey/passfile\n", "", "pairs[0].nodes[1]", "- name: dc2", "has no way to log in", ""},
		{"two ways to log in", "password: {file: /run/secrets/twokey/dc1}", "password: {env: PW}\n        passfile: /p", "pairs[0].nodes[0].passfile", "passfile: /p", "which of them holds", ""},
		{"a certificate without its key", "passfile: /etc/twokey/passfile", "sslcert: /c", "pairs[0].nodes[1].sslcert", "sslcert: /c", "need each other", ""},
		{"a local server without data folder", "            data_dir: /var/lib/postgresql/17/orders\n", "", "pairs[0].nodes[1].driver.local.data_dir", "local: #", "is missing", ""},
		{"a local server's include in its data folder", "upstream_file: /etc/postgresql/17/orders/", "upstream_file: /var/lib/postgresql/17/orders/", "pairs[0].nodes[1].driver.local.upstream_file", "upstream_file: /var", "a rewind or a copy replaces it", "beside"},
		{"a partner to be verified without certificates", "              sslmode: verify-full # default\n              sslrootcert: /etc/twokey/ca.pem\n", "", "pairs[0].nodes[1].driver.local.replication.sslrootcert", "replication: #", "is missing: with sslmode verify-full", ""},
		{"a schema without a name", "schemas: [public]", `schemas: [public, ""]`, "pairs[0].schemas[1]", "schemas:", "has no value", ""},
		{"another driver", "          local: #", "          docker: #", "pairs[0].nodes[1].driver.docker", "docker:", "no key that can stand here", "local"},
	}
}
