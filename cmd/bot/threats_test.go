package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThreatBotKilledBetweenClickAndResult: the bot is killed, as a process,
// right before it claims the request, in the write pause, and between the record
// of the end and its message. Another goes on; every vote counts once, nothing is
// done twice, nothing is lost, and people read the end.
func TestThreatBotKilledBetweenClickAndResult(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"before journal claim", "before sql dc2 SELECT pg_promote", "after journal end"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			plannedBlock.playWithDeath(t, moment)
		})
	}
}

// TestThreatTwoBotsOnOneStore: a second bot never starts on a store that the
// first one has, by whichever name the file is known to it.
func TestThreatTwoBotsOnOneStore(t *testing.T) {
	t.Parallel()
	dir, second := t.TempDir(), t.TempDir()
	write := func(path, text string) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := filepath.Join(dir, "twokey.db")
	first := startProgram(t, "serve", "-c", write(filepath.Join(dir, "twokey.yaml"), sampleText(t, dir)))
	first.await(`"ready"`)
	for name, link := range map[string]func(string, string) error{
		"its own path": nil, "a symbolic link": os.Symlink, "a second name": os.Link,
	} {
		path := file
		if link != nil {
			path = filepath.Join(second, strings.ReplaceAll(name, " ", "-")+".db")
			if err := link(file, path); err != nil {
				t.Fatal(err)
			}
		}
		text := strings.Replace(sampleText(t, second), filepath.Join(second, "twokey.db"), path, 1)
		code, _, errOut := runMain(t, "serve", "-c", write(filepath.Join(second, "twokey.yaml"), text))
		if code != 1 || !strings.Contains(errOut, "in use by another bot") {
			t.Errorf("by %s: exit code %d: %s", name, code, errOut)
		}
	}
}
