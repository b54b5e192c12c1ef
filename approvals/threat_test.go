package approvals_test

import (
	"strings"
	"testing"
	"time"

	"twokey/approvals"
)

// refusedAs expects a refusal that leaves the request as it was, or in state.
func refusedAs(t *testing.T, got result, code approvals.Code, state approvals.State) {
	t.Helper()
	if approvals.Refused(got.err) != code || got.State != state {
		t.Errorf("refused as %q (%v) and left %s, want %q and %s", approvals.Refused(got.err), got.err, got.State, code, state)
	}
	if _, err := approvals.MintGrant(got.Request); err == nil {
		t.Error("and yet there is a grant")
	}
}

func TestThreatRequesterApproving(t *testing.T) {
	t.Parallel()
	r := pending(t, "dba-1")
	refusedAs(t, of(r.Approve(ballot(r, "dba-1"), policy())), approvals.CodeOwnRequest, approvals.Pending)
	r = ok(t, of(r.Approve(ballot(r, "dba-2"), policy())))
	refusedAs(t, of(r.Approve(ballot(r, "dba-1"), policy())), approvals.CodeOwnRequest, approvals.Partial)

	// A vote of his that got into the store in another way still doesn't count.
	r.Votes = append(r.Votes, approvals.Vote{Person: "dba-1", Digest: r.Digest()})
	r.State, r.Attempt = approvals.Executing, "attempt"
	if _, err := approvals.MintGrant(r); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("the requester's vote counted: %v", err)
	}
}

// TestRequesterWhereAllowed: the one policy under which the requester is one of the two.
func TestRequesterWhereAllowed(t *testing.T) {
	t.Parallel()
	p := policy()
	p.AllowRequester = true
	r, _, err := approvals.Open(asking("dba-1"), p)
	if err != nil {
		t.Fatal(err)
	}
	r = ok(t, of(r.Approve(ballot(r, "dba-1"), p)))
	refusedAs(t, of(r.Approve(ballot(r, "dba-1"), p)), approvals.CodeVotedBefore, approvals.Partial)
	r = ok(t, of(r.Approve(ballot(r, "dba-2"), p)))
	r = ok(t, of(r.Claim(noon.Add(time.Minute), "attempt")))
	if g, err := approvals.MintGrant(r); err != nil || !g.Covers(r) {
		t.Errorf("no grant: %v", err)
	}
	r.AllowRequester = false // as if the stored request had been asked under the other policy
	if _, err := approvals.MintGrant(r); err == nil {
		t.Error("a request whose policy doesn't allow it gives a grant as well")
	}
}

func TestThreatSamePersonTwice(t *testing.T) {
	t.Parallel()
	r := partial(t)
	again := ballot(r, "dba-1")
	again.At, again.Via, again.Proof = again.At.Add(time.Second), "ssh", "another device" // the channel of proof makes nobody two people
	refusedAs(t, of(r.Approve(again, policy())), approvals.CodeVotedBefore, approvals.Partial)

	r.Votes = append(r.Votes, r.Votes[0])
	r.State, r.Attempt = approvals.Executing, "attempt"
	if _, err := approvals.MintGrant(r); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("one person's vote counted twice: %v", err)
	}
}

// TestThreatApproveAgainstDeny: the store orders two presses of one instant;
// whichever commits first decides, and the other one sees that.
func TestThreatApproveAgainstDeny(t *testing.T) {
	t.Parallel()
	r := partial(t)
	first := ok(t, of(r.Deny(ballot(r, "manager"), policy())))
	refusedAs(t, of(first.Approve(ballot(r, "dba-2"), policy())), approvals.CodeState, approvals.Denied)

	first = ok(t, of(r.Approve(ballot(r, "dba-2"), policy())))
	second := of(first.Deny(ballot(r, "manager"), policy()))
	if ok(t, second).State != approvals.Denied { // nothing has run yet: a no still counts
		t.Errorf("a denial right after the second approval left it %s", second.State)
	}
	running := ok(t, of(first.Claim(noon.Add(time.Minute), "attempt")))
	if got := of(running.Deny(ballot(r, "manager"), policy())); approvals.Refused(got.err) != approvals.CodeState || got.State != approvals.Executing {
		t.Errorf("a denial after the claim: %s, %v", got.State, got.err)
	}
}

