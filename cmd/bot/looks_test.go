package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/actions/local/sandbox"
)

// configPath is the file that writeConfig made.
func (w *world) configPath() string { return filepath.Join(w.pair.Dir, "twokey.yaml") }

// newPairOnly opens a pair and a simulated Slack, and writes the bot's file,
// but runs no bot and no load.
func newPairOnly(t *testing.T) *world {
	t.Helper()
	w := newClosed(t)
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack} {
		w.must(step(w.ctx()))
	}
	_, err := w.writeConfig()
	w.must(err)
	return w
}

// looked runs status or verify and decodes what it printed.
func (w *world) looked(args ...string) (code int, rep actions.Report, errOut string) {
	w.t.Helper()
	code, out, errOut := runMain(w.t, append(args, "-c", w.configPath(), "-o", "json")...)
	var reports []actions.Report
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 {
		w.t.Fatalf("%v printed no report (%v): %s%s", args, err, out, errOut)
	}
	return code, reports[0], errOut
}

func TestLooksWithoutABot(t *testing.T) {
	t.Parallel()
	w := newPairOnly(t)
	code, rep, errOut := w.looked("verify", "orders")
	if code != 0 || rep.Verdict.Primary != "dc1" || rep.Verdict.Standby != "dc2" {
		t.Errorf("exit code %d, %s → %s: %s", code, rep.Verdict.Primary, rep.Verdict.Standby, rep.Verdict.Headline)
	}
	if rep.Verdict.Loss != actions.LossUnproven || !strings.Contains(rep.Verdict.Headline, "without the bot's store") {
		t.Errorf("without a store nothing can be proven, but it says %q", rep.Verdict.Headline)
	}
	if !strings.Contains(errOut, "no bot answers") {
		t.Errorf("it doesn't say that no bot answers: %q", errOut)
	}
	for _, format := range []string{"table", "yaml", "tsv"} {
		code, out, errOut := runMain(t, "status", "-c", w.configPath(), "-o", format)
		if code != 0 || !containsAll(out, []string{"dc1", "dc2", "primary", "standby"}) {
			t.Errorf("-o %s: exit code %d\n%s%s", format, code, out, errOut)
		}
	}
}

func TestLooksThroughTheBot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	code, rep, errOut := w.looked("verify")
	if code != 0 || rep.Verdict.Loss != actions.LossNone || errOut != "" {
		t.Errorf("exit code %d, loss %s, stderr %q", code, rep.Verdict.Loss, errOut)
	}
	code, _, errText := runMain(t, "status", "nowhere", "-c", w.configPath())
	if code != 1 || !strings.Contains(errText, `There is no pair "nowhere". There is: orders.`) {
		t.Errorf("exit code %d: %s", code, errText)
	}
	info, err := os.Stat(filepath.Join(w.pair.Dir, "admin.sock"))
	w.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may open the admin socket: %s", info.Mode())
	}
}

// TestOneNodeThatDoesNotAnswer never hides what the other one says.
func TestOneNodeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func(*world)
		reach  actions.Reach
		health actions.Health
		node   string
	}{
		{"a standby that hangs", func(w *world) { w.must(w.pair.Node("dc2").Server.Freeze(w.ctx())) }, actions.Silent, actions.HealthHalfSeen, "dc2"},
		{"a standby that is down", func(w *world) { w.must(w.pair.Node("dc2").Server.Kill(w.ctx())) }, actions.Unreachable, actions.HealthBlocked, "dc2"},
		{"a primary that hangs", func(w *world) { w.must(w.pair.Node("dc1").Server.Freeze(w.ctx())) }, actions.Silent, actions.HealthPrimaryGone, "dc1"},
		{"a primary that is down", func(w *world) { w.must(w.pair.Node("dc1").Server.Kill(w.ctx())) }, actions.Unreachable, actions.HealthPrimaryGone, "dc1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newPairOnly(t)
			c.damage(w)
			code, rep, _ := w.looked("status")
			o := rep.Evidence.Observation(c.node)
			if o.Failure == nil || o.Failure.Reach != c.reach {
				t.Errorf("%s: %+v, want %s", c.node, o.Failure, c.reach)
			}
			other := rep.Evidence.Observation(rep.Evidence.Pair.Partner(c.node).Name)
			if other.Server == nil {
				t.Errorf("%s is not shown: %v", other.Node, other.Failure)
			}
			if rep.Verdict.Health != c.health || code == 0 {
				t.Errorf("health %q, want %q; exit code %d", rep.Verdict.Health, c.health, code)
			}
		})
	}
}

func TestStandbyOfAnotherSystem(t *testing.T) {
	t.Parallel()
	w := newPairOnly(t)
	stranger, err := sandbox.New(w.ctx(), sandbox.Options{Memory: true, Janitor: w.keeper})
	w.must(err)
	t.Cleanup(func() {
		if err := stranger.Close(); err != nil {
			t.Error(err)
		}
	})
	password, err := w.secretFile("stranger-password", stranger.BotPassword.Reveal())
	w.must(err)
	text, err := os.ReadFile(w.configPath())
	w.must(err)
	first, second, _ := strings.Cut(string(text), "- name: dc2")
	second = strings.ReplaceAll(second, fmt.Sprintf("port: %d", w.pair.Node("dc2").Port), fmt.Sprintf("port: %d", stranger.Node("dc2").Port))
	second = strings.ReplaceAll(second, filepath.Join(w.pair.Dir, "bot-password"), password)
	w.must(os.WriteFile(w.configPath(), []byte(first+"- name: dc2"+second), 0o600))
	code, rep, _ := w.looked("verify")
	if rep.Verdict.Health != actions.HealthMismatch || rep.Verdict.Possible != actions.KindAuto || code == 0 {
		t.Errorf("health %q, possible %q, exit code %d: %s", rep.Verdict.Health, rep.Verdict.Possible, code, rep.Verdict.Why)
	}
}
