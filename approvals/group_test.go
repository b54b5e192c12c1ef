package approvals_test

import (
	"strings"
	"testing"

	"twokey/approvals"
)

// members is a policy whose approvers are a group, as they are now.
func members(who ...approvals.Person) approvals.Policy {
	p := policy()
	p.Group, p.Approvers = "S0OPS", who
	return p
}

func askedOf(t *testing.T, p approvals.Policy) approvals.Request {
	t.Helper()
	r, _, err := approvals.Open(asking("oncall"), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGroupIsLookedUpWhenSomebodyDecides: who has left can't vote, who has come
// can't vote on what was asked before, and neither voids the others' votes.
func TestGroupIsLookedUpWhenSomebodyDecides(t *testing.T) {
	t.Parallel()
	r := askedOf(t, members("dba-1", "dba-2", "manager"))
	now := members("dba-1", "dba-2", "newcomer")
	for who, want := range map[approvals.Person]string{
		"manager":  "You are not one of the approvers any more.",
		"newcomer": "You came to the approvers after this request was made",
		"stranger": "You are not one of the approvers (dba-1, dba-2, manager).",
	} {
		for what, got := range map[string]result{"approve": of(r.Approve(ballot(r, who), now)), "deny": of(r.Deny(ballot(r, who), now))} {
			if approvals.Refused(got.err) != approvals.CodeNotApprover || !strings.HasPrefix(got.err.Error(), want) || len(got.events) > 0 {
				t.Errorf("%s %s: %v", who, what, got.err)
			}
		}
	}
	one := ok(t, of(r.Approve(ballot(r, "dba-1"), now)))
	two := ok(t, of(one.Approve(ballot(r, "dba-2"), members("dba-2")))) // dba-1 has left: looked up again before it runs
	if two.State != approvals.Approved {
		t.Errorf("the request is %s", two.State)
	}
	if err := two.StillApprover("dba-1", members("dba-2")); approvals.Refused(err) != approvals.CodeNotApprover {
		t.Errorf("a voter who has left: %v", err)
	}
	if err := two.StillApprover("dba-2", members("dba-2")); err != nil {
		t.Errorf("a voter who is still there: %v", err)
	}
}

func TestGroupIsPartOfThePolicyAndItsMembersAreNot(t *testing.T) {
	t.Parallel()
	p, q := members("dba-1"), members("dba-2", "dba-3")
	if p.Version() != q.Version() {
		t.Error("somebody who joins the group voids every request")
	}
	other := p
	other.Group = "S0OTHER"
	if p.Version() == other.Version() || p.Version() == policy().Version() {
		t.Error("another group, or a list, is the same policy")
	}
	r := askedOf(t, members("dba-1", "dba-2", "manager"))
	if _, events, err := r.Approve(ballot(r, "dba-1"), policy()); approvals.Refused(err) != approvals.CodePolicy || len(events) != 1 {
		t.Errorf("a list took the group's place: %v, %v", events, err)
	}
	if !strings.Contains(r.Text(), "\napprovers: dba-1, dba-2, manager\napprovals needed: 2\napprovers are members of: S0OPS\n") {
		t.Errorf("the text is\n%s", r.Text())
	}
}

// TestGroupIsCountedWhenSomebodyAsks, and not before.
func TestGroupIsCountedWhenSomebodyAsks(t *testing.T) {
	t.Parallel()
	if err := members().Validate(); err != nil {
		t.Errorf("at start: %v", err)
	}
	for n, want := range map[int]string{
		0: "The approvers' group S0OPS has 0 members, but 3 are needed",
		2: "The approvers' group S0OPS has 2 members, but 3 are needed",
	} {
		p := members([]approvals.Person{"dba-1", "dba-2", "manager"}[:n]...)
		if _, events, err := approvals.Open(asking("oncall"), p); approvals.Refused(err) != approvals.CodePolicyBad || !strings.HasPrefix(err.Error(), want) || len(events) > 0 {
			t.Errorf("%d members: %v", n, err)
		}
	}
	twice := members("dba-1", "dba-1", "dba-2", "dba-2")
	if _, _, err := approvals.Open(asking("oncall"), twice); approvals.Refused(err) != approvals.CodePolicyBad {
		t.Errorf("members who stand there twice: %v", err)
	}
	bad := members("dba-1", "dba-2", "dba-3")
	bad.Group = "S0\nreason: x"
	if err := bad.Validate(); approvals.Refused(err) != approvals.CodePolicyBad {
		t.Errorf("a group that is two lines: %v", err)
	}
}
