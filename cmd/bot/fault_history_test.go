package main

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"twokey/actions/local/load"
)

// turn is the state of the exclusivity model: who may acknowledge, and how many
// more promotions there were.
type turn struct {
	server string
	left   int
}

// turns is the model behind "never did two nodes acknowledge": one server
// acknowledges until a promotion hands over to another, and there are exactly so
// many handovers as there were promotions. A history of acknowledgements fits if
// each can be given one moment between its sending and its answer so that this
// holds. Rows whose fate is unknown constrain nothing and are no part of it.
func turns(first string, promotions int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return turn{first, promotions} },
		Step: func(state, input, _ any) (bool, any) {
			now, _ := state.(turn)
			server, _ := input.(string)
			if now.server == server {
				return true, now
			}
			return now.left > 0, turn{server, now.left - 1}
		},
	}
}

// oneAtATime checks the acknowledgements of all writers against that model.
func oneAtATime(acks []load.Ack, first string, promotions int) error {
	history := make([]porcupine.Operation, len(acks))
	for i, a := range acks {
		history[i] = porcupine.Operation{ClientId: i, Input: a.Server, Call: a.Sent.UnixNano(), Return: a.Returned.UnixNano()}
	}
	switch porcupine.CheckOperationsTimeout(turns(first, promotions), history, 30*time.Second) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("whether two nodes acknowledged at one time could not be told in 30 s: %s", handovers(acks))
	}
	return fmt.Errorf("two nodes acknowledged at one time, or one without having been promoted (%d promotions): %s", promotions, handovers(acks))
}

// handovers describes where the acknowledging server changes, for a failed test.
func handovers(acks []load.Ack) string {
	acks = slices.Clone(acks)
	slices.SortFunc(acks, func(a, b load.Ack) int { return a.Returned.Compare(b.Returned) })
	text := ""
	for i, a := range acks {
		if i > 0 && acks[i-1].Server != a.Server && len(text) < 1000 {
			text += fmt.Sprintf("%s last acknowledged row %d at %s, %s acknowledged row %d, sent at %s; ", acks[i-1].Server, acks[i-1].ID,
				acks[i-1].Returned.Format(clockFormat), a.Server, a.ID, a.Sent.Format(clockFormat))
		}
	}
	return text
}

const clockFormat = "15:04:05.000000"

// history makes acknowledgements from "server sent-returned" in milliseconds.
func history(rows ...string) (acks []load.Ack) {
	for i, r := range rows {
		var server string
		var sent, returned int
		if _, err := fmt.Sscanf(r, "%s %d-%d", &server, &sent, &returned); err != nil {
			panic(err)
		}
		at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
		acks = append(acks, load.Ack{ID: int64(i), Server: server, Sent: at(sent), Returned: at(returned)})
	}
	return acks
}

// TestOneAtATime: the checker must be able to find what it looks for.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		acks       []load.Ack
		promotions int
		fits       bool
	}{
		{"nobody acknowledged anything", nil, 0, true},
		{"one server alone", history("A 0-1", "A 2-3"), 0, true},
		{"the other one, without a promotion", history("A 0-1", "B 2-3"), 0, false},
		{"the other one from the beginning, without a promotion", history("B 2-3"), 0, false},
		{"one after the other", history("A 0-1", "B 2-3"), 1, true},
		{"the old one once more", history("A 0-1", "B 2-3", "A 4-5"), 1, false},
		{"there and back with two promotions", history("A 0-1", "B 2-3", "A 4-5"), 2, true},
		{"there, back and there with two", history("A 0-1", "B 2-3", "A 4-5", "B 6-7"), 2, false},
		{"an answer that came late", history("A 0-9", "B 2-3", "B 4-5"), 1, true},
		{"an answer that came late, of a row sent too late", history("A 0-1", "B 2-3", "A 4-9", "B 5-6"), 1, false},
		{"in turns, overlapping so that an order can be found", history("A 0-4", "B 3-6", "A 2-5", "B 4-8"), 1, true},
		{"in turns, overlapping pairwise but not all together", history("A 0-4", "B 3-6", "A 7-9", "B 8-12"), 1, false},
		{"many sessions, one row on the wrong side", append(history("A 0-50", "B 60-61", "B 62-63", "B 64-65"), history("A 63-64")...), 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := oneAtATime(c.acks, "A", c.promotions); (err == nil) != c.fits {
				t.Errorf("fits: %t, but the checker says %v", c.fits, err)
			}
		})
	}
}

// byNode counts acknowledgements, for messages.
func byNode(acks []load.Ack) map[string]int {
	n := map[string]int{}
	for _, a := range acks {
		n[a.Server]++
	}
	return n
}

func sorted(acks []load.Ack) []load.Ack {
	acks = slices.Clone(acks)
	slices.SortFunc(acks, func(a, b load.Ack) int { return cmp.Compare(a.Sent.UnixNano(), b.Sent.UnixNano()) })
	return acks
}
