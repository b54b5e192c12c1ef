package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/kube/kubefake"
	"twokey/actions/postgres"
	"twokey/actions/vultr/vultrfake"
	"twokey/bot"
	"twokey/bot/slacksim"
	"twokey/secret"
	"twokey/sql"
	"twokey/store"
)

// patients is a pair with everything that a bot can depend on: a simulated Slack, a
// fake Vultr account with both machines and the endpoint's record.
type patients struct {
	*world
	vultr *vultrfake.Server
	text  string // of the configuration that is in order
}

const ownRecord = "3c0f7e5a-2b1d-4c8e-9f60-7a1b2c3d4e5f"

const otherInstance = "5f1d0c9b-8a7e-4d6c-b5a4-938271605f4e"

func newPatients(t *testing.T) *patients {
	t.Helper()
	p := &patients{vultr: newVultr(t)}
	p.vultr.AddInstance(otherInstance, "orders-dc2", "dc2")
	p.vultr.AddInstance(vultrInstance, "orders-dc1", "dc1")
	p.vultr.AddRecord("example.com", ownRecord, "A", "own", "127.0.0.1", 60)
	w := newClosed(t)
	p.world = w
	key := filepath.Join(t.TempDir(), "key")
	w.must(os.WriteFile(key, []byte(vultrKey), 0o600))
	w.timeouts = fmt.Sprintf("timeouts: {observe: 1500ms}\nvultr: {api_key: {file: %q}, api_url: %q}\n", key, p.vultr.URL)
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack} {
		w.must(step(w.ctx()))
	}
	_, err := w.writeConfig()
	w.must(err)
	text, err := os.ReadFile(w.configPath())
	w.must(err)
	p.text = string(text)
	return p
}

// machines has each node's Vultr instance in the place of its own driver, which may
// not stand beside it on one machine.
func (p *patients) machines(text string) string {
	ids := []string{vultrInstance, otherInstance}
	return localDriver.ReplaceAllStringFunc(text, func(string) string {
		id := ids[0]
		ids = ids[1:]
		return "        driver: {vultr: {instance: " + id + "}}\n"
	})
}

var localDriver = regexp.MustCompile(`        driver:\n          local:\n(?:            .*\n)+`)

// examined runs the doctor over the configuration as edit makes it.
func (p *patients) examined(edit func(string) string) (code int, found []finding, text string) {
	p.t.Helper()
	text = p.text
	if edit != nil {
		text = edit(text)
	}
	path := filepath.Join(p.t.TempDir(), "twokey.yaml")
	p.must(os.WriteFile(path, []byte(text), 0o600))
	code, out, errOut := runMain(p.t, "doctor", "-c", path, "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		p.t.Fatalf("exit code %d: %v\n%s%s\n%s", code, err, out, errOut, text)
	}
	var table bytes.Buffer
	p.must(printFindings(&table, "table", found))
	return code, found, table.String()
}

func of(found []finding, area, what string) finding {
	for _, f := range found {
		if f.Area == area && strings.HasPrefix(f.What, what) {
			return f
		}
	}
	return finding{}
}

