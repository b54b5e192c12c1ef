package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"twokey/actions"
)

const (
	resultsFile = "testdata/faults.tsv"
	faultsDoc   = "../../docs/faults.md"
	failedWord  = "FAILED"
)

// results are the words of the cells that were walked, kept beside the doc that
// is made of them.
type results struct {
	mu    sync.Mutex
	words map[string]string
}

func readResults(t *testing.T) *results {
	t.Helper()
	r := &results{words: map[string]string{}}
	text, err := os.ReadFile(resultsFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, word, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			r.words[name] = word
		}
	}
	return r
}

// tableKey names a cell of the table: kind, fault, phase.
func (c cell) tableKey() string {
	if len(c.breaks) == 0 {
		return string(c.kind)
	}
	return string(c.kind) + " | " + c.breaks[0].fault.name + " | " + c.breaks[0].phase.name
}

func (r *results) word(c cell) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.words[c.tableKey()]
}

// put keeps one cell's word at once: a walk over everything takes long, and may
// be broken off.
func (r *results) put(t *testing.T, c cell, word string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.words[c.tableKey()] = word
	if err := os.WriteFile(resultsFile, []byte(r.text()), 0o644); err != nil {
		t.Error(err)
	}
}

// text lists the cells that there are; what was walked once and is no cell any
// more goes.
func (r *results) text() string {
	var b strings.Builder
	for _, c := range wholeMatrix() {
		if word := r.words[c.tableKey()]; word != "" {
			fmt.Fprintf(&b, "%s\t%s\n", c.tableKey(), word)
		}
	}
	return b.String()
}

func (r *results) writeDoc(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.WriteFile(faultsDoc, []byte(r.doc()), 0o644); err != nil {
		t.Error(err)
	}
}

// signs are what the table shows of a word's first part.
var signs = map[string]string{
	"succeeded": "✓", "aborted": "↩", "unknown": "?", "failed": "½", "stale": "≠", "refused": "✗", "expired": "⌛", "needs root": "r", failedWord: "**FAILED**",
}

func sign(word string) string {
	first, rest, _ := strings.Cut(word, ", ")
	s := signs[first]
	if s == "" && word != "" {
		s = word
	}
	for suffix, mark := range map[string]string{"mended": "m", "not met": "·"} {
		if strings.Contains(rest, suffix) {
			s += mark
		}
	}
	return s
}

func (r *results) doc() string {
	var b strings.Builder
	b.WriteString(docHead)
	walked, failed := 0, 0
	all := wholeMatrix()
	for _, c := range all {
		if w := r.words[c.tableKey()]; w == failedWord {
			failed++
		} else if w != "" {
			walked++
		}
	}
	fmt.Fprintf(&b, "Of %d cells %d passed when the table was made, %d failed, %d were not walked.\n", len(all), walked, failed, len(all)-walked-failed)
	for _, k := range kinds {
		r.table(&b, k)
	}
	b.WriteString(leftOut())
	return b.String()
}

func (r *results) table(b *strings.Builder, k actions.Kind) {
	title := map[actions.Kind]string{actions.KindSwitchover: "Planned switchover", actions.KindFailover: "Disaster failover"}[k]
	fmt.Fprintf(b, "\n## %s\n\nThe columns are the phases:", title)
	phases := phasesOf(k)
	for i, p := range phases {
		fmt.Fprintf(b, " %d %s%s", i+1, p.name, map[bool]string{true: ".\n\n", false: ","}[i == len(phases)-1])
	}
	b.WriteString("| fault |")
	for i := range phases {
		fmt.Fprintf(b, " %d |", i+1)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(phases)) + "\n")
	for _, f := range allFaults() {
		fmt.Fprintf(b, "| %s |", f.name)
		for _, p := range phases {
			c := cell{kind: k, breaks: []breakage{{f, p}}}
			s := sign(r.words[c.tableKey()])
			if c.meaningless() != "" {
				s = "–"
			}
			fmt.Fprintf(b, " %s |", s)
		}
		b.WriteString("\n")
	}
}

// leftOut names each reason for which cells have no meaning, with the faults.
func leftOut() string {
	reasons := map[string][]string{}
	for _, k := range kinds {
		for _, f := range allFaults() {
			for _, p := range phasesOf(k) {
				why := (cell{kind: k, breaks: []breakage{{f, p}}}).meaningless()
				if why != "" && !slices.Contains(reasons[why], f.name) {
					reasons[why] = append(reasons[why], f.name)
				}
			}
		}
	}
	text := "\n## Cells without a meaning (–)\n\n"
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		text += fmt.Sprintf("- because %s: %s\n", why, strings.Join(reasons[why], "; "))
	}
	return text
}

const docHead = `# Faults

What can break, crossed with every moment at which it can. Each cell is a real
pair with its own simulated Slack and bot; writers stick to each node and write
all the time, and every link goes through a proxy. The fault begins at the phase
and lasts until the request has ended. Then these must hold, or the cell fails:

- every acknowledged row is on the primary, and on the standby that it waits for;
- never did two nodes acknowledge: each acknowledgement fits one history in which
  a node takes over by a promotion, checked as a linearizability model;
- while the standby was said to be frozen, its primary acknowledged nothing;
- the message says how it ended and what is left to do, and the servers are so;
- the pair works again by itself, or after people did what the message says;
- no goroutine, process or file is left.

A commit whose wait for the standby was cancelled is not covered, and neither are
rows that are acknowledged while a role, a name or an impostor lets the primary
acknowledge alone: they may be lost, but only where the plan did not call zero
loss proven.

` + "```shell" + `
go test ./cmd/bot -run TestFaults                                   # the half of a slice that every run walks: one on 15 and 18, the other on 16 and 17
go test ./cmd/bot -run TestFaults -faults.all -faults.update -timeout 8h   # all, and this file anew
go test ./cmd/bot -run TestFaults -faults.all -faults.missing -faults.update -timeout 8h   # go on
go test ./cmd/bot -run TestRandomFaults -faults.rounds 200 -timeout 8h     # two faults at a time, with a seed
` + "```" + `

How it ended: ✓ done · ↩ taken back · ≠ stale, nothing was done · ✗ the bot made no
request · ? outcome unknown, with instructions · ½ failed half way. An m says that
people had something left to do, and did as the message says; a dot that the run
never came to the phase, or found nothing there to break. r: full disks need root.
An empty cell was not walked yet.

`

// TestFaultsDocIsOfTheseCells: the table must list what the code walks.
func TestFaultsDocIsOfTheseCells(t *testing.T) {
	t.Parallel()
	if *faultsUpdate {
		t.Skip("it is being written")
	}
	have, err := os.ReadFile(faultsDoc)
	if err != nil {
		t.Fatal(err)
	}
	r := readResults(t)
	if string(have) != r.doc() {
		t.Error("docs/faults.md is not of these cells and results: go test ./cmd/bot -run TestFaults -faults.update")
	}
	for _, c := range wholeMatrix() {
		if r.words[c.tableKey()] == failedWord {
			t.Errorf("%s failed when it was walked last", c.tableKey())
		}
	}
}
