package approvals_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
)

// TestRefusals: each row is a situation, and the sentence that the person gets.
func TestRefusals(t *testing.T) {
	t.Parallel()
	at := noon.Add(time.Minute)
	with := func(b approvals.Ballot, change func(*approvals.Ballot)) approvals.Ballot { change(&b); return b }
	short := policy()
	short.Approvers = short.Approvers[:2]
	for _, row := range []struct {
		title string
		r     approvals.Request
		try   func(approvals.Request) result
		code  approvals.Code
		says  string
	}{
		{"somebody approves who is no approver", pending(t, "oncall"),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "guest"), policy())) },
			approvals.CodeNotApprover, "You are not one of the approvers (dba-1, dba-2, manager)."},
		{"somebody approves whose account has no name", pending(t, "oncall"),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, ""), policy())) },
			approvals.CodeNotApprover, "You are not one of the approvers (dba-1, dba-2, manager)."},
		{"the requester approves, who isn't even an approver", pending(t, "oncall"),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "oncall"), policy())) },
			approvals.CodeNotApprover, "You are not one of the approvers (dba-1, dba-2, manager)."},
		{"the requester approves, who is an approver", pending(t, "dba-1"),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "dba-1"), policy())) },
			approvals.CodeOwnRequest, "You asked for this, so others must decide: 2 of dba-2, manager."},
		{"the requester denies instead of cancelling", pending(t, "dba-1"),
			func(r approvals.Request) result { return of(r.Deny(ballot(r, "dba-1"), policy())) },
			approvals.CodeOwnRequest, "You asked for this, so others must decide: 2 of dba-2, manager."},
		{"somebody approves twice", partial(t),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "dba-1"), policy())) },
			approvals.CodeVotedBefore, "You have approved this request already; somebody else must give the other approval."},
		{"somebody else cancels", pending(t, "oncall"),
			func(r approvals.Request) result { return of(r.Cancel(ballot(r, "dba-1"))) },
			approvals.CodeNotRequest, "Only oncall, who asked, can cancel this request. Approvers can deny it."},
		{"a press in another channel", pending(t, "oncall"), func(r approvals.Request) result {
			return of(r.Approve(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Place = "T1/C2" }), policy()))
		}, approvals.CodePlace, "This request was made in another channel; decide there."},
		{"a denial in another channel", pending(t, "oncall"), func(r approvals.Request) result {
			return of(r.Deny(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Place = "" }), policy()))
		}, approvals.CodePlace, "This request was made in another channel; decide there."},
		{"a button of another plan", pending(t, "oncall"), func(r approvals.Request) result {
			return of(r.Approve(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Digest = "0123456789ab" }), policy()))
		}, approvals.CodeDigest, "The plan that you saw is not the plan of this request. Look at its newest message and decide again."},
		{"a digest of which too little was shown", pending(t, "oncall"), func(r approvals.Request) result {
			return of(r.Approve(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Digest = b.Digest[:11] }), policy()))
		}, approvals.CodeDigest, "The plan that you saw is not the plan of this request. Look at its newest message and decide again."},
		{"a digest with something behind it", pending(t, "oncall"), func(r approvals.Request) result {
			return of(r.Approve(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Digest = string(r.Digest()) + "0" }), policy()))
		}, approvals.CodeDigest, "The plan that you saw is not the plan of this request. Look at its newest message and decide again."},
		{"a third approval", approved(t),
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "manager"), policy())) },
			approvals.CodeState, "The request is approved, so nobody can approve it."},
		{"an approval of what was denied", every(t)[approvals.Denied],
			func(r approvals.Request) result { return of(r.Approve(ballot(r, "manager"), policy())) },
			approvals.CodeState, "The request is denied, so nobody can approve it."},
		{"a denial of what runs", executing(t),
			func(r approvals.Request) result { return of(r.Deny(ballot(r, "manager"), policy())) },
			approvals.CodeState, "The request is executing, so nobody can deny it."},
		{"a cancellation of what runs", executing(t),
			func(r approvals.Request) result { return of(r.Cancel(ballot(r, "oncall"))) },
			approvals.CodeState, "The request is executing, so nobody can cancel it."},
		{"a second claim", executing(t), func(r approvals.Request) result { return of(r.Claim(at, "another")) },
			approvals.CodeState, "The request is executing, so nobody can claim it."},
		{"a claim before the second vote", partial(t), func(r approvals.Request) result { return of(r.Claim(at, "attempt")) },
			approvals.CodeState, "The request is partial, so nobody can claim it."},
		{"a claim by nobody", approved(t), func(r approvals.Request) result { return of(r.Claim(at, "")) },
			approvals.CodeInput, "An attempt without a name can't claim a request."},
		{"a claim after the expiry", approved(t), func(r approvals.Request) result { return of(r.Claim(r.ExpiresAt, "attempt")) },
			approvals.CodeExpired, "The request expired at 2026-03-01T12:15:00Z before it could run."},
		{"a hold for a statement that is empty", executing(t), func(r approvals.Request) result { return of(r.Hold(at, "q", "", at.Add(1))) },
			approvals.CodeInput, `A request can only be held for a statement that can be typed in time; "" until 2026-03-01T12:01:00Z is none.`},
		{"a hold for a statement that nobody can type", executing(t), func(r approvals.Request) result { return of(r.Hold(at, "q", "orders ", at.Add(1))) },
			approvals.CodeInput, `A request can only be held for a statement that can be typed in time; "orders " until 2026-03-01T12:01:00Z is none.`},
		{"a hold that is over at once", executing(t), func(r approvals.Request) result { return of(r.Hold(at, "q", "orders", at)) },
			approvals.CodeInput, `A request can only be held for a statement that can be typed in time; "orders" until 2026-03-01T12:01:00Z is none.`},
		{"a wrong statement", held(t),
			func(r approvals.Request) result {
				return of(r.Answer(ballot(r, "dba-1"), approvals.Accept, "Orders", policy()))
			},
			approvals.CodeStatement, `You typed "Orders"; to go on, type exactly "orders".`},
		{"a statement of somebody who is no approver", held(t),
			func(r approvals.Request) result {
				return of(r.Answer(ballot(r, "oncall"), approvals.Accept, "orders", policy()))
			},
			approvals.CodeNotApprover, "You are not one of the approvers (dba-1, dba-2, manager)."},
		{"a statement of somebody who was taken off the list", held(t),
			func(r approvals.Request) result {
				return of(r.Answer(ballot(r, "manager"), approvals.Accept, "orders", short))
			},
			approvals.CodeNotApprover, "You are not one of the approvers any more."},
		{"a statement in another channel", held(t), func(r approvals.Request) result {
			return of(r.Answer(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.Place = "T2/C1" }), approvals.Refuse, "", policy()))
		}, approvals.CodePlace, "This request was made in another channel; decide there."},
		{"a statement that comes too late", held(t), func(r approvals.Request) result {
			return of(r.Answer(with(ballot(r, "dba-1"), func(b *approvals.Ballot) { b.At = noon.Add(12 * time.Minute) }), approvals.Accept, "orders", policy()))
		}, approvals.CodeExpired, "The time for this statement ended at 2026-03-01T12:12:00Z."},
		{"a lapse before its time", held(t),
			func(r approvals.Request) result {
				return of(r.Answer(approvals.Ballot{At: at}, approvals.Lapse, "", policy()))
			},
			approvals.CodeState, "The statement may still be typed until 2026-03-01T12:12:00Z."},
		{"a lapse of what isn't held", executing(t),
			func(r approvals.Request) result {
				return of(r.Answer(approvals.Ballot{At: at}, approvals.Lapse, "", policy()))
			},
			approvals.CodeState, "The request is executing, so nobody can let the time run out for it."},
		{"an answer that ends the execution", executing(t),
			func(r approvals.Request) result {
				return of(r.Answer(ballot(r, "dba-1"), approvals.Succeed, "orders", policy()))
			},
			approvals.CodeInput, `A question can be accepted, refused or lapse; "succeed" is no answer.`},
		{"an end that is a vote", partial(t), func(r approvals.Request) result { return of(r.Finish(at, approvals.Approve, "", nil)) },
			approvals.CodeInput, `An execution can't end by "approve".`},
		{"an end of what doesn't run", approved(t), func(r approvals.Request) result { return of(r.Finish(at, approvals.Succeed, "", nil)) },
			approvals.CodeState, "The request is approved, so nobody can finish (succeed) it."},
		{"an end of what waits for a statement", held(t), func(r approvals.Request) result { return of(r.Finish(at, approvals.Abort, "", nil)) },
			approvals.CodeState, "The request is held, so nobody can finish (abort) it."},
		{"an outdating of what has run", succeeded(t), func(r approvals.Request) result { return of(r.Outdate(at, "why")) },
			approvals.CodeState, "The request is succeeded, so nobody can outdate it."},
		{"a vote on what was never asked", approvals.Request{}, func(r approvals.Request) result { return of(r.Approve(ballot(r, "dba-1"), policy())) },
			approvals.CodeState, "The request was not asked yet, so nobody can approve it."},
	} {
		got := row.try(row.r)
		if approvals.Refused(got.err) != row.code || got.err.Error() != row.says {
			t.Errorf("%s: %q %v\nwant %q %s", row.title, approvals.Refused(got.err), got.err, row.code, row.says)
		}
		if diff := cmp.Diff(row.r, got.Request); diff != "" || len(got.events) > 0 {
			t.Errorf("%s: something changed: %v\n%s", row.title, got.events, diff)
		}
	}
}

