package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/bot/slacksim"
)

// greenhouse is a served bot of which everything that leaves it is kept, with
// secrets that can be told from everything else.
type greenhouse struct {
	*world
	bot     *exec.Cmd
	public  string            // address of its pages
	secrets map[string]string // by what they are
	mu      sync.Mutex
	seen    map[string]*bytes.Buffer // by where
	grew    chan struct{}            // receives when something was seen
}

// see keeps what was said somewhere.
func (g *greenhouse) see(where string, what []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[where] == nil {
		g.seen[where] = &bytes.Buffer{}
	}
	g.seen[where].Write(append(what, '\n'))
	select {
	case g.grew <- struct{}{}:
	default:
	}
}

// plant serves a bot from a configuration with planted secrets, Slack's Web API
// behind a proxy that keeps every request, and more lines in the policy.
func plant(t *testing.T, edit func(*demo)) *greenhouse {
	t.Helper()
	w := newClosed(t)
	if edit != nil {
		edit(w.demo)
	}
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack, w.openLoad} {
		w.must(step(w.ctx()))
	}
	g := &greenhouse{world: w, seen: map[string]*bytes.Buffer{}, grew: make(chan struct{}, 1)}
	g.secrets = map[string]string{
		"bot token": w.slack.BotToken(), "signing secret": w.slack.SigningSecret(),
		"database password": w.pair.BotPassword.Reveal(), "password in the password file": w.pair.ReplicationPassword.Reveal(),
		"key for one-time codes": "planted-otp-key-6f1c9a0e5b7d4832aa", "Vultr key": vultrKey + "OLD",
	}
	path, err := w.writeConfig()
	w.must(err)
	text, err := os.ReadFile(path)
	w.must(err)
	key, err := w.secretFile("otp-key", g.secrets["key for one-time codes"])
	w.must(err)
	edited := strings.Replace(string(text), "  hold_expiry:", "  otp: required\n  otp_key: {file: "+key+"}\n  hold_expiry:", 1)
	w.must(os.WriteFile(path, []byte(strings.Replace(edited, w.slack.APIURL(w.page), g.recorded(), 1)), 0o600))
	g.start(path)
	return g
}

// recorded is an address of Slack's Web API that keeps what is sent to it, but
// for the token, which belongs there.
func (g *greenhouse) recorded() string {
	target, err := url.Parse(g.page)
	g.must(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			g.t.Errorf("reading what the bot sends: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil && form.Get("token") == g.slack.BotToken() {
			form.Del("token")
			body = []byte(r.URL.String() + "\n" + fmt.Sprint(form))
		}
		g.see("what Slack is sent", body)
		proxy.ServeHTTP(w, r)
	}))
	g.t.Cleanup(server.Close)
	return server.URL + "/api/"
}

// start runs the bot with its whole log kept.
func (g *greenhouse) start(config string) {
	g.bot = exec.Command(os.Args[0], "serve", "--debug", "-c", config)
	g.bot.Env = append(os.Environ(), asProgram+"=1")
	g.bot.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.bot.Stdout, g.bot.Stderr = sink{g, "what it prints"}, sink{g, "the log"}
	g.must(g.bot.Start())
	g.t.Cleanup(func() { _ = g.bot.Process.Kill(); _ = g.bot.Wait() })
	const ready = `"msg":"ready","listen":"`
	log := g.until("the log", ready)
	address, _, _ := strings.Cut(log[strings.Index(log, ready)+len(ready):], `"`)
	g.public = "http://" + address
	g.slack.SetRequestURL(g.public)
	g.watchArguments()
}

type sink struct {
	g     *greenhouse
	where string
}

func (s sink) Write(p []byte) (int, error) { s.g.see(s.where, p); return len(p), nil }

// until waits until something was seen, and gives all that was.
func (g *greenhouse) until(where, words string) string {
	g.t.Helper()
	ctx := g.ctx()
	for {
		g.mu.Lock()
		text := ""
		if b := g.seen[where]; b != nil {
			text = b.String()
		}
		g.mu.Unlock()
		if strings.Contains(text, words) {
			return text
		}
		select {
		case <-g.grew:
		case <-ctx.Done():
			g.t.Fatalf("%s never held %q:\n%s", where, words, text)
		}
	}
}

