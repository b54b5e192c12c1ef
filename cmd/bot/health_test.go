package main

import (
	"os"
	"strings"
	"testing"
)

// TestHealth asks a bot that runs, and then one that doesn't.
func TestHealth(t *testing.T) {
	t.Parallel()
	w := newClosed(t)
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack} {
		w.must(step(w.ctx()))
	}
	path, err := w.writeConfig()
	w.must(err)
	served := startProgram(t, "serve", "-c", path)
	address := served.await(`"ready","listen":"([^"]+)"`)
	raw, err := os.ReadFile(path)
	w.must(err)
	with := path + ".here.yaml"
	w.must(os.WriteFile(with, []byte(strings.Replace(string(raw), "listen: 127.0.0.1:0", "listen: "+address, 1)), 0o600))

	for _, args := range [][]string{{"health", "-c", with}, {"health", "--ready", "-c", with}} {
		if code, _, errOut := runMain(t, args...); code != 0 {
			t.Errorf("%v: %d %s", args, code, errOut)
		}
	}
	w.must(served.cmd.Process.Kill())
	_ = served.ended() // killed: that is an error, as meant
	if code, _, errOut := runMain(t, "health", "-c", with); code != 1 || !strings.Contains(errOut, "is `bot serve` running") {
		t.Errorf("without a bot: %d %s", code, errOut)
	}
	if code, _, errOut := runMain(t, "health"); code != 1 || !strings.Contains(errOut, "--config") {
		t.Errorf("without a file: %d %s", code, errOut)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", ":8080": "localhost:8080", "0.0.0.0:8080": "localhost:8080",
		"[::]:8080": "localhost:8080", "bot.example.com:80": "bot.example.com:80",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s is asked at %s, want %s", listen, got, want)
		}
	}
}
