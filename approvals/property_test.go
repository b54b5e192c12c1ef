package approvals_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twokey/approvals"
)

// TestNoGrantWithoutTwo tries random sequences of calls, by anybody, at any
// time, under changing policies, with right and wrong digests and places. It
// keeps its own book of who has validly pressed. Whatever happens, a grant
// needs two distinct allowed voters for the digest as it is, and what has ended
// never changes.
func TestNoGrantWithoutTwo(t *testing.T) {
	t.Parallel()
	reached := map[approvals.State]int{}
	rapid.Check(t, func(rt *rapid.T) {
		g := newGame(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"approve": g.approve, "approve again": g.approve, "deny": g.deny, "cancel": g.cancel, "time": g.time, "outdate": g.outdate,
			"claim": g.claim, "hold": g.hold, "answer": g.answer, "finish": g.finish, "policy": g.newPolicy, "": g.check,
		})
		reached[g.r.State]++
	})
	for _, s := range approvals.States() {
		t.Logf("%d ended %s", reached[s], s)
	}
}

type game struct {
	r      approvals.Request
	asked  approvals.Policy // when the request was made
	policy approvals.Policy // that runs now
	now    time.Time
	digest approvals.Digest
	yes    map[approvals.Person]bool // who has validly pressed approve
}

var everybody = []approvals.Person{"oncall", "dba-1", "dba-2", "manager", "guest", ""}

func newGame(rt *rapid.T) *game {
	p := policy()
	p.AllowRequester = rapid.Bool().Draw(rt, "requester may approve")
	r, _, err := approvals.Open(asking(rapid.SampledFrom(everybody[:4]).Draw(rt, "requester")), p)
	if err != nil {
		rt.Fatal(err)
	}
	return &game{r: r, asked: p, policy: p, now: noon, digest: r.Digest(), yes: map[approvals.Person]bool{}}
}

// ballot is a press that is mostly right.
func (g *game) ballot(rt *rapid.T) approvals.Ballot {
	b := approvals.Ballot{
		Person: rapid.SampledFrom(everybody).Draw(rt, "person"), At: g.now, Via: rapid.SampledFrom([]string{"slack", "ssh"}).Draw(rt, "via"),
		Digest: g.r.Digest().Short(), Place: g.r.Place,
	}
	switch rapid.IntRange(0, 9).Draw(rt, "wrong") {
	case 0:
		b.Digest = rapid.SampledFrom([]string{"", "00", "000000000000", string(g.digest) + "0"}).Draw(rt, "digest")
	case 1:
		b.Place = "T1/C2"
	}
	return b
}

// valid says, in this test's own words, whether b's approval must count.
func (g *game) valid(b approvals.Ballot) bool {
	open := g.r.State == approvals.Pending || g.r.State == approvals.Partial
	return open && b.At.Before(g.r.ExpiresAt) && g.samePolicy() &&
		slices.Contains(policy().Approvers, b.Person) && (b.Person != g.r.Requester || g.asked.AllowRequester) &&
		b.Place == channel && b.Digest == string(g.digest[:12]) && !g.yes[b.Person]
}

func (g *game) samePolicy() bool { return cmp.Equal(g.policy, g.asked) }

// take accepts a call's answer: without an event nothing may have changed, with
// one the move must be in the table.
func (g *game) take(rt *rapid.T, r approvals.Request, events []approvals.Event, err error) {
	before := g.r
	switch {
	case len(events) == 0:
		if diff := cmp.Diff(before, r); diff != "" {
			rt.Fatalf("changed without an event (%v):\n%s", err, diff)
		}
	case len(events) > 1 || !moves(before.State, events[0].Kind, r.State):
		rt.Fatalf("from %s to %s by %v", before.State, r.State, events)
	case before.State.Ended():
		rt.Fatalf("%s had ended and is %s", before.State, r.State)
	case r.Digest() != g.digest:
		rt.Fatalf("the digest changed on the way to %s", r.State)
	}
	g.r = r
}

func (g *game) approve(rt *rapid.T) {
	b := g.ballot(rt)
	valid := g.valid(b)
	r, events, err := g.r.Approve(b, g.policy)
	if counted := err == nil; counted != valid {
		rt.Fatalf("%q approves a request that is %s: %v, must count: %t", b.Person, g.r.State, err, valid)
	}
	if valid {
		g.yes[b.Person] = true
	}
	g.take(rt, r, events, err)
}

func (g *game) deny(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
		return
	}
	r, events, err := g.r.Deny(g.ballot(rt), g.policy)
	g.take(rt, r, events, err)
}

func (g *game) cancel(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
		return
	}
	b := g.ballot(rt)
	r, events, err := g.r.Cancel(b)
	if err == nil && b.Person != g.r.Requester {
		rt.Fatalf("%s cancelled a request of %s", b.Person, g.r.Requester)
	}
	g.take(rt, r, events, err)
}

func (g *game) time(rt *rapid.T) {
	g.now = g.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Minute, 5 * time.Minute}).Draw(rt, "by"))
	r, events, err := g.r.Expire(g.now)
	g.take(rt, r, events, err)
}

func (g *game) outdate(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "rarely") == 0 {
		r, events, err := g.r.Outdate(g.now, "why")
		g.take(rt, r, events, err)
	}
}

func (g *game) claim(rt *rapid.T) {
	r, events, err := g.r.Claim(g.now, rapid.SampledFrom([]string{"a", "b", ""}).Draw(rt, "attempt"))
	g.take(rt, r, events, err)
}

func (g *game) hold(rt *rapid.T) {
	r, events, err := g.r.Hold(g.now, "q", "orders", g.now.Add(time.Minute))
	g.take(rt, r, events, err)
}

func (g *game) answer(rt *rapid.T) {
	b, cause := g.ballot(rt), rapid.SampledFrom(causes).Draw(rt, "cause")
	typed := rapid.SampledFrom([]string{"orders", "", "order"}).Draw(rt, "typed")
	held, p := g.r.State == approvals.Held, g.policy
	r, events, err := g.r.Answer(b, cause, typed, p)
	if err == nil && (!held || cause == approvals.Accept && (typed != "orders" || !slices.Contains(p.Approvers, b.Person))) {
		rt.Fatalf("%q typed %q and it went on", b.Person, typed)
	}
	g.take(rt, r, events, err)
}

func (g *game) finish(rt *rapid.T) {
	r, events, err := g.r.Finish(g.now, rapid.SampledFrom(causes).Draw(rt, "cause"), "why", nil)
	g.take(rt, r, events, err)
}

// newPolicy changes the list of approvers, as a restart with another config
// would, and back.
func (g *game) newPolicy(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
		return
	}
	g.policy = g.asked
	if rapid.Bool().Draw(rt, "another") {
		g.policy.Approvers = []approvals.Person{"dba-1", "dba-2", "guest"}
	}
}

func (g *game) check(rt *rapid.T) {
	if len(g.r.Votes) != len(g.yes) {
		rt.Fatalf("%d votes are kept, %d were valid", len(g.r.Votes), len(g.yes))
	}
	grant, err := approvals.MintGrant(g.r)
	if earned := g.r.State.Running() && len(g.yes) >= approvals.Required; earned != (err == nil) {
		rt.Fatalf("%s with %d valid votes: %v", g.r.State, len(g.yes), err)
	}
	if grant.Covers(g.r) != (err == nil) {
		rt.Fatalf("the grant covers it: %t, %v", grant.Covers(g.r), err)
	}
	if g.r.State == approvals.Approved && len(g.yes) != approvals.Required {
		rt.Fatalf("approved by %v", g.yes)
	}
}
