package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Required is how many distinct approvers a request needs. It is the product's
// name and no setting.
const Required = 2

// Person is the stable identity of a human within twokey: the name that the
// config gives somebody, or an adapter's own id ("slack:T…/U…") for everybody
// else. Two values are the same human exactly when they are equal.
type Person string

// Policy says who may approve and for how long a request stands.
type Policy struct {
	Approvers      []Person
	AllowRequester bool          // the requester's own approval counts as one of the two
	Expiry         time.Duration // from asking to the end of votes
	HoldExpiry     time.Duration // from held to its lapse
}

// Version identifies the policy's content; a request made under another
// version is stale.
func (p Policy) Version() string {
	names := p.sorted()
	text := fmt.Sprintf("%q|%t|%s|%s", names, p.AllowRequester, p.Expiry, p.HoldExpiry)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Validate refuses (CodePolicyBad) a policy under which a request could never
// get its two votes, or would be over at once.
func (p Policy) Validate() error {
	distinct := len(slices.Compact(p.sorted()))
	need := Required + 1
	if p.AllowRequester {
		need = Required
	}
	for _, who := range p.Approvers {
		if err := plain("approver", string(who)); err != nil {
			return refuse(CodePolicyBad, "%s", err.Error())
		}
	}
	switch {
	case distinct < need:
		return refuse(CodePolicyBad, "%d distinct approvers are configured, but %d are needed: when the requester is one of them, %d others must remain. Add approvers.", distinct, need, Required)
	case p.Expiry <= 0 || p.HoldExpiry <= 0:
		return refuse(CodePolicyBad, "expiry (%s) and hold expiry (%s) must both be longer than 0.", p.Expiry, p.HoldExpiry)
	}
	return nil
}

func (p Policy) sorted() []Person {
	names := slices.Clone(p.Approvers)
	slices.Sort(names)
	return names
}

func (p Policy) mayApprove(who Person) bool { return slices.Contains(p.Approvers, who) }

// MayOrder refuses who is not an approver. It is for what one approver alone may
// order: nothing that it admits may change a server.
func (p Policy) MayOrder(who Person) error {
	if p.mayApprove(who) {
		return nil
	}
	return refuse(CodeNotApprover, "Only an approver may do that (%s).", join(p.sorted()))
}

func join(people []Person) string {
	words := make([]string, len(people))
	for i, who := range people {
		words[i] = string(who)
	}
	return strings.Join(words, ", ")
}
