package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigCheckLooksForWhatIsNamed: a file that the bot would not start with
// must not be called fine, and the answer names the key, not the environment.
func TestConfigCheckLooksForWhatIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, driver string
		code         int
		words        []string
	}{
		{"no driver at all is fine", "", 0, nil},
		{"programs in a folder that doesn't exist", `programs: /nonexistent, data_dir: /nonexistent/data, log_file: /nonexistent/log`, 1,
			[]string{"pair orders, node dc1", "programs: /nonexistent", "leave it out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := sampleText(t, dir)
			if c.driver != "" {
				text = strings.Replace(text, "port: 54321,", "port: 54321, driver: {local: {"+c.driver+", replication: {passfile: "+filepath.Join(dir, "bot-password")+", sslmode: disable}}},", 1)
			}
			path := filepath.Join(dir, "twokey.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := runMain(t, "config", "check", path)
			if code != c.code || !containsAll(errOut, c.words) || strings.Contains(errOut, "TWOKEY_PGBIN") {
				t.Errorf("exit code %d, wanted %d\nstdout: %s\nstderr: %s\nwanted the words %q", code, c.code, out, errOut, c.words)
			}
			if code, out, errOut := runMain(t, "config", "check", "--elsewhere", path); code != 0 || !strings.Contains(out, "is well written") {
				t.Errorf("for a bot elsewhere: exit code %d: %s%s", code, out, errOut)
			}
		})
	}
}
