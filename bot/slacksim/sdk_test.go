package slacksim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"twokey/bot/slacksim"
)

const sdkFolder = "testdata/sdk"

// sdk makes a command that runs a script with Slack's own SDKs. Without Node.js or
// the packages the test skips, loudly; CI installs both and then it fails.
func sdk(ctx context.Context, t *testing.T, script string, sim any) *exec.Cmd {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("TWOKEY_CI") != "" {
		missing = t.Fatalf
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("SKIPPED: Node.js isn't installed, so Slack's own SDKs didn't meet the simulated workspace")
	}
	if _, err := os.Stat(sdkFolder + "/node_modules/@slack"); err != nil {
		missing("SKIPPED: Slack's own SDKs aren't installed, so they didn't meet the simulated workspace: run `npm ci` in bot/slacksim/%s", sdkFolder)
	}
	raw, err := json.Marshal(sim)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir = sdkFolder
	cmd.Env = append(os.Environ(), "SIM="+string(raw), "NO_PROXY=127.0.0.1")
	return cmd
}

// TestOfficialWebAPIClient: a client that shares no mistake with the simulated
// workspace gets from it what it gets from Slack.
func TestOfficialWebAPIClient(t *testing.T) {
	t.Parallel()
	const secret, gone, group = "C0SECRET01", "U0GONE0001", "S0DBAS0001"
	b := newBundle(t, func(o *slacksim.Options) {
		o.Channels = append(slacksim.DefaultChannels(), slacksim.Channel{ID: secret, Name: "secret", Private: true, BotMember: true})
		o.Groups = []slacksim.UserGroup{{ID: group, Handle: "dbas", Users: []string{dba1}}}
		for _, s := range slacksim.DefaultScopes() {
			if !strings.HasPrefix(s, "groups:") {
				o.Scopes = append(o.Scopes, s)
			}
		}
	})
	b.SetAccount(slacksim.Account{ID: gone, Name: "gone", Deleted: true})
	b.Fail("bots.info", slacksim.RateLimit(3*time.Second))
	d, err := b.Command(b.ctx, dba1, ops, "/pg", "status")
	if err != nil {
		t.Fatal(err)
	}
	cmd := sdk(b.ctx, t, "webapi.mjs", object{
		"api": b.APIURL(b.base), "token": b.BotToken(), "channel": ops, "secret": secret, "person": dba1, "gone": gone, "group": group,
		"trigger": d.TriggerID,
	})
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var result struct {
		Passed        []string
		Failed, Error string
		Data          any
	}
	if jsonErr := json.Unmarshal(bytes.TrimSpace(out), &result); err != nil || jsonErr != nil || result.Failed != "" || len(result.Passed) < 15 {
		t.Fatalf("%v, %v\npassed %q\nfailed %q: %s\n%v\n%s", err, jsonErr, result.Passed, result.Failed, result.Error, result.Data, &stderr)
	}
	t.Logf("passed: %s", strings.Join(result.Passed, ", "))
}

// officialApp is the Socket Mode client as a process.
type officialApp struct {
	t     *testing.T
	lines chan object
}

func startOfficialApp(t *testing.T, b *bundle) *officialApp {
	t.Helper()
	cmd := sdk(b.ctx, t, "socket.mjs", object{"api": b.APIURL(b.base), "appToken": b.AppToken(), "answer": "on it"})
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &officialApp{t: t, lines: make(chan object, 100)}
	read := make(chan struct{})
	go func() { defer close(read); a.read(stdout) }()
	t.Cleanup(func() {
		_, _ = io.WriteString(stdin, "stop\n")
		<-read
		_ = cmd.Wait()
	})
	return a
}

func (a *officialApp) read(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var v object
		if json.Unmarshal(lines.Bytes(), &v) == nil {
			a.lines <- v
		}
	}
}

// got waits for the app to tell of something.
func (a *officialApp) got(what string) object {
	a.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case v := <-a.lines:
			if v["got"] == what {
				return v
			}
		case <-deadline:
			a.t.Fatalf("the official client never told of %q", what)
		}
	}
}

func TestOfficialSocketModeClient(t *testing.T) {
	t.Parallel()
	b := newBundle(t, withEvents, inSocketMode, func(o *slacksim.Options) { o.AckTimeout = 20 * time.Second })
	ts := b.postButtons(t)
	app := startOfficialApp(t, b)
	app.got("connected")
	if err := b.Wait(b.ctx, func(s *slacksim.Snapshot) bool { return s.Connections() == 1 }); err != nil {
		t.Fatal(err)
	}
	d, err := b.Command(b.ctx, oncall, ops, "/pg", "status orders")
	if err != nil || !d.Acknowledged() {
		t.Fatalf("command: %s, %v", d, err)
	}
	if got := app.got("slash_commands"); got["text"] != "status orders" || got["user"] != oncall {
		t.Errorf("the app got %v", got)
	}
	if e := b.Ephemerals(oncall); len(e) != 1 || e[0].Text != "on it" {
		t.Errorf("shown %+v", e)
	}
	if d, err = b.Press(b.ctx, dba1, ops, ts, "deny"); err != nil || !d.Acknowledged() {
		t.Fatalf("press: %s, %v", d, err)
	}
	if got := app.got("interactive"); got["action"] != "deny" {
		t.Errorf("the app got %v", got)
	}
	v, err := b.api.OpenViewContext(b.ctx, d.TriggerID, aModal("Deny"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"reason": "not now"}); err != nil || !d.Acknowledged() {
		t.Fatalf("submission: %s, %v", d, err)
	}
	if open := b.Modals(dba1); len(open) != 1 || open[0].Errors["reason"] != "say more" {
		t.Errorf("views %+v", open)
	}
	if err := b.OpenHome(oncall); err != nil {
		t.Fatal(err)
	}
	app.got("app_home_opened")

	b.Disconnect("refresh_requested") // and it comes back
	app.got("connected")
	if err := b.Wait(b.ctx, func(s *slacksim.Snapshot) bool { return s.Connections() == 1 }); err != nil {
		t.Fatal(err)
	}
	if d, err := b.Command(b.ctx, oncall, ops, "/pg", "again"); err != nil || !d.Acknowledged() {
		t.Errorf("after the reconnection: %s, %v", d, err)
	}
}
