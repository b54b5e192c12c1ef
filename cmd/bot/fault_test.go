package main

import (
	"flag"
	"testing"

	"twokey/actions"
)

var (
	faultsAll = flag.Bool("faults.all", false, "walk the whole matrix of faults, not only the slice")
)

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range theSlice() {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			labelled(t, func() { t.Log(runCell(t, c)) })
		})
	}
}

func theSlice() []cell {
	return []cell{{kind: actions.KindSwitchover}, {kind: actions.KindFailover},
		{kind: actions.KindSwitchover, breaks: []breakage{{linkFaults(linkPair)[3], phase{"before stop", actions.OpStop, false, atOperation}}}}}
}
