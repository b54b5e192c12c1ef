package main

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"twokey/actions"
	"twokey/approvals"
)

// resumeAll makes TestBotDies kill the bot at every moment of every drama
// instead of some telling ones, TestStepFails let every step fail, and
// TestBotThatSlept sleep everywhere:
//
//	go test ./cmd/bot -run 'TestBotDies|TestStepFails|TestBotThatSlept' -timeout 2h -parallel 4 -resume.all
var resumeAll = flag.Bool("resume.all", false, "kill the bot at every moment, not only at some telling ones")

// degrades makes a switchover end with a primary that takes writes alone.
func degrades(d *demo) { d.settings = "    after_switchover: degrade\n" }

// loses kills the primary.
func loses(w *world) {
	w.t.Helper()
	w.loses("dc1")
}

// leaves makes a pair whose second node was promoted by hand, so that the
// first one has to rejoin.
func leaves(w *world) {
	w.t.Helper()
	loses(w)
	w.exec("dc2", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "SELECT pg_promote()")
}

var (
	plannedBlock   = drama{name: "switchover that blocks", kind: actions.KindSwitchover, ask: "switchover orders -- maintenance"}
	plannedDegrade = drama{name: "switchover that degrades", kind: actions.KindSwitchover, ask: "switchover orders -- maintenance", edit: degrades}
	disaster       = drama{name: "failover", kind: actions.KindFailover, ask: "failover orders -- dc1 is gone", begin: loses}
	unfenced       = drama{name: "failover that is held", kind: actions.KindFailover, ask: "failover orders -- dc1 is gone", begin: loses,
		edit: func(d *demo) { d.noDriver = "dc1" }}
	rejoining = drama{name: "rejoin", kind: actions.KindRejoin, ask: "rejoin orders", begin: leaves}
	takenBack = drama{name: "switchover that is taken back", kind: actions.KindSwitchover, ask: "switchover orders -- maintenance", fail: "after step gate dc2"}
	dramas    = []drama{plannedBlock, plannedDegrade, disaster, unfenced, rejoining, takenBack}
)

// telling are the moments that a plain run kills the bot at: before and after
// what can't be done twice, between two statements of one step, between the
// record of the end and its message.
var telling = map[string][]string{
	plannedBlock.name: {
		"after sql dc2 SELECT twokey.ensure_slot", "before machine dc1 stop", "after journal intent promote dc2",
		"before sql dc2 SELECT pg_promote", "after sql dc2 SELECT pg_promote", "after journal end",
	},
	plannedDegrade.name: {"before sql dc2 SELECT pg_reload_conf", "before sql dc2 SELECT pg_reload_conf (2)"},
	disaster.name: {
		"before sql dc2 SELECT pg_reload_conf", "after machine dc1 off", "after sql dc2 SELECT pg_promote", "before machine dc1 rejoin",
	},
	unfenced.name:  {"before step freeze dc2", "after step promote dc2"},
	rejoining.name: {"before machine dc1 rejoin", "after journal note rejoin dc1"},
	takenBack.name: {"before machine dc1 stop hard", "before machine dc1 start"},
}

// TestBotDies: the bot is killed at a moment, another goes on from its store.
// The request comes to an end, that end is as people read it, no acknowledged
// row is lost, and there is one working primary or a list of what to do.
func TestBotDies(t *testing.T) {
	t.Parallel()
	for _, d := range dramas {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			moments := halved(t, telling[d.name])
			if *resumeAll {
				moments = d.scribe(t)
				t.Logf("%d moments", len(moments))
			}
			for _, m := range moments {
				t.Run(m, func(t *testing.T) {
					t.Parallel()
					d.playWithDeath(t, m)
				})
			}
		})
	}
}

func (d drama) playWithDeath(t *testing.T, moment string) {
	t.Helper()
	e := d.play(t, dieAt+"="+moment)
	if !e.died && !*resumeAll { // of all moments a few lie on ways that are not always taken
		t.Errorf("the bot never came to this moment")
	}
	e.judge()
	t.Logf("died %t, ended %s, left to do: %q", e.died, e.request.State, e.outcome.Todo)
}

// failing are the moments at which a plain run lets a step fail.
var failing = map[string][]string{
	plannedBlock.name: {
		"after step stop dc1", "before step follow dc1", "before step promote dc2", "after step promote dc2", "before step tidy dc1",
	},
	plannedDegrade.name: {"after step prepare dc2", "after step gate dc2"},
	disaster.name:       {"after step freeze dc2", "before step fence dc1", "after step promote dc2"},
	rejoining.name:      {"before step rejoin dc1"},
}

// TestStepFails: a step fails, before it did anything or after it did all.
// Before the promotion everything is taken back, after it nothing is.
func TestStepFails(t *testing.T) {
	t.Parallel()
	for _, d := range []drama{plannedBlock, plannedDegrade, disaster, rejoining} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			moments := halved(t, failing[d.name])
			if *resumeAll {
				moments = slices.DeleteFunc(d.scribe(t), func(m string) bool { return !strings.Contains(m, " step ") })
			}
			for _, m := range moments {
				t.Run(m, func(t *testing.T) {
					t.Parallel()
					d.playWithFailure(t, m)
				})
			}
		})
	}
}

func (d drama) playWithFailure(t *testing.T, moment string) {
	t.Helper()
	d.fail = moment
	e := d.play(t)
	e.judge()
	t.Logf("ended %s, left to do: %q", e.request.State, e.outcome.Todo)
	if d.kind == actions.KindRejoin {
		return
	}
	promoted := !e.serverState("dc2").standby
	switch state := e.request.State; {
	case state == approvals.Aborted && promoted, state == approvals.Succeeded && !promoted:
		t.Errorf("ended %s, and dc2 is promoted: %t", state, promoted)
	case state == approvals.Unknown && !promoted && strings.Contains(strings.Join(e.outcome.Todo, " "), "promote it yourself (SELECT pg_promote())"):
		e.exec("dc2", "SELECT pg_promote()") // as people are told
		e.noLoss()
	}
}
