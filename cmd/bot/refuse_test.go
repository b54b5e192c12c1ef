package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twokey/config"
	"twokey/store"
)

// TestServeRefusesToStart in one clear sentence, before anything listens.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, text string, dir string) string
		words []string
	}{
		{"a key that doesn't exist", replace("listen:", "lisen:"), []string{"twokey.yaml:", "lisen"}},
		{"two approvers, one of them the requester", dropLines("dba-2", "manager"), []string{"approvers", "2"}},
		{"an approver that is no id", replace("U0DBA00001", "dba.one"), []string{"slack", "id"}},
		{"one account for two approvers", replace("U0DBA00001", "U0DBA00002"), []string{"U0DBA00002"}},
		{"both nodes the same server", samePort, []string{"same"}},
		{"an expiry of nothing", replace("expiry: 15m", "expiry: 0s"), []string{"expiry"}},
		{"a secret that is not there", replace("slack-token", "slack-tokens"), []string{"slack.token", "no such file"}},
		{"a store that is a text file", spoilStore("hello, I am a text\n"), []string{"twokey.db", "not a"}},
		{"a store in a folder that doesn't exist", replace("twokey.db", "nowhere/twokey.db"), []string{"nowhere"}},
		{"a store that another bot has open", lockStore, []string{"another bot", "twokey.db"}},
		{"an admin socket that is a file of somebody's", replace("admin.sock", "bot-password"), []string{"admin_socket", "no socket"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "twokey.yaml")
			text := c.spoil(t, sampleText(t, dir), dir)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := runMain(t, "serve", "-c", path)
			if code != 1 || out != "" || !containsAll(errOut, c.words) {
				t.Errorf("exit code %d, stdout %q, stderr %q; wanted the words %q", code, out, errOut, c.words)
			}
			if strings.Contains(errOut, "goroutine") || strings.Contains(errOut, "xoxb-secret") {
				t.Errorf("a stack or a secret is shown: %s", errOut)
			}
		})
	}
}

// sampleText is a configuration that would start, with everything in dir.
func sampleText(t *testing.T, dir string) string {
	t.Helper()
	for name, value := range map[string]string{"slack-token": "xoxb-secret", "signing-secret": "shh", "bot-password": "shh"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `slack:
  team: T0TWOKEY01
  channel: C0OPS00001
  api_url: http://127.0.0.1:1/api/
  token: {file: "DIR/slack-token"}
  signing_secret: {file: "DIR/signing-secret"}
listen: 127.0.0.1:0
store: "DIR/twokey.db"
admin_socket: "DIR/admin.sock"
policy:
  approvers:
    - {name: dba-1, slack: U0DBA00001}
    - {name: dba-2, slack: U0DBA00002}
    - {name: manager, slack: U0MANAGER1}
    - {name: oncall, slack: U0ONCALL01}
  expiry: 15m
pairs:
  - name: orders
    database: orders
    nodes:
      - {name: dc1, host: 127.0.0.1, port: 54321, password: {file: "DIR/bot-password"}}
      - {name: dc2, host: 127.0.0.1, port: 54322, password: {file: "DIR/bot-password"}}
`
	text = strings.ReplaceAll(text, "DIR", dir)
	if _, err := config.Parse([]byte(text), "sample"); err != nil {
		t.Fatalf("the sample must be fine before it is spoiled: %v", err)
	}
	return text
}

type spoiler = func(t *testing.T, text, dir string) string

func replace(old, with string) spoiler {
	return func(t *testing.T, text, _ string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the sample", old)
		}
		return strings.ReplaceAll(text, old, with)
	}
}

func dropLines(words ...string) spoiler {
	return func(_ *testing.T, text, _ string) string {
		var kept []string
		for _, line := range strings.Split(text, "\n") {
			if !containsAny(line, words) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
}

func containsAny(line string, words []string) bool {
	for _, word := range words {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

func samePort(_ *testing.T, text, _ string) string {
	return strings.ReplaceAll(text, "54322", "54321")
}

func spoilStore(content string) spoiler {
	return func(t *testing.T, text, dir string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "twokey.db"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return text
	}
}

func lockStore(t *testing.T, text, dir string) string {
	t.Helper()
	s, err := store.Open(filepath.Join(dir, "twokey.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return text
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		code int
		out  []string
		err  []string
	}{
		{"no command shows the commands", nil, 0, []string{"serve", "demo", "status", "verify", "completion"}, nil},
		{"an unknown command gets a suggestion", []string{"stauts"}, 1, nil, []string{"stauts", "status"}},
		{"a missing --config says how to get one", []string{"status"}, 1, nil, []string{"--config", "config sample"}},
		{"an unknown format lists the known ones", []string{"status", "-o", "xml"}, 1, nil, []string{"xml", "json"}},
		{"a file that is not there", []string{"config", "check", "/nonexistent.yaml"}, 1, nil, []string{"/nonexistent.yaml"}},
		{"the sample is YAML to start from", []string{"config", "sample"}, 0, []string{"slack:", "pairs:", "#"}, nil},
		{"the schema is JSON", []string{"config", "schema"}, 0, []string{`"$schema"`, `"pairs"`}, nil},
		{"the version", []string{"version"}, 0, []string{"twokey", "go1."}, nil},
		{"completion for a shell", []string{"completion", "bash"}, 0, []string{"__start_bot"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := runMain(t, c.args...)
			if code != c.code || !containsAll(out, c.out) || !containsAll(errOut, c.err) {
				t.Errorf("exit code %d\nstdout: %s\nstderr: %s", code, out, errOut)
			}
		})
	}
}