// TestThreatOwnVoteWithdrawn: who approved may still deny.
func TestThreatOwnVoteWithdrawn(t *testing.T) {
	t.Parallel()
	r := approved(t)
	if r = ok(t, of(r.Deny(ballot(r, "dba-1"), policy()))); r.State != approvals.Denied || r.EndedBy != "dba-1" || r.Why != "not tonight" {
		t.Errorf("it is %s, ended by %s because %q", r.State, r.EndedBy, r.Why)
	}
	refusedAs(t, of(r.Claim(noon.Add(time.Minute), "attempt")), approvals.CodeState, approvals.Denied)
}

func TestThreatExpiredByOneSecond(t *testing.T) {
	t.Parallel()
	r := partial(t)
	b := ballot(r, "dba-2")
	for late, state := range map[time.Duration]approvals.State{
		-time.Nanosecond: approvals.Approved, 0: approvals.Expired, time.Second: approvals.Expired,
	} {
		b.At = r.ExpiresAt.Add(late)
		if got := of(r.Approve(b, policy())); got.State != state || len(got.events) != 1 {
			t.Errorf("%s after the expiry: %s, %v, %v", late, got.State, got.events, got.err)
		}
		two := approved(t)
		_, _, err := two.Claim(r.ExpiresAt.Add(late), "attempt")
		if expired := approvals.Refused(err) == approvals.CodeExpired; expired != (late >= 0) {
			t.Errorf("a claim %s after the expiry: %v", late, err)
		}
		out, events, err := two.Expire(r.ExpiresAt.Add(late))
		if expired := out.State == approvals.Expired && len(events) == 1; expired != (late >= 0) || err != nil {
			t.Errorf("looked at %s after the expiry: %s, %v, %v", late, out.State, events, err)
		}
	}
}

func TestThreatStalePlan(t *testing.T) {
	t.Parallel()
	old := approved(t)
	r := ok(t, of(old.Outdate(noon.Add(time.Minute), "dc1 timeline: 3 → 4")))
	if r.State != approvals.Stale || r.Why != "dc1 timeline: 3 → 4" {
		t.Errorf("it is %s because %q", r.State, r.Why)
	}
	refusedAs(t, of(r.Claim(noon.Add(time.Minute), "attempt")), approvals.CodeState, approvals.Stale)
	refusedAs(t, of(r.Approve(ballot(r, "manager"), policy())), approvals.CodeState, approvals.Stale)

	// The text was exchanged after the votes: they are for something else.
	run := executing(t)
	run.Subject.Text = strings.Replace(run.Subject.Text, "to: dc2", "to: dc1", 1)
	if _, err := approvals.MintGrant(run); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("votes for one plan grant another: %v", err)
	}
}

func TestThreatApproverRemovedBetweenVotes(t *testing.T) {
	t.Parallel()
	shorter := policy()
	shorter.Approvers = []approvals.Person{"dba-2", "manager", "dba-3"}
	r := partial(t) // with dba-1's vote, who is gone from the list
	got := of(r.Approve(ballot(r, "dba-2"), shorter))
	refusedAs(t, got, approvals.CodePolicy, approvals.Stale)
	if !strings.Contains(got.Why, "approvers changed") {
		t.Errorf("it became stale because %q", got.Why)
	}
	refusedAs(t, of(r.Approve(ballot(r, "dba-1"), shorter)), approvals.CodePolicy, approvals.Stale)
}

func TestThreatOtherPlace(t *testing.T) {
	t.Parallel()
	r := pending(t, "oncall")
	b := ballot(r, "dba-1")
	b.Place = "T1/C2"
	refusedAs(t, of(r.Approve(b, policy())), approvals.CodePlace, approvals.Pending)
	refusedAs(t, of(r.Deny(b, policy())), approvals.CodePlace, approvals.Pending)
}

// TestThreatGrantFromNothing: a grant that nobody minted covers nothing, also
// not a request that is as empty as itself.
func TestThreatGrantFromNothing(t *testing.T) {
	t.Parallel()
	var zero approvals.Grant
	for _, r := range append(values(every(t)), approvals.Request{}) {
		if zero.Covers(r) {
			t.Errorf("the zero grant covers a request that is %q", r.State)
		}
		_, err := approvals.MintGrant(r)
		if minted := err == nil; minted != r.State.Running() {
			t.Errorf("a grant for a request that is %q: %v", r.State, err)
		}
	}
}

