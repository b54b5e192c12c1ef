package approvals

import "slices"

// Grant proves that a request in state executing carries two valid votes for
// its digest. Only MintGrant makes one; the zero value is refused wherever a
// grant is demanded.
type Grant struct {
	request string
	attempt string
	digest  Digest
}

// MintGrant derives the grant from a stored request: claimed and running, with
// Required votes of distinct approvers, none of them the requester's unless
// its policy allowed it, all for the digest that the request has now, and all
// with a one-time code where the policy required one.
func MintGrant(r Request) (Grant, error) {
	if !r.State.Running() || r.Attempt == "" {
		return Grant{}, refuse(CodeState, "request %s is %s; only a claimed, running request gives a grant", r.ID, r.State)
	}
	digest := r.Digest()
	voters := map[Person]bool{}
	for _, v := range r.Votes {
		own := v.Person == r.Requester && !r.AllowRequester
		bare := r.Factor == FactorRequired && v.Factor == ""
		if v.Digest == digest && !own && !bare && slices.Contains(r.Approvers, v.Person) {
			voters[v.Person] = true
		}
	}
	if len(voters) < Required {
		return Grant{}, refuse(CodeState, "request %s has %d of %d valid votes for its digest", r.ID, len(voters), Required)
	}
	return Grant{request: r.ID, attempt: r.Attempt, digest: digest}, nil
}

// Covers says whether the grant is for exactly this request as it is now, and
// the request still runs.
func (g Grant) Covers(r Request) bool {
	return r.State.Running() && g.digest != "" && g.request == r.ID && g.attempt == r.Attempt && g.digest == r.Digest()
}