// TestRefusalsThatMove: whoever presses on a request that is over, or was made
// under another policy, is refused and moves it, and that is told.
func TestRefusalsThatMove(t *testing.T) {
	t.Parallel()
	other := policy()
	other.Approvers = append(other.Approvers, "dba-3")
	late := func(r approvals.Request, who approvals.Person) approvals.Ballot {
		b := ballot(r, who)
		b.At = r.ExpiresAt
		return b
	}
	for _, row := range []struct {
		title string
		got   result
		code  approvals.Code
		says  string
		state approvals.State
	}{
		{"an approval at the very end", of(partial(t).Approve(late(partial(t), "dba-2"), policy())),
			approvals.CodeExpired, "This request expired at 2026-03-01T12:15:00Z. Ask again.", approvals.Expired},
		{"a denial after the end", of(approved(t).Deny(late(approved(t), "dba-2"), policy())),
			approvals.CodeExpired, "This request expired at 2026-03-01T12:15:00Z. Ask again.", approvals.Expired},
		{"an approval after the end by a stranger", of(pending(t, "oncall").Approve(late(partial(t), "guest"), policy())),
			approvals.CodeExpired, "This request expired at 2026-03-01T12:15:00Z. Ask again.", approvals.Expired},
		{"an approval under another policy", of(partial(t).Approve(ballot(partial(t), "dba-2"), other)),
			approvals.CodePolicy, "The approval policy changed after this request was made, so its votes are void. Ask again.", approvals.Stale},
		{"a denial under another policy", of(approved(t).Deny(ballot(approved(t), "dba-2"), other)),
			approvals.CodePolicy, "The approval policy changed after this request was made, so its votes are void. Ask again.", approvals.Stale},
	} {
		if approvals.Refused(row.got.err) != row.code || row.got.err.Error() != row.says {
			t.Errorf("%s: %q %v\nwant %q %s", row.title, approvals.Refused(row.got.err), row.got.err, row.code, row.says)
		}
		if row.got.State != row.state || len(row.got.events) != 1 || row.got.EndedBy != "" || row.got.Why == "" {
			t.Errorf("%s: it is %s, ended by %q because %q, told as %v", row.title, row.got.State, row.got.EndedBy, row.got.Why, row.got.events)
		}
	}
}

