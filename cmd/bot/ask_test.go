package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/approvals"
	"twokey/sql"
)

// TestAskOverTheSocket: a request that was opened on the bot's machine is a
// request like any other: posted in the channel, approved by two, of whom the
// requester is none.
func TestAskOverTheSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	code, out, errOut := runMain(t, "switchover", "orders", "-c", w.configPath(), "--as", "dba-1", "--reason", "kernel upgrade", "--dry-run")
	if code != 0 || !containsAll(out, []string{"plan: switchover of pair orders, from dc1 to dc2", "Nobody was asked."}) {
		t.Errorf("dry run: exit code %d\n%s%s", code, out, errOut)
	}
	if open, err := w.service.desk.Open(w.ctx()); err != nil || len(open) > 0 {
		t.Fatalf("a dry run has opened %v (%v)", open, err)
	}
	code, out, errOut = runMain(t, "failover", "-c", w.configPath(), "--as", "dba-1", "--reason", "kernel upgrade")
	if code != 0 || !containsAll(out, []string{"Asked for a switchover of orders, from dc1 to dc2. Nothing was done yet.", "/archives/C0OPS00001/p", "2 of dba-2, manager, oncall, until"}) {
		t.Fatalf("exit code %d\n%s%s", code, out, errOut)
	}
	ts, err := w.requestMessage(w.ctx())
	w.must(err)
	w.shown("0 of 2 approvals", "kernel upgrade", "dba-1")
	w.must(w.refused(w.ctx(), dba1, ts, "You asked for this"))
	code, _, errOut = runMain(t, "failover", "orders", "-c", w.configPath(), "--as", "dba-2")
	if code != 1 || !strings.Contains(errOut, "open") {
		t.Errorf("a second one: exit code %d: %s", code, errOut)
	}
	w.press(dba2, ts, "approve")
	w.press("U0MANAGER1", ts, "approve")
	if r, _ := w.ended(); r.State != approvals.Succeeded || r.Requester != "dba-1" || r.Reason != "kernel upgrade" {
		t.Errorf("ended %s, asked by %s because of %q: %s", r.State, r.Requester, r.Reason, r.Why)
	}
	w.noLoss()
}

// TestRecipesOverTheSocket: insert-test and verify-data without Slack.
func TestRecipesOverTheSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.health(actions.HealthOK)
	code, out, errOut := runMain(t, "insert-test", "-c", w.configPath(), "--as", "U0ONCALL01", "-o", "json")
	var row inserted
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 || row.Node != "dc1" || row.Row.ID != 1 {
		t.Errorf("insert-test: exit code %d, %+v (%v) %s", code, row, err, errOut)
	}
	code, out, errOut = runMain(t, "verify-data", "orders", "-c", w.configPath())
	if code != 0 || !containsAll(out, []string{"orders: dc1 and dc2 hold the same rows.", "twokey.insert_test  1    1    same"}) {
		t.Errorf("verify-data: exit code %d\n%s%s", code, out, errOut)
	}
	w.exec("dc2", "SELECT pg_wal_replay_pause()")
	code, _, errOut = runMain(t, "insert-test", "-c", w.configPath(), "--as", "dba-1")
	if code != 0 {
		t.Errorf("insert-test: exit code %d: %s", code, errOut)
	}
	if code, out, _ = runMain(t, "verify-data", "-c", w.configPath()); code != 2 || !strings.Contains(out, "DIFFERS") {
		t.Errorf("rows that differ: exit code %d\n%s", code, out)
	}
	w.exec("dc2", "SELECT pg_wal_replay_resume()")
}

func TestAskingIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"nobody asks", "Give --as", []string{"failover"}},
		{"somebody unknown asks", `"root" is neither an approver's name nor a Slack member id`, []string{"failover", "--as", "root"}},
		{"an unknown pair", "There is no pair \"nowhere\". There is: orders.", []string{"rejoin", "nowhere", "--as", "dba-1"}},
		{"an unknown node", "has no node \"dc9\"", []string{"switchover", "--to", "dc9", "--as", "dba-1"}},
		{"an unknown format", "the formats are table, json", []string{"failover", "-o", "xml"}},
		{"nothing leads clients", "orders has no endpoint in the configuration", []string{"point"}},
		{"nobody inserts", "Give --as", []string{"insert-test"}},
	} {
		code, _, errOut := runMain(t, append(c.args, "-c", w.configPath())...)
		if code != 1 || !strings.Contains(errOut, c.want) || strings.Count(strings.TrimSpace(errOut), "\n") > 0 {
			t.Errorf("%s: exit code %d: %s", c.name, code, errOut)
		}
	}
	lonely := newPairOnly(t)
	code, _, errOut := runMain(t, "failover", "--as", "dba-1", "-c", lonely.configPath())
	if code != 1 || !containsAll(errOut, []string{"no bot answers on its admin socket", "run this where the bot runs"}) {
		t.Errorf("without a bot: exit code %d: %s", code, errOut)
	}
}

func TestInstallCopiesTheProgram(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "bot")
	for range 2 { // also over a program that is there
		if code, _, errOut := runMain(t, "install", to); code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(to)
	if err != nil || got.Size() != want.Size() || got.Mode().Perm() != 0o755 {
		t.Errorf("%v (%v), want %d bytes", got, err, want.Size())
	}
	if left, _ := os.ReadDir(filepath.Dir(to)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if code, _, errOut := runMain(t, "install", filepath.Join(to, "x")); code != 1 || !strings.Contains(errOut, "write "+to) {
		t.Errorf("where no file can be: exit code %d: %s", code, errOut)
	}
}

// TestPrintedScriptsAreTheProgramsOwn: what the recipes give psql.
func TestPrintedScriptsAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"TWOKEY_BOT_PASSWORD": "hunter2-planted"}
	text, err := scriptOf("setup", sql.Params{Slots: []string{"twokey_dc2"}}, func(name string) string { return environment[name] })
	if err != nil || !strings.HasSuffix(text, sql.Setup()) || strings.Contains(text, "hunter2") || strings.Count(text, "'SCRAM-SHA-256$4096:") != 1 {
		t.Errorf("setup: %v\n%.600s", err, text)
	}
	if !strings.HasPrefix(text, "SET log_statement = 'none'") || !strings.Contains(text, "SET twokey.slots = 'twokey_dc2'") {
		t.Errorf("setup begins with %.300s", text)
	}
	for name, want := range map[string]string{"schema": sql.Schema(), "sample": sql.Sample(), "verify": sql.Verify()} {
		if code, out, errOut := runMain(t, "sql", name); code != 0 || out != want {
			t.Errorf("%s: exit code %d: %s", name, code, errOut)
		}
	}
	if code, _, errOut := runMain(t, "sql", "nothing"); code != 1 || !strings.Contains(errOut, "there are: setup, application") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	_, err = scriptOf("setup", sql.Params{}, func(string) string { return "größe" })
	if err == nil {
		t.Error("a password that clients would normalise is taken")
	}
}
