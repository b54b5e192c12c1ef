package actions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// fencePace is how long to wait between two reads of a fence. Where reading
// costs more, the driver paces it.
const fencePace = 20 * time.Millisecond

// witnessed is a fence that is several ones: it can say which of them show that
// the server is off.
type witnessed interface {
	// Witnesses reads like [Fencer.Read] and names those that show it; none
	// unless the power is off.
	Witnesses(ctx context.Context) (Power, []string, error)
}

// witnessesOf reads a fence and names who shows that the server is off.
func witnessesOf(ctx context.Context, f Fencer) (Power, []string, error) {
	if w, several := f.(witnessed); several {
		return w.Witnesses(ctx)
	}
	power, err := f.Read(ctx)
	if err != nil || power != PowerOff {
		return power, nil, err
	}
	return PowerOff, []string{f.Describe()}, nil
}

// tally counts for each witness how many times in a row it was one.
type tally map[string]int

// add counts a reading, and gives whoever was a witness most often in a row.
// One that wasn't this time begins again.
func (t tally) add(witnesses []string) (who string, inARow int) {
	for w := range t {
		if !slices.Contains(witnesses, w) {
			delete(t, w)
		}
	}
	for _, w := range witnesses {
		t[w]++
		if t[w] > inARow {
			who, inARow = w, t[w]
		}
	}
	return who, inARow
}

// readBack reads a fence until one witness has shown often enough in a row that
// the node is off, or ctx ends.
func readBack(ctx context.Context, node string, f Fencer) (Clearance, error) {
	seen := tally{}
	var clear Clearance
	err := insist(ctx, fencePace, func(ctx context.Context) error {
		power, witnesses, err := witnessesOf(ctx, f)
		if err != nil || power != PowerOff {
			seen.add(nil)
			return errors.Join(fmt.Errorf("it was read as %s", power), err)
		}
		who, inARow := seen.add(witnesses)
		clear, err = clearOff(node, who, inARow)
		return err
	})
	return clear, err
}

// takePower orders a fence and reads it back. An order whose effect may have
// happened is looked at like one that was taken.
func takePower(ctx context.Context, node string, f Fencer) (Clearance, error) {
	ordered := f.Off(ctx)
	if _, perhaps := errors.AsType[*Uncertain](ordered); ordered != nil && !perhaps {
		return Clearance{}, ordered
	}
	clear, err := readBack(ctx, node, f)
	if err != nil {
		return Clearance{}, errors.Join(err, ordered)
	}
	return clear, nil
}
