package approvals_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/approvals"
)

// book takes the codes of a few steps around now.
type book struct{ err error }

func (b book) Match(_ approvals.Person, _ []byte, code string, at time.Time) (uint64, bool, error) {
	now := uint64(at.Unix() / 30)
	for step := now - 1; step <= now+1; step++ {
		if code == codeOf(step) {
			return step, true, b.err
		}
	}
	return 0, false, b.err
}

func codeOf(step uint64) string { return fmt.Sprintf("%06d", step%1_000_000) }

func coded(rule approvals.FactorRule) approvals.Policy {
	p := policy()
	p.Factor = rule
	return p
}

func enrolled() approvals.Factor { return approvals.Factor{Secret: []byte("sealed"), EnrolledAt: noon} }

type voted struct {
	approvals.Request
	factor approvals.Factor
	events []approvals.Event
	err    error
}

func with(r approvals.Request, f approvals.Factor, events []approvals.Event, err error) voted {
	return voted{r, f, events, err}
}

func withCode(b approvals.Ballot, code string) approvals.Ballot {
	b.Code = code
	return b
}

func stepOf(b approvals.Ballot) uint64 { return uint64(b.At.Unix() / 30) }

func TestFactorRules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule   approvals.FactorRule
		factor approvals.Factor
		code   bool // the right one
		want   approvals.Code
		marked string
	}{
		{approvals.FactorOff, approvals.Factor{}, false, "", ""},
		{approvals.FactorOff, enrolled(), false, "", ""},
		{"", enrolled(), false, "", ""},
		{approvals.FactorOptional, approvals.Factor{}, false, "", ""},
		{approvals.FactorOptional, enrolled(), false, approvals.CodeFactor, ""},
		{approvals.FactorOptional, enrolled(), true, "", "otp"},
		{approvals.FactorRequired, approvals.Factor{}, false, approvals.CodeFactorMissing, ""},
		{approvals.FactorRequired, approvals.Factor{}, true, approvals.CodeFactorMissing, ""},
		{approvals.FactorRequired, enrolled(), false, approvals.CodeFactor, ""},
		{approvals.FactorRequired, enrolled(), true, "", "otp"},
	} {
		p := coded(row.rule)
		r := askedOf(t, p)
		b := ballot(r, "dba-1")
		if row.code {
			b.Code = codeOf(stepOf(b))
		}
		got := with(r.ApproveWith(b, p, row.factor, book{}))
		if approvals.Refused(got.err) != row.want || (got.err == nil) != (len(got.Votes) == 1) {
			t.Errorf("%q, enrolled %t, code %t: %v", row.rule, row.factor.Enrolled(), row.code, got.err)
		}
		if got.err == nil && (got.Votes[0].Factor != row.marked || !strings.Contains(string(got.events[0].Data), row.marked)) {
			t.Errorf("%q: the vote is marked %q: %s", row.rule, got.Votes[0].Factor, got.events[0].Data)
		}
	}
}

