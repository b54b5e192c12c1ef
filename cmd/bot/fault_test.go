package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
)

var (
	faultsAll    = flag.Bool("faults.all", false, "walk the whole matrix of faults, not only the slice")
	faultsUpdate = flag.Bool("faults.update", false, "write what was walked to docs/faults.md")
	faultsMissed = flag.Bool("faults.missing", false, "with -faults.all: only cells that have no passing result yet")
	faultsSeed   = flag.Uint64("faults.seed", 0, "seed of the random walks; 0 takes one from the clock")
	faultsRounds = flag.Int("faults.rounds", 0, "how many random walks with two faults each")
)

// TestFaults breaks what can break while a pair is switched over or failed over.
// Whatever happens: every acknowledged row is on the primary and on the standby
// that it waits for, never did two nodes acknowledge, what was posted is so, and
// following it leads to a pair that works.
//
// A plain run walks half of a slice, -faults.all everything that docs/faults.md
// lists.
func TestFaults(t *testing.T) {
	t.Parallel()
	cells := halved(t, theSlice())
	if *faultsAll {
		cells = wholeMatrix()
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(cells), func(i, k int) { cells[i], cells[k] = cells[k], cells[i] }) // a walk that is broken off has seen something of all
	}
	results := readResults(t)
	if *faultsMissed {
		cells = slices.DeleteFunc(cells, func(c cell) bool { w := results.word(c); return w != "" && w != failedWord })
	}
	if *faultsUpdate {
		t.Cleanup(func() { results.writeDoc(t) })
	}
	for _, c := range cells {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			word, begun := "", false
			t.Cleanup(func() { // the last of all
				if t.Failed() {
					word = failedWord
				}
				if *faultsUpdate && begun { // else it says nothing of the cell: a pair that didn't come up, say
					results.put(t, c, word)
				}
			})
			labelled(t, func() { word = runCell(t, c, &begun) })
			t.Log(word)
		})
	}
}

// TestRandomFaults walks combinations of two faults. Run it alone:
//
//	go test ./cmd/bot -run TestRandomFaults -faults.rounds 200 -timeout 4h
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed, rounds := *faultsSeed, *faultsRounds
	switch {
	case rounds == 0: // a plain run walks one, always the same
		seed, rounds = max(seed, 1), 1
	case seed == 0:
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-faults.seed %d -faults.rounds %d", seed, rounds)
	for i := range rounds {
		c := randomCell(rand.New(rand.NewPCG(seed, uint64(i))))
		t.Run(fmt.Sprintf("%03d/%s", i, c.name()), func(t *testing.T) {
			t.Parallel()
			labelled(t, func() { t.Log(runCell(t, c, new(bool))) })
			if t.Failed() {
				t.Logf("again: go test ./cmd/bot -run 'TestRandomFaults/%03d/' -faults.seed %d -faults.rounds %d", i, seed, rounds)
			}
		})
	}
}

// randomCell takes two different faults, each at a phase of its own, that have a
// meaning together.
func randomCell(r *rand.Rand) cell {
	all := allFaults()
	for {
		c := cell{kind: kinds[r.IntN(len(kinds))]}
		phases := phasesOf(c.kind)
		for range 2 {
			c.breaks = append(c.breaks, breakage{all[r.IntN(len(all))], phases[r.IntN(len(phases))]})
		}
		if c.compatible() {
			return c
		}
	}
}

// compatible says whether both faults have a meaning, and can be had in one arena.
func (c cell) compatible() bool {
	a, b := c.breaks[0].fault, c.breaks[1].fault
	disk := func(f fault) bool { return f.options != nil }
	return a.name != b.name && c.meaningless() == "" && !(disk(a) && disk(b))
}

// wholeMatrix is every cell that has a meaning.
func wholeMatrix() (all []cell) {
	for _, k := range kinds {
		for _, f := range allFaults() {
			for _, p := range phasesOf(k) {
				if c := (cell{kind: k, breaks: []breakage{{f, p}}}); c.meaningless() == "" {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// theSlice is what every run of the tests walks: without a fault, and the cells
// that have most to tell.
func theSlice() (all []cell) {
	for _, text := range []string{
		"switchover", "failover",
		"switchover | before stop | dc1–dc2: black hole",
		"switchover | after stop | dc1: SIGKILL",
		"switchover | after gate | dc2: SIGKILL",
		"switchover | after gate | standby restored from an old copy",
		"switchover | before promote | promotion answers late",
		"switchover | before gate | bot–dc2: reset in mid-message",
		"switchover | between the votes | names changed and changed back",
		"switchover | before prepare | impostor under the standby's name",
		"switchover | before recheck | Slack down",
		"failover | before the request | diverged in the fork's segment, back under block",
		"failover | before freeze | replay paused",
		"failover | before promote | waits for the standby cancelled",
		"failover | before fence | dc1–dc2: one way",
		"failover | after promote | dc2: SIGSTOP",
	} {
		all = append(all, namedCell(text))
	}
	return all
}

// namedCell finds a cell by "kind | phase | fault".
func namedCell(text string) cell {
	words := strings.Split(text, " | ")
	c := cell{kind: actions.Kind(words[0])}
	if len(words) == 1 {
		return c
	}
	p := slices.IndexFunc(phasesOf(c.kind), func(p phase) bool { return p.name == words[1] })
	f := slices.IndexFunc(allFaults(), func(f fault) bool { return f.name == words[2] })
	c.breaks = []breakage{{allFaults()[f], phasesOf(c.kind)[p]}}
	return c
}
