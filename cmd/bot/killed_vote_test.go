package main

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/bot/slacksim"
)

// TestKilledWhilePeopleVote: the bot is killed, as a process, within moments of a
// press, at a moment that is drawn. What it had acknowledged counts; what it had not
// can be pressed again; and in the end the channel has the request once, its result
// once, and one primary with every acknowledged row.
func TestKilledWhilePeopleVote(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	w, restart := newServed(t)
	w.must(w.load.Until(w.ctx(), 50))
	w.command(oncall, "verify", "proven")
	ts := w.ask("switchover orders -- the bot will be killed while people vote")
	for who, name := range map[string]string{dba1: "dba-1", dba2: "dba-2"} {
		for most := 20; w.votes(name) == 0; most *= 2 { // in the end the bot lives long enough
			taken := w.pressAndKill(who, ts, time.Duration(draw.IntN(most))*time.Millisecond, restart)
			t.Logf("the press of %s: acknowledged %t, %d votes", name, taken, w.votes(name))
			if taken && w.votes(name) == 0 {
				t.Fatalf("the press of %s was acknowledged, and does not count", name)
			}
		}
	}
	w.message(ts, "Switchover of orders: done", "Switchover of orders: aborted", "Switchover of orders: taken back", "no longer fits")
	w.shown("For oncall")
	w.command(oncall, "status", "synchronous")
	for words, want := range map[string]int{"the bot will be killed while people vote": 1, "For oncall": 1} {
		n := 0
		for _, m := range w.slack.Messages(opsChannel) {
			if m.Mine() && strings.Contains(w.slack.Plain(m), words) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d messages with %q:\n%s", n, words, w.slack.Transcript())
		}
	}
	if w.votes("dba-1") != 1 || w.votes("dba-2") != 1 {
		t.Errorf("%d and %d votes", w.votes("dba-1"), w.votes("dba-2"))
	}
	w.noLoss()
}

// pressAndKill presses Approve, kills the bot a moment later, starts another one,
// and says whether the press had been acknowledged.
func (w *world) pressAndKill(who, ts string, after time.Duration, restart func()) (taken bool) {
	w.t.Helper()
	var pressing sync.WaitGroup
	var d slacksim.Delivery
	var err error
	pressing.Go(func() { d, err = w.slack.Press(w.ctx(), who, opsChannel, ts, "approve") })
	time.Sleep(after) // the moment is what is drawn
	restart()
	pressing.Wait()
	w.must(err)
	return d.Acknowledged()
}

// votes counts a person's approvals in the audit log of the running bot.
func (w *world) votes(who string) int {
	w.t.Helper()
	code, out, errOut := runMain(w.t, "audit", "export", "-c", w.configPath())
	if code != 0 {
		w.t.Fatalf("no audit log: %s", errOut)
	}
	n := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"kind":"approve"`) && strings.Contains(line, `"actor":"`+who+`"`) {
			n++
		}
	}
	return n
}
