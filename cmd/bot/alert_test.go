package main

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/bot/slacksim"
)

// TestAlertOnChangeAndRecovery: a standby that goes away is told once, however
// often the pair is looked at, and its return closes the same incident.
func TestAlertOnChangeAndRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.sweeps = "@every 1s" })
	w.health(actions.HealthOK)
	standby := w.pair.Node("dc2").Server
	w.must(standby.Kill(w.ctx()))
	w.shown("🚨 orders: writes block", "docs/alerts.md#writes-block")
	for range 3 { // the scheduled sweeps go on beside these
		w.service.watch.Sweep(w.ctx())
	}
	_, err := standby.Start(w.ctx())
	w.must(err)
	w.must(standby.WaitReady(w.ctx()))
	w.health(actions.HealthOK)
	w.service.watch.Sweep(w.ctx())
	w.shown("✅ orders: over after", "Now: synchronous", "writes block: from")
	w.must(w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool { return len(s.Messages(opsChannel)) > 1 }))
	all := w.slack.Messages(opsChannel)
	if len(all) != 2 || !strings.Contains(all[1].Text, "Commits on dc1 wait for dc2") || all[1].ThreadTS != all[0].TS || !all[1].Broadcast {
		t.Errorf("want one message for the incident and its end in the thread, shown in the channel:\n%s", w.slack.Transcript())
	}
	samples, err := w.service.store.Samples(w.ctx(), w.pair.Name, time.Time{})
	w.must(err)
	if len(samples) < 4 {
		t.Errorf("%d samples of the sweeps are kept, want one for each", len(samples))
	}
	w.noLoss()
}

// TestGuaranteeOffIsTheGravest: names that somebody empties are told at once, and
// the incident lasts until it is shown that commits wait again.
func TestGuaranteeOffIsTheGravest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *demo) { d.sweeps = "@every 1s" })
	w.health(actions.HealthOK)
	w.onNode("dc1", "ALTER SYSTEM SET synchronous_standby_names = ''")
	w.onNode("dc1", "SELECT pg_reload_conf()")
	w.shown("🚨 orders: zero-loss guarantee off", "acknowledges writes that may be on no standby")
	w.onNode("dc1", "ALTER SYSTEM SET synchronous_standby_names = 'dc2'")
	w.onNode("dc1", "SELECT pg_reload_conf()")
	w.shown("✅ orders: over after", "zero-loss guarantee off: from")
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