// TestNoWayAroundARequiredCode: neither the plain methods nor a ballot that
// pretends, and no grant from votes without one.
func TestNoWayAroundARequiredCode(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	r := askedOf(t, p)
	if !strings.Contains(r.Text(), "\none-time code: required\n") || r.Factor != approvals.FactorRequired {
		t.Errorf("the text is\n%s", r.Text())
	}
	if _, events, err := r.Approve(withCode(ballot(r, "dba-1"), codeOf(1)), p); approvals.Refused(err) != approvals.CodeFactorMissing || len(events) > 0 {
		t.Errorf("a plain approval: %v", err)
	}
	proven := with(r.ApproveWith(withCode(ballot(r, "dba-1"), codeOf(stepOf(ballot(r, "dba-1")))), p, enrolled(), book{}))
	if proven.err != nil {
		t.Fatal(proven.err)
	}
	second := withCode(ballot(r, "dba-2"), codeOf(stepOf(ballot(r, "dba-2"))))
	both := with(proven.ApproveWith(second, p, enrolled(), book{}))
	run := ok(t, of(both.Claim(noon, "attempt")))
	if _, err := approvals.MintGrant(run); err != nil {
		t.Errorf("two votes with codes: %v", err)
	}
	run.Votes[1].Factor = ""
	if _, err := approvals.MintGrant(run); approvals.Refused(err) != approvals.CodeState {
		t.Errorf("a vote without a code gives a grant: %v", err)
	}
	heldRun := ok(t, of(both.Claim(noon, "attempt")))
	heldRun = ok(t, of(heldRun.Hold(noon, "Is dc1 off?", "orders", noon.Add(time.Hour))))
	if _, _, err := heldRun.Answer(ballot(r, "dba-1"), approvals.Accept, "orders", p); approvals.Refused(err) != approvals.CodeFactorMissing {
		t.Errorf("a plain statement: %v", err)
	}
	if got := with(heldRun.AnswerWith(ballot(r, "dba-1"), approvals.Refuse, "", p, approvals.Factor{}, book{})); got.err != nil {
		t.Errorf("taking it back needs no code: %v", got.err)
	}
	stated := with(heldRun.AnswerWith(withCode(ballot(r, "dba-1"), codeOf(stepOf(ballot(r, "dba-1")))), approvals.Accept, "orders", p, enrolled(), book{}))
	if stated.err != nil || stated.Pauses[0].Factor != "otp" || stated.factor.Step == 0 {
		t.Errorf("a statement with a code: %+v, %v", stated.Pauses, stated.err)
	}
	if denied := of(r.Deny(ballot(r, "manager"), p)); denied.err != nil {
		t.Errorf("a no needs no code: %v", denied.err)
	}
}

// TestCodesAreSpent: a code is taken once, and none of a step before it.
func TestCodesAreSpent(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	r := askedOf(t, p)
	b := ballot(r, "dba-1")
	now := stepOf(b)
	first := with(r.ApproveWith(withCode(b, " "+codeOf(now)[:3]+" "+codeOf(now)[3:]), p, enrolled(), book{}))
	if first.err != nil || first.factor.Step != now {
		t.Fatalf("step %d, %v", first.factor.Step, first.err)
	}
	other := askedOf(t, p) // the same person, another request
	for code, want := range map[string]string{codeOf(now): "used already", codeOf(now - 1): "used already", codeOf(now + 2): "not the code of this moment", codeOf(now - 2): "not the code of this moment"} {
		got := with(other.ApproveWith(withCode(b, code), p, first.factor, book{}))
		if approvals.Refused(got.err) != approvals.CodeFactor || !strings.Contains(got.err.Error(), want) || len(got.Votes) > 0 {
			t.Errorf("%s: %v", code, got.err)
		}
		if len(got.events) != 1 || got.events[0].Kind != approvals.EventCodeWrong || got.events[0].Actor != "dba-1" || len(got.factor.Tries) != 1 || got.factor.Step != now {
			t.Errorf("%s: told as %+v, kept as %+v", code, got.events, got.factor)
		}
		if raw, _ := json.Marshal(got.events); strings.Contains(string(raw), code) {
			t.Errorf("the log holds the code: %s", raw)
		}
	}
	if got := with(other.ApproveWith(withCode(b, codeOf(now+1)), p, first.factor, book{})); got.err != nil || got.factor.Step != now+1 {
		t.Errorf("the next code: %v", got.err)
	}
}

// TestCodesThatAreNoCodes cost no try, and neither does a press that would not
// count anyway.
func TestCodesThatAreNoCodes(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	r := askedOf(t, p)
	for _, code := range []string{"", "12345", "1234567", "12a456", "١٢٣٤٥٦", "12345\x00"} {
		got := with(r.ApproveWith(withCode(ballot(r, "dba-1"), code), p, enrolled(), book{}))
		if approvals.Refused(got.err) != approvals.CodeFactor || len(got.events) > 0 || len(got.factor.Tries) > 0 {
			t.Errorf("%q: %v, %+v", code, got.err, got.factor)
		}
	}
	for who, want := range map[approvals.Person]approvals.Code{"guest": approvals.CodeNotApprover, "oncall": approvals.CodeNotApprover} {
		got := with(r.ApproveWith(withCode(ballot(r, who), "000000"), p, enrolled(), book{}))
		if approvals.Refused(got.err) != want || len(got.events) > 0 {
			t.Errorf("%s: %v", who, got.err)
		}
	}
	unreadable := with(r.ApproveWith(withCode(ballot(r, "dba-1"), "000000"), p, enrolled(), book{err: errors.New("it was stored under another key")}))
	if approvals.Refused(unreadable.err) != approvals.CodeFactorMissing || !strings.Contains(unreadable.err.Error(), "another key") || len(unreadable.events) > 0 {
		t.Errorf("a secret that can't be read: %v", unreadable.err)
	}
}

