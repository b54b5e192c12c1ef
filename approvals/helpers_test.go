package approvals_test

import (
	"encoding/json"
	"testing"
	"time"

	"twokey/approvals"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const channel = "T1/C1"

// policy: three approvers, of whom one may also ask.
func policy() approvals.Policy {
	return approvals.Policy{
		Approvers: []approvals.Person{"dba-1", "dba-2", "manager"}, Expiry: 15 * time.Minute, HoldExpiry: 10 * time.Minute,
	}
}

func asking(who approvals.Person) approvals.Asking {
	return approvals.Asking{
		ID: "01J0", Nonce: "f00d", Requester: who, Reason: "disk is failing", Place: channel, At: noon,
		Subject: approvals.Subject{Kind: "switchover", Pair: "orders", Text: "from: dc1\nto: dc2\n", Data: json.RawMessage(`{"to":"dc2"}`)},
	}
}

// pending is a request that who has just opened.
func pending(t testing.TB, who approvals.Person) approvals.Request {
	t.Helper()
	r, events, err := approvals.Open(asking(who), policy())
	if err != nil || len(events) != 1 || events[0].Kind != string(approvals.Ask) {
		t.Fatalf("open: %v, %v", events, err)
	}
	return r
}

// ballot is who's press, one minute after asking, on what r really is.
func ballot(r approvals.Request, who approvals.Person) approvals.Ballot {
	return approvals.Ballot{Person: who, At: noon.Add(time.Minute), Via: "slack", Proof: "envelope 1", Digest: r.Digest().Short(), Place: channel, Why: "not tonight"}
}

type result struct {
	approvals.Request
	events []approvals.Event
	err    error
}

func of(r approvals.Request, events []approvals.Event, err error) result {
	return result{r, events, err}
}

// ok is a step that must work, and that tells exactly one event of it.
func ok(t testing.TB, r result) approvals.Request {
	t.Helper()
	if r.err != nil || len(r.events) != 1 {
		t.Fatalf("%v, %v", r.events, r.err)
	}
	return r.Request
}

func partial(t testing.TB) approvals.Request {
	t.Helper()
	r := pending(t, "oncall")
	return ok(t, of(r.Approve(ballot(r, "dba-1"), policy())))
}

func approved(t testing.TB) approvals.Request {
	t.Helper()
	r := partial(t)
	return ok(t, of(r.Approve(ballot(r, "dba-2"), policy())))
}

func executing(t testing.TB) approvals.Request {
	t.Helper()
	return ok(t, of(approved(t).Claim(noon.Add(2*time.Minute), "attempt")))
}

func held(t testing.TB) approvals.Request {
	t.Helper()
	return ok(t, of(executing(t).Hold(noon.Add(2*time.Minute), "Is dc1 off?", "orders", noon.Add(12*time.Minute))))
}

func succeeded(t testing.TB) approvals.Request {
	t.Helper()
	return ok(t, of(executing(t).Finish(noon.Add(3*time.Minute), approvals.Succeed, "verified", nil)))
}

// every gives a request in each state.
func every(t testing.TB) map[approvals.State]approvals.Request {
	t.Helper()
	late := noon.Add(3 * time.Minute)
	out := map[approvals.State]approvals.Request{
		approvals.Pending: pending(t, "oncall"), approvals.Partial: partial(t), approvals.Approved: approved(t),
		approvals.Executing: executing(t), approvals.Held: held(t), approvals.Succeeded: succeeded(t),
		approvals.Aborted:   ok(t, of(executing(t).Finish(late, approvals.Abort, "taken back", nil))),
		approvals.Failed:    ok(t, of(executing(t).Finish(late, approvals.Fail, "half way", nil))),
		approvals.Unknown:   ok(t, of(executing(t).Finish(late, approvals.Lose, "look", nil))),
		approvals.Cancelled: ok(t, of(partial(t).Cancel(ballot(partial(t), "oncall")))),
		approvals.Denied:    ok(t, of(partial(t).Deny(ballot(partial(t), "dba-2"), policy()))),
		approvals.Expired:   ok(t, of(partial(t).Expire(noon.Add(time.Hour)))),
		approvals.Stale:     ok(t, of(partial(t).Outdate(late, "dc1 role: primary → standby"))),
	}
	for state, r := range out {
		if r.State != state {
			t.Fatalf("the request that should be %s is %s", state, r.State)
		}
	}
	return out
}
