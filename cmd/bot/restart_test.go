package main

import (
	"os"
	"strings"
	"testing"

	"twokey/bot/slacksim"
)

// newServed opens a world whose bot is `bot serve` in a process of its own.
func newServed(t *testing.T) (w *world, restart func()) {
	t.Helper()
	return newServedAs(t, func(text string) string { return text })
}

// newServedAs is newServed with another configuration.
func newServedAs(t *testing.T, edit func(string) string) (w *world, restart func()) {
	t.Helper()
	w = newClosed(t)
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack, w.openLoad} {
		w.must(step(w.ctx()))
	}
	path, err := w.writeConfig()
	w.must(err)
	text, err := os.ReadFile(path)
	w.must(err)
	w.must(os.WriteFile(path, []byte(edit(string(text))), 0o600))
	var served *program
	restart = func() {
		t.Helper()
		if served != nil {
			w.must(served.cmd.Process.Kill())
			_ = served.ended() // killed: that is an error, as meant
		}
		served = startProgram(t, "serve", "-c", path)
		w.slack.SetRequestURL("http://" + served.await(`"ready","listen":"([^"]+)"`))
	}
	restart()
	return w, restart
}

// TestKilledInEveryState: whatever the bot was doing when it was killed, its
// next run goes on from the store, every vote counts once, and the pair ends
// with one primary that has every acknowledged row.
func TestKilledInEveryState(t *testing.T) {
	t.Parallel()
	w, restart := newServed(t)
	w.must(w.load.Until(w.ctx(), 50))
	w.command(oncall, "verify", "proven")

	ts := w.ask("switchover orders -- the bot will be killed")
	restart() // pending
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	restart() // partial
	w.must(w.refused(w.ctx(), dba1, ts, "approved this request already"))
	w.press(dba2, ts, "approve")
	restart() // the press was acknowledged, so it counts; the execution may have begun
	text := w.message(ts, "Switchover of orders: done", "Switchover of orders: aborted", "Switchover of orders: taken back", "no longer fits")

	w.command(oncall, "status", "synchronous")
	if !strings.Contains(text, "done") && !strings.Contains(text, "dc1") {
		t.Errorf("the message doesn't say who serves:\n%s", text)
	}
	w.noLoss()
}

// message waits until a message holds one of the words, and returns its text.
func (w *world) message(ts string, oneOf ...string) (text string) {
	w.t.Helper()
	err := w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			if m.TS != ts {
				continue
			}
			for _, words := range oneOf {
				if strings.Contains(m.Text, words) {
					text = m.Text
					return true
				}
			}
		}
		return false
	})
	w.must(err)
	return text
}