// TestDoctorOfAWholePair: everything is tried, and nothing is found wrong; and what
// it looked at is as it was.
func TestDoctorOfAWholePair(t *testing.T) {
	t.Parallel()
	p := newPatients(t)
	code, found, table := p.examined(nil)
	for _, want := range []struct{ area, what, detail string }{
		{"configuration", "what the file refers to", "is there"},
		{"slack", "bot token", "team T0TWOKEY01"},
		{"slack", "scopes", "chat:write"},
		{"slack", "membership of channel C0OPS00001", "works"},
		{"slack", "clock", "within a minute"},
		{"approvers", "dba-1", "the account may vote"},
		{"store", p.pair.Dir, "it isn't there yet; the first start makes it"},
		{"orders dc1", "login", "as twokey_bot at 127.0.0.1"},
		{"orders dc2", "login", "the standby"},
		{"orders dc1", "rights", "all "},
		{"orders dc1", "clock", "of this machine's"},
		{"orders", "dc2 logs in at dc1", "as twokey_replication from 127.0.0.1, and streams"},
		{"orders", "dc1 logs in at dc2", "dc1 logged in at dc2, for replication and for pg_rewind"},
	} {
		f := of(found, want.area, want.what)
		if f.Status != actions.OK || !strings.Contains(f.Detail, want.detail) {
			t.Errorf("%s, %s: %+v, want %q", want.area, want.what, f, want.detail)
		}
	}
	if f := of(found, "orders dc1", "TLS"); f.Status != actions.Warn || !strings.Contains(f.Detail, "sslmode: disable") {
		t.Errorf("no TLS: %+v", f)
	}
	if code != 0 || !containsAll(table, []string{"✓ slack", "! orders dc1", "→ Only between processes of one machine"}) || strings.Contains(table, "✗") {
		t.Errorf("exit code %d:\n%s", code, table)
	}
	_, found, _ = p.examined(p.machines)
	if f := of(found, "orders dc1", "Vultr instance "+vultrInstance); f.Status != actions.OK || f.Detail != "label orders-dc1, region dc1, running" {
		t.Errorf("%+v", f)
	}
	if f := of(found, "orders", "dc1 logs in at dc2"); f.Status != actions.Unclear || !strings.Contains(f.Detail, "no driver can try it from dc1 itself") {
		t.Errorf("what can't be tried: %+v", f)
	}
	_, found, _ = p.examined(p.endpoint(ownRecord, "own"))
	if f := of(found, "orders", "endpoint"); f.Status != actions.OK || f.Detail != "it leads to dc1" {
		t.Errorf("%+v", f)
	}
	for _, asked := range p.vultr.Asked() {
		if !strings.HasPrefix(asked, "get ") && !strings.HasPrefix(asked, "GET ") && !strings.Contains(strings.ToLower(asked), "get") {
			t.Errorf("the account was asked to %s", asked)
		}
	}
	if _, err := os.Stat(filepath.Join(p.pair.Dir, "twokey.db")); err == nil {
		t.Error("it has made a store")
	}
	for _, secret := range []string{p.slack.BotToken(), p.slack.SigningSecret(), p.pair.BotPassword.Reveal(), vultrKey} {
		if strings.Contains(table, secret) {
			t.Error("a secret is shown")
		}
	}
}

