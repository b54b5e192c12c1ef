package actions

import (
	"context"

	"twokey/approvals"
)

// What the tests of the pure parts need to see of the package's inside.
var (
	PlanOf        = planOf
	MayPromote    = mayPromote
	GatePassed    = gatePassed
	ClearStopping = clearStopped
	ClearPower    = clearOff
	ClearFollower = clearStandby
	ClearStated   = clearAccepted
	FenceReads    = fenceReads
)

// FactsFor are the facts that a plan of this kind would rest on.
func FactsFor(e Evidence, kind Kind, after After) Facts { return factsOf(e, Judge(e), kind, after) }

// Kind of a clearance, for tests.
func (c Clearance) Kind() ClearanceKind { return c.kind }

// PromoteWith asks the last look before a promotion with a clearance that
// nobody minted.
func PromoteWith(g approvals.Grant, r approvals.Request, p Plan, kind ClearanceKind, node string) error {
	return mayPromote(g, r, p, Clearance{kind: kind, node: node})
}

// TakePower orders a fence, reads it back, and gives the clearance's kind and proof.
func TakePower(ctx context.Context, node string, f Fencer) (ClearanceKind, string, error) {
	c, err := takePower(ctx, node, f)
	return c.kind, c.proof, err
}
