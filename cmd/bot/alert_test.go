package main

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/bot/slacksim"
)

// TestAlertOnChangeAndRecovery: a standby that goes away is told once, however
// often the pair is looked at, and so is its return.
func TestAlertOnChangeAndRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.sweeps = "@every 1s" })
	w.health(actions.HealthOK)
	standby := w.pair.Node("dc2").Server
	w.must(standby.Kill(w.ctx()))
	w.shown("orders", "writes block")
	for range 3 { // the scheduled sweeps go on beside these
		w.service.watch.Sweep(w.ctx())
	}
	_, err := standby.Start(w.ctx())
	w.must(err)
	w.must(standby.WaitReady(w.ctx()))
	w.health(actions.HealthOK)
	w.service.watch.Sweep(w.ctx())
	w.shown("orders", "synchronous again")

	alerts, recoveries := 0, 0
	snapshot := w.slack.Snapshot()
	for _, m := range snapshot.Messages(opsChannel) {
		switch text := snapshot.Plain(m, time.Now()); {
		case strings.Contains(text, "synchronous again"):
			recoveries++
		case strings.Contains(text, "writes block"):
			alerts++
		}
	}
	if alerts != 1 || recoveries != 1 {
		t.Errorf("%d alerts and %d recoveries were posted, want one each", alerts, recoveries)
	}
	samples, err := w.service.store.Samples(w.ctx(), w.pair.Name, time.Time{})
	w.must(err)
	if len(samples) < 4 {
		t.Errorf("%d samples of the sweeps are kept, want one for each", len(samples))
	}
	w.noLoss()
}

// TestHealthReportIsPosted when its time comes.
func TestHealthReportIsPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.flags.scripted = true }) // reports every few seconds
	w.must(w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			if strings.Contains(m.Text, "Health report") && strings.Contains(m.Text, "orders") {
				return true
			}
		}
		return false
	}))
}