// TestDoctorFindsEachFault, and says how to mend it. The pair is well again after
// each.
func TestDoctorFindsEachFault(t *testing.T) {
	t.Parallel()
	p := newPatients(t)
	replaced := func(old, new string) func(string) string {
		return func(text string) string {
			if !strings.Contains(text, old) {
				t.Errorf("the configuration has no %q", old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	type fault struct {
		name       string
		area, what string
		status     actions.Status
		detail     string
		fix        string
		edit       func(string) string
		damage     func() (heal func())
	}
	slackFails := func(method, code string) func() func() {
		return func() func() {
			p.slack.Fail(method, slacksim.Error(code))
			return func() { p.slack.Heal(method) }
		}
	}
	other := p.workspace(slacksim.Options{Scopes: []string{"chat:write", "channels:history"}, Channels: []slacksim.Channel{{ID: "C0OPS00001", Name: "ops"}}})
	port := func(node string) string { return fmt.Sprintf("port: %d", p.pair.Node(node).Port) }
	for _, c := range []fault{
		{"a secret that isn't there", "configuration", "what the file refers to", actions.Bad, "slack.signing_secret", "Put it there", replaced("/signing-secret", "/nothing"), nil},
		{"a token that was revoked", "slack", "bot token", actions.Bad, "token_revoked", "give the bot its new token", nil, slackFails("auth.test", "token_revoked")},
		{"a token of another team", "slack", "bot token", actions.Bad, "team T0TWOKEY01, the configuration names T0OTHER001", "slack.team", replaced("team: T0TWOKEY01", "team: T0OTHER001"), nil},
		{"Slack out of reach", "slack", "bot token", actions.Bad, "refused", "name resolution, proxy, firewall", func(text string) string {
			return regexp.MustCompile(`api_url: http\S+/api/`).ReplaceAllString(text, "api_url: "+nobody.URL+"/api/")
		}, nil},
		{"scopes that are missing", "slack", "scopes", actions.Bad, "missing: commands, ", "reinstall it", other, nil},
		{"a channel that the bot is no member of", "slack", "membership of channel C0OPS00001", actions.Bad, "not_in_channel", "Invite the bot to the channel.", other, nil},
		{"a channel that doesn't exist", "slack", "membership of channel C0NOWHERE1", actions.Bad, "channel_not_found", "Check the channel's id", replaced("C0OPS00001", "C0NOWHERE1"), nil},
		{"the wrong kind of token for Socket Mode", "slack", "Socket Mode", actions.Bad, "not_allowed_token_type", "xapp-", func(text string) string {
			text = strings.Replace(text, "transport: http", "transport: socket", 1)
			return regexp.MustCompile(`app_token: \{file: "[^"]*"\}`).ReplaceAllString(text, "app_token: {file: \""+filepath.Join(p.pair.Dir, "slack-token")+"\"}")
		}, nil},
		{"an approver whose account was deactivated", "approvers", "dba-1", actions.Bad, "U0DBA00001", "Correct the member id", nil, func() func() {
			a, _ := p.slack.Account("U0DBA00001")
			gone := a
			gone.Deleted = true
			p.slack.SetAccount(gone)
			return func() { p.slack.SetAccount(a) }
		}},
		{"a group of approvers that is too small", "approvers", "user group S0DBAS0001", actions.Bad, "1 members, 3 are needed", "Put more people into the group", p.group, func() func() {
			p.slack.SetGroup(slacksim.UserGroup{ID: "S0DBAS0001", Users: []string{"U0DBA00001"}})
			return func() {
				p.slack.SetGroup(slacksim.UserGroup{ID: "S0DBAS0001", Users: []string{"U0DBA00001", "U0DBA00002", "U0MANAGER1"}})
			}
		}},
		{"a group of approvers that can't be read", "approvers", "user group S0DBAS0001", actions.Bad, "user group S0DBAS0001", "usergroups:read", p.group, slackFails("usergroups.users.list", "missing_scope")},
		{"a group of approvers as it should be", "approvers", "user group S0DBAS0001", actions.OK, "3 members", "", p.group, nil},
		{"accounts that can't be looked up", "approvers", "dba-1", actions.Unclear, "", "what is said of slack", nil, slackFails("users.info", "internal_error")},
		{"a store that another process holds", "store", p.pair.Dir, actions.Bad, "another process holds it", "End that process", nil, func() func() {
			s, err := store.Open(filepath.Join(p.pair.Dir, "twokey.db"), store.Options{})
			p.must(err)
			return func() { p.must(s.Close()); p.must(os.Remove(s.Path())) }
		}},
		{"a store that is something else", "store", p.pair.Dir, actions.Bad, "", "Don't start the bot over it", nil, func() func() {
			path := filepath.Join(p.pair.Dir, "twokey.db")
			p.must(os.WriteFile(path, []byte(strings.Repeat("noise ", 4096)), 0o600))
			return func() { p.must(os.Remove(path)) }
		}},
		{"a folder for the store that isn't there", "store", "/nonexistent/twokey.db", actions.Bad, "no such file or directory", "Make the folder", func(text string) string {
			return regexp.MustCompile(`store: "[^"]*"`).ReplaceAllString(text, `store: "/nonexistent/twokey.db"`)
		}, nil},
		{"a node that nobody listens on", "orders dc1", "login", actions.Bad, "unreachable", "Look whether the server runs", replaced(port("dc1"), "port: 1"), nil},
		{"a node that hangs", "orders dc2", "login", actions.Bad, "silent", "and whether the server hangs", nil, func() func() {
			p.must(p.pair.Node("dc2").Server.Freeze(p.ctx()))
			return func() { p.must(p.pair.Node("dc2").Server.Thaw(p.ctx())) }
		}},
		{"a node that refuses the login", "orders dc1", "login", actions.Bad, "denied", "compare password, pg_hba", nil, func() func() {
			p.exec("dc1", "ALTER ROLE twokey_bot NOLOGIN")
			return func() { p.exec("dc1", "ALTER ROLE twokey_bot LOGIN") }
		}},
		{"a node without TLS where it is wanted", "orders dc1", "login", actions.Bad, "denied", "certificate and sslrootcert", replaced("        sslmode: disable\n", "        sslmode: require\n"), nil},
		{"a right that was taken away", "orders dc2", "rights", actions.Bad, "missing: EXECUTE ON FUNCTION twokey.timeline_history(integer)", "Run the setup of sql/ again", nil, func() func() {
			p.execIn("dc1", "twokey", "REVOKE EXECUTE ON FUNCTION twokey.timeline_history(integer) FROM twokey_bot")
			return func() {
				p.execIn("dc1", "twokey", "GRANT EXECUTE ON FUNCTION twokey.timeline_history(integer) TO twokey_bot")
			}
		}},
		{"an application's database that it may not enter", "orders dc1", "rights", actions.Bad, "CONNECT ON DATABASE orders", "Run the setup of sql/ again", nil, func() func() {
			p.exec("dc1", "REVOKE CONNECT ON DATABASE orders FROM twokey_bot, PUBLIC")
			return func() { p.exec("dc1", "GRANT CONNECT ON DATABASE orders TO twokey_bot, PUBLIC") }
		}},
		{"a right without which it is only slower", "orders dc1", "rights", actions.Warn, "without EXECUTE ON FUNCTION twokey.pg_get_wal_records_info(pg_lsn,pg_lsn) the write pause is longer", "pg_walinspect", nil, func() func() {
			p.execIn("dc1", "twokey", "REVOKE EXECUTE ON FUNCTION twokey.pg_get_wal_records_info(pg_lsn, pg_lsn) FROM twokey_bot")
			return func() {
				p.execIn("dc1", "twokey", "GRANT EXECUTE ON FUNCTION twokey.pg_get_wal_records_info(pg_lsn, pg_lsn) TO twokey_bot")
			}
		}},
		{"a primary that can't log in at its standby", "orders", "dc1 logs in at dc2", actions.Bad, "password authentication failed", "Mend pg_hba on dc2", nil, p.otherPassword("dc1")},
		{"a standby that comes from elsewhere", "orders", "dc2 logs in at dc1", actions.Bad, "it streams from 127.0.0.1, the configuration says 127.0.0.9", "Correct the node's source", func(text string) string {
			first, second, _ := strings.Cut(text, "- name: dc2")
			return first + "- name: dc2" + strings.Replace(second, "source: 127.0.0.1", "source: 127.0.0.9", 1)
		}, nil},
		{"a standby that is gone", "orders", "dc2 logs in at dc1", actions.Bad, "it doesn't stream", "Look into its server's log", nil, p.killed("dc2")},
		{"a primary that is gone", "orders", "dc2 logs in at dc1", actions.Unclear, "the primary doesn't answer", "Bring it back first.", nil, p.killed("dc1")},
		{"a driver whose programs aren't there", "orders dc1", "driver", actions.Bad, "/nonexistent", "section driver", func(text string) string {
			return regexp.MustCompile(`programs: "[^"]*"`).ReplaceAllString(text, `programs: "/nonexistent"`)
		}, nil},
		{"a Vultr key that isn't taken", "orders dc1", "Vultr instance", actions.Bad, "401", "Check vultr.api_key", func(text string) string {
			return regexp.MustCompile(`api_key: \{file: "[^"]*"\}`).ReplaceAllString(p.machines(text), "api_key: {file: \""+filepath.Join(p.pair.Dir, "slack-token")+"\"}")
		}, nil},
		{"an instance that doesn't exist", "orders dc1", "Vultr instance", actions.Bad, "404", "Check the id", func(text string) string {
			return strings.Replace(p.machines(text), vultrInstance, "00000000-0000-4000-8000-000000000000", 1)
		}, nil},
		{"an instance in another region than the site's", "orders dc1", "Vultr instance", actions.Warn, "region dc2, running; the configuration calls the site dc1", "the wrong one stops the wrong server", func(text string) string {
			return strings.NewReplacer(vultrInstance, otherInstance, otherInstance, vultrInstance).Replace(p.machines(text))
		}, nil},
		{"an instance that its platform works on", "orders dc2", "Vultr instance", actions.Warn, "installingbooting", "nothing is fenced before", p.machines, func() func() {
			p.vultr.SetServerStatus(otherInstance, "installingbooting")
			return func() { p.vultr.SetServerStatus(otherInstance, "ok") }
		}},
		{"an endpoint whose record is missing", "orders", "endpoint", actions.Bad, "can't be read", "or mend what keeps", p.endpoint("00000000-0000-4000-8000-000000000000", "db"), nil},
		{"an endpoint that leads elsewhere", "orders", "endpoint", actions.Bad, "leads to neither node", "Point it there", p.endpoint(vultrRecord, "db"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			outer := p.t
			p.t = t
			defer func() { p.t = outer }()
			if c.damage != nil {
				heal := c.damage()
				defer heal()
			}
			code, found, table := p.examined(c.edit)
			f := of(found, c.area, c.what)
			if f.Status != c.status || !strings.Contains(f.Detail, c.detail) || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("%+v\nwanted %s, %q, %q in\n%s", f, c.status, c.detail, c.fix, table)
			}
			if (code == 2) != slices.ContainsFunc(found, func(f finding) bool { return f.Status == actions.Bad }) || c.status == actions.Bad && code != 2 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// group lets the members of a Slack user group approve.
func (p *patients) group(text string) string {
	return regexp.MustCompile(`(?s)policy:\n  approvers:\n.*?\n  expiry`).ReplaceAllString(text, "policy:\n  approver_group: S0DBAS0001\n  expiry")
}

// endpoint gives the pair hosts by which a record can tell the nodes, and the record.
func (p *patients) endpoint(id, name string) func(string) string {
	return func(text string) string {
		first, second, _ := strings.Cut(text, "- name: dc2")
		text = first + "- name: dc2" + strings.Replace(second, "host: 127.0.0.1", "host: 127.0.0.2", 1)
		return strings.Replace(text, "    nodes:\n", "    endpoint: {vultr: {domain: example.com, record: "+id+", name: "+name+"}}\n    nodes:\n", 1)
	}
}

// workspace edits the configuration so that it is about another one.
func (p *patients) workspace(o slacksim.Options) func(string) string {
	p.t.Helper()
	w := slacksim.New(o)
	p.t.Cleanup(func() {
		if err := w.Close(); err != nil {
			p.t.Error(err)
		}
	})
	base, err := w.Start(p.ctx())
	p.must(err)
	token := filepath.Join(p.t.TempDir(), "token")
	p.must(os.WriteFile(token, []byte(w.BotToken()), 0o600))
	return func(text string) string {
		text = regexp.MustCompile(`api_url: http\S+/api/`).ReplaceAllString(text, "api_url: "+w.APIURL(base))
		return strings.Replace(text, filepath.Join(p.pair.Dir, "slack-token"), token, 1)
	}
}

func (p *patients) killed(node string) func() func() {
	return func() func() {
		s := p.pair.Node(node).Server
		p.must(s.Kill(p.ctx()))
		return func() {
			_, err := s.Start(p.ctx())
			p.must(errors.Join(err, s.WaitReady(p.ctx())))
		}
	}
}

// otherPassword makes a node's own login at its partner fail.
func (p *patients) otherPassword(node string) func() func() {
	return func() func() {
		path := p.pair.Node(node).Upstream.Passfile
		before, err := os.ReadFile(path)
		p.must(err)
		p.must(os.WriteFile(path, []byte(strings.Replace(string(before), ":twokey_replication:", ":twokey_replication:x", 1)), 0o600))
		return func() { p.must(os.WriteFile(path, before, 0o600)) }
	}
}

func (w *world) execIn(node, database, statement string) {
	w.t.Helper()
	r := rightsWorld{world: w, primary: w.pair.Node(node), kept: nil}
	c := r.once(database)
	defer func() { _ = c.Close(context.Background()) }()
	_, err := c.Exec(w.ctx(), statement)
	w.must(err)
	r.replayed(c)
}

// TestDoctorThroughARunningBot: the store is the bot's, so that one is asked.
func TestDoctorThroughARunningBot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	code, out, errOut := runMain(t, "doctor", "-c", w.listening(), "-o", "json")
	var found []finding
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 0 {
		t.Fatalf("exit code %d: %v\n%s%s", code, err, out, errOut)
	}
	if f := of(found, "store", ""); f.Status != actions.OK || f.Detail != "the running bot can write it" {
		t.Errorf("%+v", f)
	}
}

// listening is the configuration with the address that the bot was given.
func (w *world) listening() string {
	w.t.Helper()
	text, err := os.ReadFile(w.configPath())
	w.must(err)
	path := filepath.Join(w.t.TempDir(), "twokey.yaml")
	w.must(os.WriteFile(path, []byte(strings.Replace(string(text), "listen: 127.0.0.1:0", "listen: "+w.service.public.Addr().String(), 1)), 0o600))
	return path
}

// TestDoctorNoticesClocks that are wrong, Slack's and a server's.
func TestDoctorNoticesClocks(t *testing.T) {
	t.Parallel()
	late := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Date", time.Now().Add(-7*time.Minute).UTC().Format(http.TimeFormat))
		fmt.Fprint(rw, `{"ok":true,"team_id":"T0TWOKEY01","user_id":"U1"}`)
	}))
	t.Cleanup(late.Close)
	e, err := bot.Examine(t.Context(), bot.Options{APIURL: late.URL, Token: secret.New("xoxb-1"), Team: "T0TWOKEY01", Channel: "C1"})
	if err != nil {
		t.Fatal(err)
	}
	if f := slackClock("slack", e); f.Status != actions.Bad || !strings.Contains(f.Detail, "by -7m") || !strings.Contains(f.Fix, "NTP") {
		t.Errorf("%+v", f)
	}
	if f := slackClock("slack", bot.Examination{}); f.Status != actions.Unclear {
		t.Errorf("no date: %+v", f)
	}
	for skew, want := range map[time.Duration]actions.Status{-4 * time.Second: actions.OK, 9 * time.Second: actions.Bad, -time.Hour: actions.Bad} {
		if f := skewFound("orders dc1", postgres.Login{Skew: skew, Within: time.Millisecond}); f.Status != want {
			t.Errorf("%s: %+v", skew, f)
		}
	}
	if f := skewFound("orders dc1", postgres.Login{Skew: 8 * time.Second, Within: 4 * time.Second}); f.Status != actions.OK {
		t.Errorf("an answer that took eight seconds shows nothing: %+v", f)
	}
}

// TestDoctorKnowsEveryRight: the table of the rights that are needed is the list of
// those that the doctor looks for.
func TestDoctorKnowsEveryRight(t *testing.T) {
	t.Parallel()
	p := newPairOnly(t)
	cfg, secrets, err := loadConfig(p.configPath())
	p.must(err)
	for _, n := range cfg.Pairs[0].Nodes {
		db, err := databaseOf(cfg, cfg.Pairs[0], n, secrets, nil)
		p.must(err)
		defer db.Close()
		l, err := db.Login(p.ctx())
		p.must(err)
		seen := map[string]bool{}
		for _, r := range l.Rights {
			seen[r.What] = true
			if !r.Held {
				t.Errorf("%s lacks %s", n.Name, r.What)
			}
		}
		r := rightsWorld{world: p}
		for _, need := range slices.Concat(neededRights(), neededInApplication()) {
			own := need.role == sql.BotRole && need.what != "LOGIN" && !strings.Contains(need.what, "FUTURE") && !strings.HasPrefix(need.what, "SELECT ON TABLE ") || strings.HasPrefix(need.what, "SELECT ON TABLE twokey.")
			if own && !seen[need.what] && !r.tooOldFor(need) {
				t.Errorf("the doctor doesn't look for %s", need.what)
			}
		}
	}
}

func TestDoctorRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "twokey.yaml")
	if err := os.WriteFile(path, []byte("slak: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := runMain(t, "doctor", "-c", path); code != 1 || !strings.Contains(errOut, "slak") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	if code, _, errOut := runMain(t, "doctor", "-c", path, "-o", "xml"); code != 1 || !strings.Contains(errOut, "the formats are table, json") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// TestDoctorAsksForEveryRightInKubernetes: as the bot's own account there, of the
// cluster's own API server.
func TestDoctorAsksForEveryRightInKubernetes(t *testing.T) {
	t.Parallel()
	p := newPatients(t)
	api := kubefake.New()
	t.Cleanup(api.Close)
	at := func(api *kubefake.Server, token string) func(string) string {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		p.must(os.WriteFile(path, []byte(api.Kubeconfig("dc1", token)), 0o600))
		return func(text string) string {
			found := localDriver.FindString(text)
			return strings.Replace(text, found, fmt.Sprintf("        driver: {kube: {kubeconfig: %q}}\n", path), 1)
		}
	}
	as := func(token string) func(string) string { return at(api, token) }
	admin := api.Token(kubefake.User{Name: "bot", Groups: []string{"system:masters"}})
	_, found, _ := p.examined(as(admin))
	if f := of(found, "orders dc1", "Kubernetes rights"); f.Status != actions.OK || !strings.Contains(f.Detail, "all 7, by kubeconfig") {
		t.Errorf("%+v", f)
	}
	if f := of(found, "orders dc1", "Kubernetes clock"); f.Status != actions.OK {
		t.Errorf("%+v", f)
	}
	for name, c := range map[string]struct{ token, detail, fix string }{
		"a stranger":           {api.Token(kubefake.User{Name: "stranger"}), "refused: get statefulsets.apps/postgres -n twokey (reading how many pods are wanted), update statefulsets.apps/postgres --subresource=scale", "manifests/bot/rbac.yaml"},
		"nobody that it knows": {"revoked", "401 Unauthorized", "renew it"},
	} {
		code, found, table := p.examined(as(c.token))
		f := of(found, "orders dc1", "Kubernetes")
		if code != 2 || f.Status != actions.Bad || !strings.Contains(f.Detail, c.detail) || !strings.Contains(f.Fix, c.fix) {
			t.Errorf("%s: exit code %d, %+v\n%s", name, code, f, table)
		}
	}
	gone := kubefake.New()
	away := at(gone, gone.Token(kubefake.User{Name: "bot"}))
	gone.Close()
	code, found, _ := p.examined(away)
	if f := of(found, "orders dc1", "Kubernetes"); code != 2 || f.Status != actions.Bad || f.Fix == "" {
		t.Errorf("away: exit code %d, %+v", code, f)
	}
	code, found, _ = p.examined(func(text string) string {
		return strings.Replace(away(text), "kubeconfig: \"", "kubeconfig: \"/nowhere", 1)
	})
	if f := of(found, "orders dc1", "driver"); code != 2 || f.Status != actions.Bad || !strings.Contains(f.Detail, "the file can't be read") {
		t.Errorf("no file: exit code %d, %+v", code, f)
	}
	for skew, want := range map[time.Duration]actions.Status{0: actions.OK, 3 * time.Second: actions.OK, time.Minute: actions.Bad} {
		if f := clusterSkew("orders dc1", skew); f.Status != want {
			t.Errorf("%s: %+v", skew, f)
		}
	}
}
