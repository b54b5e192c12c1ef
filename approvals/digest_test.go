package approvals_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twokey/approvals"
)

// TestText is the canonical text as people approve it, to the letter: a change
// of it voids every open request.
func TestText(t *testing.T) {
	t.Parallel()
	r := pending(t, "oncall")
	want := "twokey request, format 1\n" +
		"request: 01J0\nkind: switchover\npair: orders\n" +
		"requester: oncall (may approve: false)\napprovers: dba-1, dba-2, manager\napprovals needed: 2\n" +
		"policy: " + r.Policy + "\nnonce: f00d\n" +
		"asked: 2026-03-01T12:00:00Z\nexpires: 2026-03-01T12:15:00Z\n" +
		"reason: disk is failing\n\nfrom: dc1\nto: dc2\n"
	if r.Text() != want {
		t.Errorf("got\n%s\nwant\n%s", r.Text(), want)
	}
	sum := sha256.Sum256([]byte(want))
	if string(r.Digest()) != hex.EncodeToString(sum[:]) || !strings.HasPrefix(string(r.Digest()), r.Digest().Short()) || len(r.Digest().Short()) != 12 {
		t.Errorf("digest %s, short %s", r.Digest(), r.Digest().Short())
	}
	if short := approvals.Digest("abc").Short(); short != "abc" {
		t.Errorf("the short form of a digest that is too short: %q", short)
	}
}

// TestDigestCovers: each row changes one thing of a request. What a vote agrees
// to changes the digest; where the request lies and how far it got doesn't.
func TestDigestCovers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		what    string
		covered bool
		change  func(*approvals.Request)
	}{
		{"its id", true, func(r *approvals.Request) { r.ID += "x" }},
		{"its kind", true, func(r *approvals.Request) { r.Subject.Kind = "failover" }},
		{"its pair", true, func(r *approvals.Request) { r.Subject.Pair = "billing" }},
		{"its plan", true, func(r *approvals.Request) { r.Subject.Text = strings.Replace(r.Subject.Text, "dc2", "dc3", 1) }},
		{"a blank at the plan's end", true, func(r *approvals.Request) { r.Subject.Text += " " }},
		{"its requester", true, func(r *approvals.Request) { r.Requester = "dba-1" }},
		{"its reason", true, func(r *approvals.Request) { r.Reason = "" }},
		{"an approver more", true, func(r *approvals.Request) { r.Approvers = append(r.Approvers, "x") }},
		{"an approver less", true, func(r *approvals.Request) { r.Approvers = r.Approvers[:2] }},
		{"another approver", true, func(r *approvals.Request) { r.Approvers = []approvals.Person{"dba-1", "dba-2", "x"} }},
		{"the group of its approvers", true, func(r *approvals.Request) { r.Group = "S0OPS" }},
		{"whether codes are asked for", true, func(r *approvals.Request) { r.Factor = approvals.FactorRequired }},
		{"its policy", true, func(r *approvals.Request) { r.Policy = "000000" }},
		{"whether the requester may approve", true, func(r *approvals.Request) { r.AllowRequester = true }},
		{"its nonce", true, func(r *approvals.Request) { r.Nonce = "beef" }},
		{"when it was asked", true, func(r *approvals.Request) { r.CreatedAt = r.CreatedAt.Add(time.Second) }},
		{"when it expires", true, func(r *approvals.Request) { r.ExpiresAt = r.ExpiresAt.Add(time.Second) }},

		{"its version", false, func(r *approvals.Request) { r.Version++ }},
		{"its place", false, func(r *approvals.Request) { r.Place = "T1/C2" }},
		{"its state", false, func(r *approvals.Request) { r.State = approvals.Denied }},
		{"its votes", false, func(r *approvals.Request) { r.Votes = append(r.Votes, approvals.Vote{Person: "dba-1"}) }},
		{"its attempt", false, func(r *approvals.Request) { r.Attempt = "x" }},
		{"its pauses", false, func(r *approvals.Request) { r.Pauses = append(r.Pauses, approvals.Pause{Question: "?"}) }},
		{"its end", false, func(r *approvals.Request) { r.EndedAt, r.EndedBy, r.Why = noon, "dba-1", "x" }},
		{"its outcome", false, func(r *approvals.Request) { r.Outcome = json.RawMessage(`{}`) }},
		{"the time zone it is shown in", false, func(r *approvals.Request) { r.ExpiresAt = r.ExpiresAt.In(time.FixedZone("far", 7200)) }},
		{"the plan's machine form, which the executor compares with its text", false, func(r *approvals.Request) { r.Subject.Data = json.RawMessage(`{}`) }},
	} {
		r := pending(t, "oncall")
		before := r.Digest()
		row.change(&r)
		if changed := r.Digest() != before; changed != row.covered {
			t.Errorf("%s changed the digest: %t, want %t", row.what, changed, row.covered)
		}
	}
}

