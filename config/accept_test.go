package config_test

import (
	"strings"
	"testing"

	"twokey/config"
)

// What is unusual, but right.
func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string][2]string{
		"two approvers when the requester's own vote counts": {"    - {name: manager, slack: U0123CCCC}\n  allow_requester: false", "  allow_requester: true"},
		"Socket Mode":                         {"transport: http # default\n  signing_secret: {env: TWOKEY_SLACK_SIGNING_SECRET}", "transport: socket\n  app_token: {file: /run/secrets/app}"},
		"Socket Mode beside a signing secret": {"transport: http", "transport: socket\n  app_token: {env: APP}\n "},
		"an API on this machine":              {"https://slack.com/api/", "http://127.0.0.1:9999/api"},
		"an API on this machine, by name":     {"https://slack.com/api/", "http://localhost:9999"},
		"an API on this machine, IPv6":        {"https://slack.com/api/", "http://[::1]:9999/"},
		"an account of an enterprise":         {"slack: U0123BBBB", "slack: W0123BBBB"},
		"a private channel":                   {"channel: C0123ABCD", "channel: G0123ABCD"},
		"a port that the system chooses":      {"listen: 127.0.0.1:8080", "listen: 127.0.0.1:0"},
		"every address":                       {"listen: 127.0.0.1:8080", `listen: ":8080"`},
		"an IPv6 address to listen at":        {"listen: 127.0.0.1:8080", `listen: "[::1]:8080"`},
		"two ports of one host":               {"host: dc2.example.com", "host: dc1.example.com\n        port: 5433"},
		"an IPv6 host without brackets":       {"host: dc2.example.com", "host: 2001:db8::2"},
		"a host with an underscore":           {"host: dc2.example.com", "host: pg_dc2"},
		"a client certificate":                {"passfile: /etc/twokey/passfile", "sslcert: /c\n        sslkey: /k"},
		"names in quotes":                     {"name: dba-2", `"name": "Anna O'Neil-Groß"`},
		"a cron spec with names":              {"report: 0 9 * * *", "report: 30 8 * * mon-fri"},
		"a leap day":                          {"report: 0 9 * * *", "report: 0 9 29 2 *"},
		"a size as a number":                  {"lag_bytes: 16MiB", "lag_bytes: 16777216"},
		"a byte order mark":                   {"# Configuration of the twokey bot.", "\ufeff# Configuration of the twokey bot."},
		"an account that nothing needs":       {sampleEndpoint, ""},
		"no driver":                           {"        driver:\n", "        # driver:\n"},
		"codes of those who have them":        {"otp: off", "otp: optional"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "no driver" {
				parsed(t, least)
				return
			}
			text := changed(t, edit[0], edit[1])
			if strings.Contains(edit[1], "host: ") { // a record must hold either node's host
				text = strings.Replace(text, sampleEndpoint, "", 1)
			}
			parsed(t, text)
		})
	}
}

// A group instead of a list; its members may have names.
func TestParseAcceptsAGroup(t *testing.T) {
	t.Parallel()
	before, rest, _ := strings.Cut(config.Sample(), "  approvers:\n")
	_, after, _ := strings.Cut(rest, "  allow_requester:")
	p := parsed(t, before+"  approver_group: S0123ABCD\n  allow_requester:"+after).Policy
	domain := p.Domain()
	if err := domain.Validate(); err != nil || domain.Group != "S0123ABCD" || len(domain.Approvers) != 0 || p.Accounts()["oncall"] != "U0123DDDD" {
		t.Errorf("%+v, %v", domain, err)
	}
}
