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
//
// With a Group, Approvers are its members as somebody has just looked them up
// (see Roster); they change without the policy becoming another one. Who was no
// member when a request was made can't vote on it, and who is none any more can't
// either.
type Policy struct {
	Approvers      []Person
	Group          string // names where Approvers come from; "" for a fixed list
	AllowRequester bool   // the requester's own approval counts as one of the two
	Factor         FactorRule
	Expiry         time.Duration // from asking to the end of votes
	HoldExpiry     time.Duration // from held to its lapse
	Remind         time.Duration // before the expiry: who has not voted is reminded once; 0 for never. No vote rests on it
}

// Version identifies the policy's content; a request made under another
// version is stale.
func (p Policy) Version() string {
	who := fmt.Sprintf("%q", p.sorted())
	if p.Group != "" {
		who = fmt.Sprintf("group %q", p.Group)
	}
	text := fmt.Sprintf("%s|%t|%s|%s", who, p.AllowRequester, p.Expiry, p.HoldExpiry)
	if p.Factor.On() {
		text += "|" + string(p.Factor)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Validate refuses (CodePolicyBad) a policy under which a request could never
// get its two votes, or would be over at once. The size of a group is not its
// business: that is known only when somebody asks.
func (p Policy) Validate() error {
	check := p.enough
	if p.Group != "" {
		check = p.plainNames
	}
	if err := check(); err != nil {
		return err
	}
	if p.Expiry <= 0 || p.HoldExpiry <= 0 {
		return refuse(CodePolicyBad, "expiry (%s) and hold expiry (%s) must both be longer than 0.", p.Expiry, p.HoldExpiry)
	}
	return nil
}

// enough refuses too few approvers.
func (p Policy) enough() error {
	if err := p.plainNames(); err != nil {
		return err
	}
	distinct, need := len(slices.Compact(p.sorted())), Required+1
	if p.AllowRequester {
		need = Required
	}
	switch {
	case distinct >= need:
		return nil
	case p.Group != "":
		return refuse(CodePolicyBad, "The approvers' group %s has %d members, but %d are needed: when the requester is one of them, %d others must remain. Add members.", p.Group, distinct, need, Required)
	}
	return refuse(CodePolicyBad, "%d distinct approvers are configured, but %d are needed: when the requester is one of them, %d others must remain. Add approvers.", distinct, need, Required)
}

func (p Policy) plainNames() error {
	names := p.Approvers
	if p.Group != "" {
		names = append(slices.Clone(names), Person(p.Group))
	}
	for _, who := range names {
		if err := plain("approver", string(who)); err != nil {
			return refuse(CodePolicyBad, "%s", err.Error())
		}
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
