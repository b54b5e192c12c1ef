package actions_test

import (
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// testPolicy: three approvers, so that two remain when one of them asks.
func testPolicy() approvals.Policy {
	return approvals.Policy{Approvers: []approvals.Person{"dba-1", "dba-2", "manager"}, Expiry: 15 * time.Minute, HoldExpiry: 10 * time.Minute}
}

// claimed is a running request with two votes for a plan.
func claimed(t *testing.T, p actions.Plan) approvals.Request {
	t.Helper()
	policy := testPolicy()
	r := requestOf(t, p.Text(), p)
	r, _, err := approvals.Open(approvals.Asking{ID: "01", Nonce: "n", Subject: r.Subject, Requester: "oncall", Place: "ops", At: noon}, policy)
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		if err == nil {
			r, _, err = r.Approve(approvals.Ballot{Person: who, At: noon, Digest: string(r.Digest()), Place: "ops"}, policy)
		}
	}
	if err == nil {
		r, _, err = r.Claim(noon, "attempt")
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMayPromote(t *testing.T) {
	t.Parallel()
	p := planFor(t, actions.Question{}, but())
	r := claimed(t, p)
	grant, err := approvals.MintGrant(r)
	if err != nil {
		t.Fatal(err)
	}
	stopped, err := actions.ClearStopping("dc1", actions.WALEnd{LSN: 100, End: 200, Shutdown: true, Timeline: 3}, 90, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := actions.MayPromote(grant, r, p, stopped); err != nil {
		t.Fatalf("a grant and a clearance that the plan allows: %v", err)
	}
	changed := func(f func(*approvals.Request)) approvals.Request { c := r; f(&c); return c }
	for title, refused := range map[string]error{
		"the zero grant":                                actions.MayPromote(approvals.Grant{}, r, p, stopped),
		"the zero clearance":                            actions.MayPromote(grant, r, p, actions.Clearance{}),
		"both zero":                                     actions.MayPromote(approvals.Grant{}, approvals.Request{}, p, actions.Clearance{}),
		"the grant of another request":                  actions.MayPromote(grant, changed(func(r *approvals.Request) { r.ID = "02" }), p, stopped),
		"the grant of another attempt":                  actions.MayPromote(grant, changed(func(r *approvals.Request) { r.Attempt = "later" }), p, stopped),
		"the grant of another text":                     actions.MayPromote(grant, changed(func(r *approvals.Request) { r.Subject.Text += "x" }), p, stopped),
		"a clearance for the other node":                actions.PromoteWith(grant, r, p, actions.ClearStopped, "dc2"),
		"a clearance for nobody":                        actions.PromoteWith(grant, r, p, actions.ClearStopped, ""),
		"a fence, which a switchover doesn't allow":     actions.PromoteWith(grant, r, p, actions.ClearOff, "dc1"),
		"a statement, which a switchover doesn't allow": actions.PromoteWith(grant, r, p, actions.ClearAccepted, "dc1"),
		"a clearance of no kind":                        actions.PromoteWith(grant, r, p, "", "dc1"),
		"any clearance, when the plan promotes nobody":  actions.MayPromote(grant, r, planFor(t, actions.Question{Kind: actions.KindRejoin}, but(detached)), stopped),
	} {
		if refused == nil {
			t.Errorf("%s was enough to promote", title)
		}
	}
}

// TestWhatEachPlanAllows: a promotion may rest on what its kind can show, and
// on nothing else.
func TestWhatEachPlanAllows(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		plan    actions.Plan
		allowed string
	}{
		"a switchover": {planFor(t, actions.Question{}, but()), "stopped standby"},
		"a failover":   {planFor(t, actions.Question{}, but(disaster)), "off accepted"},
		"a rejoin":     {planFor(t, actions.Question{Kind: actions.KindRejoin}, but(detached)), ""},
	} {
		r := approvals.Request{ID: "01", Attempt: "a", State: approvals.Executing, Approvers: testPolicy().Approvers, Subject: approvals.Subject{Text: row.plan.Text()}}
		for _, who := range []approvals.Person{"dba-1", "dba-2"} {
			r.Votes = append(r.Votes, approvals.Vote{Person: who, Digest: r.Digest()})
		}
		grant, err := approvals.MintGrant(r)
		if err != nil {
			t.Fatal(err)
		}
		var allowed []string
		for _, kind := range []actions.ClearanceKind{actions.ClearStopped, actions.ClearOff, actions.ClearStandby, actions.ClearAccepted} {
			if actions.PromoteWith(grant, r, row.plan, kind, row.plan.From) == nil {
				allowed = append(allowed, string(kind))
			}
		}
		if got := strings.Join(allowed, " "); got != row.allowed {
			t.Errorf("%s allows %q, want %q", title, got, row.allowed)
		}
	}
}

func TestClearances(t *testing.T) {
	t.Parallel()
	end := func(lsn actions.LSN, shutdown bool, timeline uint32) actions.WALEnd {
		return actions.WALEnd{LSN: lsn, End: lsn + 100, Shutdown: shutdown, Timeline: timeline}
	}
	stated := func(answer approvals.Cause, by approvals.Person) approvals.Pause {
		return approvals.Pause{Answer: answer, By: by}
	}
	recovering := actions.Observation{Node: "dc1", Server: &actions.Server{InRecovery: true}}
	type minting func() (actions.Clearance, error)
	stopping := func(e actions.WALEnd) minting {
		return func() (actions.Clearance, error) { return actions.ClearStopping("dc1", e, 1000, 3) }
	}
	off := func(times int) minting {
		return func() (actions.Clearance, error) { return actions.ClearPower("dc1", "halted", times) }
	}
	follower := func(o actions.Observation) minting {
		return func() (actions.Clearance, error) { return actions.ClearFollower("dc1", o) }
	}
	accepted := func(p approvals.Pause, frozen bool) minting {
		return func() (actions.Clearance, error) { return actions.ClearStated("dc1", p, frozen) }
	}
	for title, row := range map[string]struct {
		mint minting
		kind actions.ClearanceKind // "" when refused
	}{
		"a shutdown checkpoint newer than the order to stop": {stopping(end(1008, true, 3)), actions.ClearStopped},
		"a shutdown checkpoint right at the order to stop":   {stopping(end(1000, true, 3)), actions.ClearStopped},
		"a shutdown checkpoint of a former stop":             {stopping(end(992, true, 3)), ""},
		"a last record that is no shutdown checkpoint":       {stopping(end(1008, false, 3)), ""},
		"a shutdown checkpoint of the next timeline":         {stopping(end(1008, true, 4)), ""},
		"a shutdown checkpoint of the timeline before":       {stopping(end(1008, true, 2)), ""},
		"no end of WAL at all":                               {stopping(actions.WALEnd{}), ""},
		"off, read three times":                              {off(actions.FenceReads), actions.ClearOff},
		"off, read twice":                                    {off(actions.FenceReads - 1), ""},
		"off, never read":                                    {off(0), ""},
		"seen in recovery":                                   {follower(recovering), actions.ClearStandby},
		"seen as a primary":                                  {follower(actions.Observation{Node: "dc1", Server: &actions.Server{}}), ""},
		"not seen":                                           {follower(actions.Observation{Node: "dc1", Failure: &actions.Failure{Reach: actions.Unreachable}}), ""},
		"a person's statement on top of a freeze":            {accepted(stated(approvals.Accept, "dba-1"), true), actions.ClearAccepted},
		"a person's statement without a freeze":              {accepted(stated(approvals.Accept, "dba-1"), false), ""},
		"a refusal on top of a freeze":                       {accepted(stated(approvals.Refuse, "dba-1"), true), ""},
		"time that ran out on top of a freeze":               {accepted(stated(approvals.Lapse, ""), true), ""},
		"a statement of nobody":                              {accepted(stated(approvals.Accept, ""), true), ""},
		"no answer yet":                                      {accepted(approvals.Pause{}, true), ""},
	} {
		c, err := row.mint()
		if c.Kind() != row.kind || (err == nil) != (row.kind != "") {
			t.Errorf("%s: clearance %q, error %v", title, c.Kind(), err)
		}
		if err != nil && c != (actions.Clearance{}) {
			t.Errorf("%s: refused, and yet something was minted: %+v", title, c)
		}
	}
}