func TestPolicyThatCanNeverBeMet(t *testing.T) {
	t.Parallel()
	with := func(change func(*approvals.Policy)) approvals.Policy { p := policy(); change(&p); return p }
	const names = "must be one line of visible characters, without commas and without blanks around it."
	for _, row := range []struct {
		title  string
		policy approvals.Policy
		says   string
	}{
		{"three approvers", policy(), ""},
		{"two approvers of whom one may be the requester", with(func(p *approvals.Policy) { p.Approvers, p.AllowRequester = p.Approvers[:2], true }), ""},
		{"two approvers", with(func(p *approvals.Policy) { p.Approvers = p.Approvers[:2] }),
			"2 distinct approvers are configured, but 3 are needed: when the requester is one of them, 2 others must remain. Add approvers."},
		{"one approver, three times", with(func(p *approvals.Policy) { p.Approvers = []approvals.Person{"dba-1", "dba-1", "dba-1"} }),
			"1 distinct approvers are configured, but 3 are needed: when the requester is one of them, 2 others must remain. Add approvers."},
		{"none", approvals.Policy{}, "0 distinct approvers are configured, but 3 are needed: when the requester is one of them, 2 others must remain. Add approvers."},
		{"no time to vote", with(func(p *approvals.Policy) { p.Expiry = 0 }), "expiry (0s) and hold expiry (10m0s) must both be longer than 0."},
		{"no time to state", with(func(p *approvals.Policy) { p.HoldExpiry = -time.Second }), "expiry (15m0s) and hold expiry (-1s) must both be longer than 0."},
		{"two persons in one name", with(func(p *approvals.Policy) { p.Approvers[0] = "dba-1, dba-3" }), `The approver "dba-1, dba-3" ` + names},
		{"a name with a line break", with(func(p *approvals.Policy) { p.Approvers[0] = "dba-1\nreason: x" }), `The approver "dba-1\nreason: x" ` + names},
		{"a nameless approver", with(func(p *approvals.Policy) { p.Approvers[0] = "" }), "The approver is missing."},
	} {
		err := row.policy.Validate()
		if row.says == "" && err != nil || row.says != "" && (approvals.Refused(err) != approvals.CodePolicyBad || err.Error() != row.says) {
			t.Errorf("%s: %v\nwant %s", row.title, err, row.says)
		}
		_, events, openErr := approvals.Open(asking("oncall"), row.policy)
		if (openErr == nil) != (err == nil) || len(events) > 0 != (err == nil) {
			t.Errorf("%s: asking: %v, %v", row.title, events, openErr)
		}
	}
}