// TestThreatGrantForAnother: a grant is for one request, one attempt, one digest.
func TestThreatGrantForAnother(t *testing.T) {
	t.Parallel()
	r := executing(t)
	g, err := approvals.MintGrant(r)
	if err != nil || !g.Covers(r) {
		t.Fatalf("its own: %v", err)
	}
	for title, change := range map[string]func(*approvals.Request){
		"another request":       func(r *approvals.Request) { r.ID = "02" },
		"another attempt":       func(r *approvals.Request) { r.Attempt = "another" },
		"another plan":          func(r *approvals.Request) { r.Subject.Text += "and drop the slot\n" },
		"a later expiry":        func(r *approvals.Request) { r.ExpiresAt = r.ExpiresAt.Add(time.Hour) },
		"a vote taken back":     func(r *approvals.Request) { r.Votes = nil },
		"its end":               func(r *approvals.Request) { r.State = approvals.Succeeded },
		"its state turned back": func(r *approvals.Request) { r.State = approvals.Approved },
	} {
		other := r
		change(&other)
		_, err := approvals.MintGrant(other)
		if title != "a vote taken back" && g.Covers(other) {
			t.Errorf("%s is covered", title)
		}
		if title != "another attempt" && err == nil {
			t.Errorf("%s: a new grant is given", title)
		}
	}
}

// TestThreatVotesOfAnotherDigest: votes carry the digest that they were for.
func TestThreatVotesOfAnotherDigest(t *testing.T) {
	t.Parallel()
	for title, vote := range map[string]approvals.Vote{
		"a vote for nothing":         {Person: "dba-2"},
		"a vote for another digest":  {Person: "dba-2", Digest: "00"},
		"a vote of no approver":      {Person: "guest", Digest: executing(t).Digest()},
		"a vote of somebody unnamed": {Person: "", Digest: executing(t).Digest()},
	} {
		r := executing(t)
		r.Votes = []approvals.Vote{r.Votes[0], vote}
		if _, err := approvals.MintGrant(r); approvals.Refused(err) != approvals.CodeState {
			t.Errorf("%s counts: %v", title, err)
		}
	}
}

// TestThreatHeldAnsweredOnce: one answer decides; the next one comes too late.
func TestThreatHeldAnsweredOnce(t *testing.T) {
	t.Parallel()
	r := held(t)
	no := ok(t, of(r.Answer(ballot(r, "dba-1"), approvals.Refuse, "", policy())))
	if p := no.Pauses[0]; no.State != approvals.Executing || p.Answer != approvals.Refuse || p.By != "dba-1" {
		t.Errorf("refused: %s, %+v", no.State, p)
	}
	if got := of(no.Answer(ballot(r, "dba-2"), approvals.Accept, "orders", policy())); approvals.Refused(got.err) != approvals.CodeState {
		t.Errorf("a statement after the refusal: %v", got.err)
	}
	if r.Pauses[0].Answer != "" || r.State != approvals.Held {
		t.Error("the answer reached the copy that it was made from")
	}
	yes := ok(t, of(r.Answer(ballot(r, "dba-1"), approvals.Accept, " orders\n", policy())))
	if p := yes.Pauses[0]; p.Answer != approvals.Accept || p.By != "dba-1" || yes.OpenPause() != (approvals.Pause{}) {
		t.Errorf("accepted: %+v, open: %+v", p, yes.OpenPause())
	}
	over := ok(t, of(r.Answer(approvals.Ballot{At: noon.Add(12 * time.Minute)}, approvals.Lapse, "", policy())))
	if p := over.Pauses[0]; p.Answer != approvals.Lapse || p.By != "" {
		t.Errorf("lapsed: %+v", p)
	}
}

// TestVotesAreNotShared: requests are values; a copy's votes can't reach the original.
func TestVotesAreNotShared(t *testing.T) {
	t.Parallel()
	r := partial(t)
	r.Votes = append(make([]approvals.Vote, 0, 8), r.Votes...) // room for a careless append
	one := ok(t, of(r.Approve(ballot(r, "dba-2"), policy())))
	two := ok(t, of(r.Approve(ballot(r, "manager"), policy())))
	if one.Votes[1].Person != "dba-2" || two.Votes[1].Person != "manager" || len(r.Votes) != 1 {
		t.Errorf("votes: %v, %v, %v", one.Votes, two.Votes, r.Votes)
	}
}

func values(m map[approvals.State]approvals.Request) []approvals.Request {
	var out []approvals.Request
	for _, r := range m {
		out = append(out, r)
	}
	return out
}