// TestWrongCodesLock: five within a quarter of an hour, and then not even the
// right one counts for as long.
func TestWrongCodesLock(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	p.Expiry = 24 * time.Hour
	r := askedOf(t, p)
	f := enrolled()
	at := func(d time.Duration, code string) voted {
		b := ballot(r, "dba-1")
		b.At = b.At.Add(d)
		if code == "" {
			code = codeOf(stepOf(b))
		}
		got := with(r.ApproveWith(withCode(b, code), p, f, book{}))
		f = got.factor
		return got
	}
	for i := range approvals.MaxTries - 1 {
		if got := at(time.Duration(i)*time.Minute, "000000"); approvals.Refused(got.err) != approvals.CodeFactor || !strings.Contains(got.err.Error(), fmt.Sprint(approvals.MaxTries-1-i, " tries are left")) {
			t.Errorf("try %d: %v", i, got.err)
		}
	}
	locked := at(4*time.Minute, "000000")
	if approvals.Refused(locked.err) != approvals.CodeFactorLocked || len(locked.events) != 2 || locked.events[1].Kind != approvals.EventCodeLocked {
		t.Fatalf("the last try: %v, %+v", locked.err, locked.events)
	}
	var told approvals.FactorData
	if err := json.Unmarshal(locked.events[1].Data, &told); err != nil || !told.Until.Equal(f.LockedUntil) {
		t.Errorf("told %+v, %v", told, err)
	}
	if got := at(4*time.Minute+approvals.Lockout-time.Second, ""); approvals.Refused(got.err) != approvals.CodeFactorLocked || len(got.events) > 0 || len(got.Votes) > 0 {
		t.Errorf("the right code while it is locked: %v", got.err)
	}
	if got := at(4*time.Minute+approvals.Lockout, ""); got.err != nil {
		t.Errorf("the right code behind the lock: %v", got.err)
	}
}

func TestOldTriesAreForgotten(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	p.Expiry = 24 * time.Hour
	r := askedOf(t, p)
	f := enrolled()
	for i := range 20 {
		b := withCode(ballot(r, "dba-1"), "000000")
		b.At = b.At.Add(time.Duration(i) * 5 * time.Minute)
		got := with(r.ApproveWith(b, p, f, book{}))
		if f = got.factor; approvals.Refused(got.err) != approvals.CodeFactor || len(f.Tries) > 3 {
			t.Fatalf("try %d: %v, %d kept", i, got.err, len(f.Tries))
		}
	}
}

// TestFactorIsMonotone: whatever is typed whenever, a step is never taken twice
// and the last one never falls.
func TestFactorIsMonotone(t *testing.T) {
	t.Parallel()
	p := coded(approvals.FactorRequired)
	p.Expiry = 24 * time.Hour
	r := askedOf(t, p)
	rapid.Check(t, func(rt *rapid.T) {
		f, taken := enrolled(), map[uint64]bool{}
		for range rapid.IntRange(1, 40).Draw(rt, "presses") {
			b := ballot(r, "dba-1")
			b.At = noon.Add(time.Duration(rapid.IntRange(0, 3600).Draw(rt, "at")) * time.Second)
			b.Code = codeOf(stepOf(b) + uint64(rapid.IntRange(0, 6).Draw(rt, "shift")) - 3)
			got := with(r.ApproveWith(b, p, f, book{}))
			if got.factor.Step < f.Step {
				rt.Fatalf("the last step fell from %d to %d", f.Step, got.factor.Step)
			}
			if got.err == nil {
				if taken[got.factor.Step] || got.factor.Step == f.Step {
					rt.Fatalf("step %d was taken twice", got.factor.Step)
				}
				taken[got.factor.Step] = true
			}
			f = got.factor
		}
	})
}
