package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/actions/vultr/vultrfake"
	"twokey/approvals"
	"twokey/config"
	"twokey/secret"
)

const (
	vultrKey      = "PLANTEDKEY7HUNTER2"
	vultrInstance = "cb676a46-66fd-4dfb-b839-443f2e6c0b60"
	vultrRecord   = "b92f4771-d8cd-480a-b6e6-a14ca31ea2ca"
)

func newVultr(t *testing.T) *vultrfake.Server {
	t.Helper()
	fake := vultrfake.New(vultrKey)
	t.Cleanup(fake.Close)
	fake.AddInstance(vultrInstance, "dc1", "atl")
	fake.AddRecord("example.com", vultrRecord, "A", "db", "192.0.2.1", 60)
	return fake
}

// TestFailoverFencedThroughVultr: the old primary hangs, with its sessions; its
// machine is halted through the API, that is read back, and dc2 is promoted.
func TestFailoverFencedThroughVultr(t *testing.T) {
	t.Parallel()
	fake := newVultr(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(vultrKey), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(d *demo) {
		d.timeouts = fmt.Sprintf("timeouts: {observe: 1s}\nvultr: {api_key: {file: %q}, api_url: %q}\n", key, fake.URL)
		d.drivers = map[string]string{"dc1": "        driver: {vultr: {instance: " + vultrInstance + "}, fence: [vultr]}\n"}
	})
	dc1 := w.pair.Node("dc1").Server
	fake.OnPower(vultrInstance, func(power string) {
		if power == vultrfake.Stopped {
			if err := dc1.Kill(context.Background()); err != nil {
				t.Errorf("the power cut: %v", err)
			}
		}
	})
	w.health(actions.HealthOK)
	w.must(w.load.Until(w.ctx(), 100))
	w.must(dc1.Freeze(w.ctx()))

	ts := w.ask("failover orders -- dc1 hangs")
	if asked := w.request(func(approvals.Request) bool { return true }).Subject.Text; !strings.Contains(asked, "fence dc1: vultr (halts Vultr instance "+vultrInstance) {
		t.Errorf("the plan doesn't say how dc1 is fenced:\n%s", asked)
	}
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")

	// Loss is not excluded: a server that hangs is seen to lose its standby only
	// later. Somebody takes that on, and only then dc1 is fenced.
	held := w.request(in(approvals.Held))
	if !strings.Contains(held.OpenPause().Question, "then dc1 is fenced and dc2 promoted") || fake.Count(vultrfake.Halt) != 0 {
		t.Errorf("the question is %q", held.OpenPause().Question)
	}
	_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: "dba-1", Place: held.Place}, approvals.Accept, "orders")
	w.must(err)
	r, out := w.ended()
	if r.State != approvals.Succeeded || out.Clearance != actions.ClearOff || out.NewPrimary != "dc2" {
		t.Fatalf("ended %s, promoted %q on %q: %s", r.State, out.NewPrimary, out.Clearance, r.Why)
	}
	if !strings.Contains(out.Proof, "dc1 is off (vultr (halts Vultr instance "+vultrInstance) || !strings.Contains(out.Proof, "read back 3 times") {
		t.Errorf("the proof is %q", out.Proof)
	}
	if fake.Count(vultrfake.Halt) != 1 || fake.Power(vultrInstance) != vultrfake.Stopped {
		t.Errorf("asked %q, the power is %s", fake.Asked(), fake.Power(vultrInstance))
	}
	if len(out.Todo) != 1 || !strings.Contains(out.Todo[0], "no driver can start dc1") {
		t.Errorf("left to do: %q", out.Todo)
	}
	w.noLoss()
	if strings.Contains(w.slack.Transcript()+r.Subject.Text+string(r.Outcome), vultrKey) {
		t.Error("the key is shown")
	}
}

// A fence whose platform refuses is a person's business, and says why.
func TestFailoverIsHeldWhenVultrRefuses(t *testing.T) {
	t.Parallel()
	fake := newVultr(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(vultrKey+"OLD"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(d *demo) {
		d.timeouts = fmt.Sprintf("vultr: {api_key: {file: %q}, api_url: %q}\n", key, fake.URL)
		d.drivers = map[string]string{"dc1": "        driver: {vultr: {instance: " + vultrInstance + "}}\n"}
	})
	w.health(actions.HealthOK)
	w.loses("dc1")
	ts := w.ask("failover")
	w.press(dba1, ts, "approve")
	w.press(dba2, ts, "approve")
	held := w.request(in(approvals.Held))
	for _, words := range []string{"that dc1 is off can't be proven", "401 Unauthorized", "Check vultr.api_key"} {
		if !strings.Contains(held.OpenPause().Question, words) {
			t.Errorf("%q doesn't say %q", held.OpenPause().Question, words)
		}
	}
	if strings.Contains(held.OpenPause().Question+w.slack.Transcript(), vultrKey) {
		t.Error("the key is shown")
	}
	_, err := w.service.desk.Answer(w.ctx(), held.ID, approvals.Ballot{Person: "manager", Place: held.Place}, approvals.Refuse, "")
	w.must(err)
	if r, _ := w.ended(); r.State != approvals.Aborted {
		t.Errorf("ended %s: %s", r.State, r.Why)
	}
}

// The file's drivers become hands that reach what they name.
func TestHandsReachVultr(t *testing.T) {
	t.Parallel()
	fake, dir := newVultr(t), t.TempDir()
	text := sampleText(t, dir)
	text = strings.Replace(text, "host: 127.0.0.1, port: 54321,", "host: 192.0.2.1, driver: {vultr: {instance: "+vultrInstance+"}},", 1)
	text = strings.Replace(text, "host: 127.0.0.1, port: 54322,", "host: 192.0.2.2,", 1)
	text = strings.Replace(text, "    nodes:", "    endpoint: {vultr: {domain: example.com, record: "+vultrRecord+", name: db}}\n    nodes:", 1)
	cfg, err := config.Parse([]byte(text+"vultr: {api_key: {env: KEY}, api_url: \""+fake.URL+"\"}\n"), "twokey.yaml")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := cfg.Secrets(func(string) (string, bool) { return vultrKey, true })
	if err != nil {
		t.Fatal(err)
	}
	hands, closeAll, err := handsOf(cfg, secrets, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	h := hands["orders"]
	if power, err := h.Fencers["dc1"].Read(t.Context()); power != actions.PowerOn || err != nil {
		t.Errorf("dc1 is %s, %v", power, err)
	}
	if h.Fencers["dc2"] != nil || len(h.Machines) > 0 || len(h.Endpoints) != 1 {
		t.Errorf("hands %+v", h)
	}
	if err := h.Endpoints[0].Point(t.Context(), "dc2"); err != nil {
		t.Error(err)
	}
	if data, _ := fake.Record("example.com", vultrRecord); data != "192.0.2.2" {
		t.Errorf("the record holds %s", data)
	}
	secrets.VultrKey = secret.Text{}
	if _, _, err := handsOf(cfg, secrets, nil); err == nil || !strings.Contains(err.Error(), "API key is empty") {
		t.Errorf("without a key: %v", err)
	}
}