func TestAskingThatIsRefused(t *testing.T) {
	t.Parallel()
	const odd = "must be one line of visible characters, without commas and without blanks around it."
	for _, row := range []struct {
		title  string
		change func(*approvals.Asking)
		says   string
	}{
		{"nobody asks", func(a *approvals.Asking) { a.Requester = "" }, "The requester is missing."},
		{"the requester has a line break", func(a *approvals.Asking) { a.Requester = "x\napprovers: guest" }, `The requester "x\napprovers: guest" ` + odd},
		{"the requester is written backwards", func(a *approvals.Asking) { a.Requester = "abc\u202edef" }, `The requester "abc\u202edef" ` + odd},
		{"the pair has a line break", func(a *approvals.Asking) { a.Subject.Pair = "orders\rpair: x" }, `The pair "orders\rpair: x" ` + odd},
		{"there is no pair", func(a *approvals.Asking) { a.Subject.Pair = "" }, "The pair is missing."},
		{"the pair is endless", func(a *approvals.Asking) { a.Subject.Pair = strings.Repeat("x", 257) }, "The pair is 257 bytes long; at most 256 are possible."},
		{"there is no kind", func(a *approvals.Asking) { a.Subject.Kind = "" }, "The kind of request is missing."},
		{"there is no id", func(a *approvals.Asking) { a.ID = "" }, "The request's id is missing."},
		{"the id ends with a blank", func(a *approvals.Asking) { a.ID = "01 " }, `The request's id "01 " ` + odd},
		{"there is no nonce", func(a *approvals.Asking) { a.Nonce = "" }, "The request's nonce is missing."},
		{"the nonce is no text", func(a *approvals.Asking) { a.Nonce = "\xff" }, `The request's nonce "\xff" ` + odd},
		{"there is no plan", func(a *approvals.Asking) { a.Subject.Text = " \n" }, "There is no plan to approve."},
		{"the plan is no text", func(a *approvals.Asking) { a.Subject.Text = "a\xffb" }, "The plan's text is not valid UTF-8, so it could not be stored as it was read."},
		{"there is no time", func(a *approvals.Asking) { a.At = time.Time{} }, "The time of asking is missing."},
	} {
		a := asking("oncall")
		row.change(&a)
		r, events, err := approvals.Open(a, policy())
		if approvals.Refused(err) != approvals.CodeInput || err.Error() != row.says || r.State != "" || len(events) > 0 {
			t.Errorf("%s: %v (%s, %v)\nwant %s", row.title, err, r.State, events, row.says)
		}
	}
}

func TestRefusedFindsTheCode(t *testing.T) {
	t.Parallel()
	refusal := &approvals.Refusal{Code: approvals.CodeOpen, Message: "there is one", Request: "01"}
	if got := approvals.Refused(fmt.Errorf("asking: %w", errors.Join(errors.New("x"), refusal))); got != approvals.CodeOpen {
		t.Errorf("a wrapped refusal: %q", got)
	}
	if got := approvals.Refused(errors.New("disk")); got != "" {
		t.Errorf("another error: %q", got)
	}
	if got := approvals.Refused(nil); got != "" {
		t.Errorf("no error: %q", got)
	}
}
