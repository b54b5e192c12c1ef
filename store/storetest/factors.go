package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
)

// steps takes a code of six digits for the step of that number.
type steps struct{}

func (steps) Match(_ approvals.Person, _ []byte, code string, _ time.Time) (uint64, bool, error) {
	var step uint64
	_, err := fmt.Sscanf(code, "%d", &step)
	return step, step > 0, err
}

// codePolicy is Policy with codes.
func codePolicy() approvals.Policy {
	p := Policy()
	p.Factor = approvals.FactorRequired
	return p
}

// askForCode is create under that policy.
func (b bundle) askForCode(t *testing.T, id, pair string) approvals.Request {
	t.Helper()
	r, events, err := approvals.Open(approvals.Asking{
		ID: id, Nonce: "n", Requester: "oncall", Place: "T1/C1", At: b.clock.Now(),
		Subject: approvals.Subject{Kind: "switchover", Pair: pair, Text: "plan\n", Data: []byte(`{}`)},
	}, codePolicy())
	must(t, err)
	out, err := b.Create(t.Context(), r, events)
	must(t, err)
	return out
}

// vote is who's yes with a code; like the desk it commits a refusal that has
// something to tell.
func (b bundle) vote(t *testing.T, r approvals.Request, who approvals.Person, code string) error {
	var refusal error
	_, err := b.UpdateAs(t.Context(), r.ID, who, func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		ballot := approvals.Ballot{Person: who, At: b.clock.Now(), Via: "slack", Digest: r.Digest().Short(), Place: r.Place, Code: code}
		out, f, events, err := r.ApproveWith(ballot, codePolicy(), f, steps{})
		if err != nil && len(events) > 0 {
			refusal, err = err, nil
		}
		return out, f, events, err
	})
	return errors.Join(err, refusal)
}

func testFactors(t *testing.T, b bundle) {
	none, err := b.Factor(t.Context(), "dba-1")
	if none.Enrolled() || err != nil {
		t.Fatalf("nobody enrolled: %+v, %v", none, err)
	}
	f := approvals.Factor{Secret: []byte{0, 1, 255}, EnrolledAt: b.clock.Now()}
	must(t, b.SetFactor(t.Context(), "dba-1", f, []approvals.Event{{Subject: "bot", Kind: "otp-enrolled"}}))
	must(t, b.SetFactor(t.Context(), "dba-2", f, nil))
	r := b.askForCode(t, "01", "orders")
	must(t, b.vote(t, r, "dba-1", "000007"))
	f.Step = 7
	all, err := b.Factors(t.Context())
	must(t, err)
	second := f
	second.Step = 0
	if diff := cmp.Diff(map[approvals.Person]approvals.Factor{"dba-1": f, "dba-2": second}, all); diff != "" {
		t.Errorf("after a vote (-want +got):\n%s", diff)
	}
	if err := b.vote(t, r, "dba-2", "000000"); approvals.Refused(err) != approvals.CodeFactor {
		t.Errorf("a wrong code: %v", err)
	}
	if f, _ := b.Factor(t.Context(), "dba-2"); len(f.Tries) != 1 {
		t.Errorf("a wrong code that isn't counted: %+v", f)
	}
	if now, err := b.Request(t.Context(), "01"); len(now.Votes) != 1 || now.Votes[0].Factor != "otp" || err != nil {
		t.Errorf("votes %+v, %v", now.Votes, err)
	}
	kinds := ""
	for _, e := range b.events(t) {
		kinds += e.Kind + " "
	}
	if kinds != "otp-enrolled ask approve otp-wrong " {
		t.Errorf("the log tells %s", kinds)
	}
	boom := errors.New("boom")
	if _, err := b.UpdateAs(t.Context(), "01", "dba-1", func(r approvals.Request, f approvals.Factor) (approvals.Request, approvals.Factor, []approvals.Event, error) {
		f.Step = 99
		return r, f, nil, boom
	}); !errors.Is(err, boom) {
		t.Errorf("the change's error: %v", err)
	}
	if f, _ := b.Factor(t.Context(), "dba-1"); f.Step != 7 {
		t.Errorf("a change that failed left step %d", f.Step)
	}
	must(t, b.SetFactor(t.Context(), "dba-1", approvals.Factor{}, []approvals.Event{{Subject: "bot", Kind: "otp-removed"}}))
	must(t, b.SetFactor(t.Context(), "nobody", approvals.Factor{}, nil))
	if f, err := b.Factor(t.Context(), "dba-1"); f.Enrolled() || err != nil {
		t.Errorf("removed, but %+v, %v", f, err)
	}
}

// testCodesAtOnce: one code is one vote, whatever is pressed at the same time.
func testCodesAtOnce(t *testing.T, b bundle) {
	must(t, b.SetFactor(t.Context(), "dba-1", approvals.Factor{Secret: []byte("x")}, nil))
	var requests []approvals.Request
	for _, id := range []string{"1", "2", "3"} {
		requests = append(requests, b.askForCode(t, id, "pair "+id))
	}
	var g sync.WaitGroup
	var mu sync.Mutex
	results := map[approvals.Code]int{}
	for _, r := range requests {
		g.Go(func() {
			err := b.vote(t, r, "dba-1", "000009")
			mu.Lock()
			defer mu.Unlock()
			results[approvals.Refused(err)]++
		})
	}
	g.Wait()
	if results[""] != 1 || results[approvals.CodeFactor] != 2 {
		t.Errorf("one code, pressed three times at once: %v", results)
	}
}