// watchArguments looks at every process of this machine, as any account of it
// can, until the test ends.
func (g *greenhouse) watchArguments() {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		g.t.Logf("NOT LOOKED AT: the arguments of processes; this system has no /proc: %v", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	g.t.Cleanup(func() { cancel(); done.Wait() })
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		known := map[string]bool{}
		for ctx.Err() == nil {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				if raw, err := os.ReadFile(f); err == nil && !known[string(raw)] {
					known[string(raw)] = true
					g.see("arguments of processes", bytes.ReplaceAll(raw, []byte{0}, []byte(" ")))
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
}

// ask runs a subcommand against the bot and keeps what it prints.
func (g *greenhouse) cli(args ...string) {
	g.t.Helper()
	code, out, errOut := runMain(g.t, append(args, "-c", g.configPath())...)
	if out == "" && errOut == "" {
		g.t.Errorf("%v printed nothing (exit code %d)", args, code)
	}
	g.see("what subcommands print", []byte(out+errOut))
}

func (g *greenhouse) get(path string) {
	g.t.Helper()
	resp, err := http.Get(g.public + path)
	g.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	g.must(err)
	g.see("pages", append([]byte(fmt.Sprint(resp.Header)), body...))
}

// code enters the code of a press.
func (g *greenhouse) enrollBoth() (first, second string) {
	g.t.Helper()
	first, second = g.enroll("dba-1"), g.enroll("dba-2")
	g.secrets["one-time code secret of dba-1"], g.secrets["one-time code secret of dba-2"] = first, second
	return first, second
}

// lookEverywhere asks for all that the bot tells.
func (g *greenhouse) lookEverywhere() {
	g.t.Helper()
	for _, format := range []string{"table", "json", "yaml", "tsv"} {
		g.cli("status", "-o", format)
		g.cli("verify", "-o", format)
	}
	g.cli("audit", "export")
	g.cli("audit", "verify")
	g.cli("otp", "list", "-o", "json")
	g.get("/livez")
	g.get("/readyz")
	g.get("/metrics") // also where there are none
}

// failures make everything that can fail do so, with what it says.
func (g *greenhouse) failures() {
	g.t.Helper()
	for _, f := range []slacksim.Failure{slacksim.Down(), slacksim.Garbage(), slacksim.Error("invalid_auth"), slacksim.RateLimit(time.Second)} {
		g.slack.Fail(slacksim.Any, f.Times(2))
		_, _ = g.slack.Command(g.ctx(), oncall, opsChannel, "/pg", "status") // whether it is answered is not the point
		g.slack.Heal(slacksim.Any)
	}
	resp, err := http.Post(g.public+"/slack/commands", "application/x-www-form-urlencoded", strings.NewReader("text=status"))
	g.must(err)
	resp.Body.Close()
	g.until("the log", "signature or timestamp is not Slack's")
}

// loginFails changes the bot's password on a node, and looks.
func (g *greenhouse) loginFails(node string) {
	g.t.Helper()
	c, err := pgx.Connect(g.ctx(), g.pair.Node(node).AdminURL("postgres"))
	g.must(err)
	defer func() { _ = c.Close(context.WithoutCancel(g.ctx())) }()
	for _, sql := range []string{"ALTER ROLE twokey_bot PASSWORD 'another one'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'twokey_bot'"} {
		_, err := c.Exec(g.ctx(), sql)
		g.must(err)
	}
	g.command(oncall, "status", "password")
	g.lookEverywhere()
	_, err = c.Exec(g.ctx(), "ALTER ROLE twokey_bot PASSWORD '"+g.pair.BotPassword.Reveal()+"'")
	g.must(err)
}

// misplaced puts a secret where its reference belongs, and keeps what is said.
func (g *greenhouse) misplaced() {
	g.t.Helper()
	text, err := os.ReadFile(g.configPath())
	g.must(err)
	for _, key := range []string{"token: ", "signing_secret: ", "otp_key: "} {
		before, rest, found := strings.Cut(string(text), key)
		_, after, _ := strings.Cut(rest, "\n")
		if !found {
			g.t.Fatalf("no %s in the configuration", key)
		}
		path := filepath.Join(g.t.TempDir(), "twokey.yaml")
		g.must(os.WriteFile(path, []byte(before+key+g.secrets["bot token"]+"\n"+after), 0o600))
		code, out, errOut := runMain(g.t, "config", "check", path)
		if code == 0 {
			g.t.Errorf("a secret in the file is accepted:\n%s", out)
		}
		g.see("what subcommands print", []byte(out+errOut))
	}
}

// end stops the bot and gathers what is left: the store, the channel, the views.
func (g *greenhouse) end() {
	g.t.Helper()
	g.must(g.bot.Process.Signal(syscall.SIGTERM))
	if err := g.bot.Wait(); err != nil {
		g.t.Errorf("the bot ended with %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(g.pair.Dir, "twokey.db"))
	g.must(err)
	g.see("the store", raw)
	g.see("the channel", []byte(g.slack.Transcript()))
	snap := g.slack.Snapshot()
	for _, user := range []string{oncall, dba1, dba2, manager, guest} {
		for _, m := range snap.Ephemerals(user) {
			g.see("the channel", append([]byte(m.Text), m.Blocks...))
		}
		for _, v := range snap.Modals(user) {
			g.see("views", v.Blocks)
		}
	}
	for _, m := range snap.Messages(opsChannel) {
		g.see("the channel", append([]byte(m.Text), m.Blocks...))
	}
}

// nowhere looks for each secret, in every form that programs write bytes in.
func (g *greenhouse) nowhere() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, where := range []string{"the log", "the store", "the channel", "what Slack is sent", "what subcommands print", "pages", "arguments of processes"} {
		if b := g.seen[where]; b == nil || b.Len() < 40 {
			if where != "arguments of processes" || b != nil {
				g.t.Errorf("nothing was seen of %s: the search is broken", where)
			}
		}
	}
	for what, value := range g.secrets {
		for where, text := range g.seen {
			if at, form := find(text.String(), value); at >= 0 {
				g.t.Errorf("%s stands in %s (as %q): …%q", what, where, form, text.String()[max(0, at-120):at])
			}
		}
	}
}

func find(text, secret string) (at int, form string) {
	for _, form := range []string{
		secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="), fmt.Sprintf("%v", []byte(secret)),
	} {
		if at := strings.Index(text, form); at >= 0 {
			return at, form
		}
	}
	return -1, ""
}

// TestThreatPlantedSecretsAppearNowhere: after a whole switchover with a rejoin,
// and a whole disaster failover whose fence refuses, with failures of Slack, of
// the database's login and of the platform on the way, no secret is in a message,
// a view, a log line, a page, an answer of the admin socket, an audit entry, the
// store or the arguments of a process.
func TestThreatPlantedSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	t.Run("switchover", func(t *testing.T) {
		t.Parallel()
		g := plant(t, nil)
		g.command(oncall, "verify", "proven")
		first, second := g.enrollBoth()
		g.failures()
		g.shown("A second factor was set up", "dba-2") // after a void token the bot tries again slowly
		ts := g.ask("switchover orders -- with planted secrets")
		g.must(g.refused(g.ctx(), manager, ts, "no second factor"))
		g.approveWith(dba1, ts, first, time.Now().Add(-time.Hour)) // a wrong one
		g.must(g.slack.Wait(g.ctx(), func(s *slacksim.Snapshot) bool {
			return len(s.Modals(dba1)) > 0 && s.Modals(dba1)[0].Errors["code"] != ""
		}))
		g.approveWith(dba1, ts, first, time.Now())
		g.message(ts, "1 of 2 approvals")
		g.approveWith(dba2, ts, second, time.Now())
		g.message(ts, "Switchover of orders: done")
		g.lookEverywhere()
		g.loginFails("dc2")
		g.misplaced()
		g.end()
		g.nowhere()
	})
	t.Run("disaster", func(t *testing.T) {
		t.Parallel()
		fake := newVultr(t) // which takes another key
		g := plant(t, func(d *demo) {
			key := filepath.Join(t.TempDir(), "vultr-key")
			if err := os.WriteFile(key, []byte(vultrKey+"OLD"), 0o600); err != nil {
				t.Fatal(err)
			}
			d.timeouts = fmt.Sprintf("vultr: {api_key: {file: %q}, api_url: %q}\n", key, fake.URL)
			d.drivers = map[string]string{"dc1": "        driver: {vultr: {instance: " + vultrInstance + "}}\n"}
		})
		g.command(oncall, "verify", "401")
		first, second := g.enrollBoth()
		g.loses("dc1")
		g.lookEverywhere()
		ts := g.ask("failover orders -- dc1 is gone")
		g.approveWith(dba1, ts, first, time.Now())
		g.message(ts, "1 of 2 approvals")
		g.approveWith(dba2, ts, second, time.Now())
		g.message(ts, heldWords)
		g.press(manager, ts, "refuse") // of which no code is asked
		g.message(ts, "taken back")
		g.lookEverywhere()
		g.failures()
		g.end()
		g.nowhere()
	})
}

// TestPlantedSecretsAreFound holds the search itself to what it must find.
func TestPlantedSecretsAreFound(t *testing.T) {
	t.Parallel()
	const planted = "planted secret/+%"
	for name, text := range map[string]string{
		"as it is": "x" + planted, "in an address": url.QueryEscape(planted), "in hex": hex.EncodeToString([]byte(planted)),
		"in base64": base64.StdEncoding.EncodeToString([]byte(planted)), "as bytes": fmt.Sprint([]byte(planted)), "in an error": errors.New(planted).Error(),
	} {
		if at, _ := find("some text "+text+" and more", planted); at < 0 {
			t.Errorf("not found %s", name)
		}
	}
	if at, form := find("some text", planted); at >= 0 {
		t.Errorf("found where it isn't: %q", form)
	}
}