// hostile is text as somebody would write it who wants another line in the plan.
func hostile() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"\n", "\r\n", "\u2028", "\u2029", "\u0085", "\v", "\f", "\x00", "\x1b[2J", "\u202e", "\u2066", "\xff\xfe", "\xc0\x8a",
			"\nrequester: dba-1\n", "\n\nto: dc1\n", "approvers: guest", "reason: ", ", ", "expires: 2099-01-01T00:00:00Z",
		}))
		return strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "")
	})
}

// TestReasonCannotForgeALine: whatever the reason is, it stays on its own line
// of the text and all other lines are as they are without it.
func TestReasonCannotForgeALine(t *testing.T) {
	t.Parallel()
	plain := asking("oncall")
	plain.Reason = ""
	bare, _, err := approvals.Open(plain, policy())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		a := asking("oncall")
		a.Reason = hostile().Draw(rt, "reason")
		r, _, err := approvals.Open(a, policy())
		if err != nil {
			rt.Fatal(err)
		}
		want := strings.Replace(bare.Text(), "\nreason: \n", "\nreason: "+r.Reason+"\n", 1)
		if r.Text() != want || strings.Count(r.Text(), "\n") != strings.Count(bare.Text(), "\n") {
			rt.Fatalf("the text became\n%s", r.Text())
		}
		if !utf8.ValidString(r.Reason) || strings.ContainsAny(r.Reason, "\n\r\v\f\x00\x1b\u0085\u2028\u2029\u202e\u2066") {
			rt.Fatalf("the reason is kept as %q", r.Reason)
		}
	})
}

// TestDigestSurvivesStorage: a request that went through JSON, as every store
// keeps it, has the digest that was asked for.
func TestDigestSurvivesStorage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := asking("oncall")
		a.Reason, a.Subject.Text = hostile().Draw(rt, "reason"), hostile().Draw(rt, "plan")
		a.At = noon.Add(time.Duration(rapid.Int64Range(0, 1e12).Draw(rt, "at"))).In(time.FixedZone("far", 3600))
		r, _, err := approvals.Open(a, policy())
		if approvals.Refused(err) == approvals.CodeInput { // the plan is no text
			return
		}
		raw, err := json.Marshal(r)
		if err != nil {
			rt.Fatal(err)
		}
		var back approvals.Request
		if err := json.Unmarshal(raw, &back); err != nil {
			rt.Fatal(err)
		}
		if back.Digest() != r.Digest() {
			rt.Fatalf("asked for\n%q\nstored as\n%q", r.Text(), back.Text())
		}
	})
}

// TestDifferentAskingsDiffer: two askings that differ in anything that is voted
// on never have the same digest, however their parts are put together.
func TestDifferentAskingsDiffer(t *testing.T) {
	t.Parallel()
	name := rapid.OneOf(rapid.StringMatching(`[a-c]{1,2}( [a-c]{1,2})?`), rapid.SampledFrom([]string{"a: b", "kind", "slack:T1/U1", "]", "[a"}))
	draw := func(rt *rapid.T) (approvals.Asking, approvals.Policy) {
		a, p := asking(approvals.Person(name.Draw(rt, "requester"))), policy()
		a.ID, a.Nonce, a.Subject.Kind, a.Subject.Pair = name.Draw(rt, "id"), name.Draw(rt, "nonce"), name.Draw(rt, "kind"), name.Draw(rt, "pair")
		a.Reason, a.Subject.Text = name.Draw(rt, "reason"), name.Draw(rt, "plan")
		p.Approvers = nil
		for _, n := range rapid.SliceOfNDistinct(name, 3, 5, rapid.ID[string]).Draw(rt, "approvers") {
			p.Approvers = append(p.Approvers, approvals.Person(n))
		}
		return a, p
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, p := draw(rt)
		b, q := draw(rt)
		one, _, err1 := approvals.Open(a, p)
		two, _, err2 := approvals.Open(b, q)
		if err1 != nil || err2 != nil {
			rt.Fatal(err1, err2)
		}
		voted := func(r approvals.Request) string {
			return fmt.Sprintf("%q", []any{r.ID, r.Nonce, r.Subject.Kind, r.Subject.Pair, r.Requester, r.Reason, r.Subject.Text, r.Approvers})
		}
		if same := voted(one) == voted(two); same != (one.Digest() == two.Digest()) {
			rt.Fatalf("same content %t, same digest %t:\n%s\n%s", same, !same, one.Text(), two.Text())
		}
		if (fmt.Sprintf("%q", one.Approvers) == fmt.Sprintf("%q", two.Approvers)) != (p.Version() == q.Version()) {
			rt.Fatalf("policies of %q and %q have versions %s and %s", one.Approvers, two.Approvers, p.Version(), q.Version())
		}
	})
}
