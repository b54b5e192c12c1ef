package actions

import (
	"errors"
	"fmt"

	"twokey/approvals"
)

// Clearance is what a promotion rests on: why the old primary can't
// acknowledge anything any more. It is minted only here, from facts that were
// just read; the zero value clears nothing.
type Clearance struct {
	kind  ClearanceKind
	node  string // the old primary
	proof string
}

// clearStopped is for a gate that was passed: the candidate's last record is
// the old primary's shutdown checkpoint, newer than the order to stop.
func clearStopped(node string, end WALEnd, mark LSN, timeline uint32) (Clearance, error) {
	if err := gatePassed(end, mark, timeline); err != nil {
		return Clearance{}, err
	}
	return Clearance{ClearStopped, node, fmt.Sprintf("%s ended with a shutdown checkpoint at %s, which the new primary holds and has replayed, and can't come back by itself", node, end.LSN)}, nil
}

// errGateShut means that a standby doesn't hold all that its primary wrote.
var errGateShut = errors.New("the gate is shut")

// gatePassed says whether a WAL's end is the wanted shutdown checkpoint; it
// fails with errGateShut.
func gatePassed(end WALEnd, mark LSN, timeline uint32) error {
	switch {
	case !end.Shutdown:
		return fmt.Errorf("%w: the last replayed record (%s) is no shutdown checkpoint", errGateShut, end.LSN)
	case end.LSN < mark:
		return fmt.Errorf("%w: the shutdown checkpoint at %s is older than the order to stop (%s)", errGateShut, end.LSN, mark)
	case end.Timeline != timeline:
		return fmt.Errorf("%w: the shutdown checkpoint is of timeline %d, not of %d", errGateShut, end.Timeline, timeline)
	}
	return nil
}

// fenceReads is how many times in a row a fence must be read back as off.
const fenceReads = 3

// clearOff is for a fence that was read back often enough.
func clearOff(node, how string, offInARow int) (Clearance, error) {
	if offInARow < fenceReads {
		return Clearance{}, fmt.Errorf("%s was read back as off %d times in a row, %d are needed", node, offInARow, fenceReads)
	}
	return Clearance{ClearOff, node, fmt.Sprintf("%s is off (%s), read back %d times", node, how, offInARow)}, nil
}

// clearStandby is for an old primary that was seen in recovery.
func clearStandby(node string, o Observation) (Clearance, error) {
	if o.Server == nil || !o.Server.InRecovery {
		return Clearance{}, fmt.Errorf("%s is not seen in recovery", node)
	}
	return Clearance{ClearStandby, node, node + " was read back in recovery"}, nil
}

// clearAccepted is for a named person's statement on top of a proven freeze.
func clearAccepted(node string, p approvals.Pause, frozen bool) (Clearance, error) {
	if !frozen || p.Answer != approvals.Accept || p.By == "" {
		return Clearance{}, fmt.Errorf("nobody accepted that %s is not shown to be off, or the standby is not frozen", node)
	}
	return Clearance{ClearAccepted, node, fmt.Sprintf("%s stated that %s is off; the standby was frozen before", p.By, node)}, nil
}

// mayPromote is the last look before promotion: the grant is for this request
// as it stands, and the clearance is one that its plan allows.
func mayPromote(g approvals.Grant, r approvals.Request, p Plan, c Clearance) error {
	switch {
	case !g.Covers(r):
		return fmt.Errorf("the grant is not for this request")
	case c.node == "" || c.node != p.From || !p.allows(c.kind):
		return fmt.Errorf("nothing that the plan allows shows that %s is off", p.From)
	}
	return nil
}
