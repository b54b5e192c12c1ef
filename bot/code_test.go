package bot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/approvals"
	"twokey/bot/slacksim"
)

// pad takes each person's codes in the order of its steps, whatever the time.
type pad struct{}

func (pad) Match(_ approvals.Person, secret []byte, code string, _ time.Time) (uint64, bool, error) {
	var step uint64
	_, err := fmt.Sscanf(code, "1%05d", &step)
	return step, err == nil && string(secret) == "secret", nil
}

// withCodes asks for codes of those who are enrolled.
func withCodes(b *bundle, rule approvals.FactorRule, enrolled ...approvals.Person) {
	b.desk.policy.Factor, b.desk.codes = rule, pad{}
	for _, who := range enrolled {
		b.store.setFactor(who, approvals.Factor{Secret: []byte("secret")})
	}
}

// submit submits a view and demands that it is acknowledged.
func (b *bundle) submit(user string, v slacksim.View, values map[string]string) slacksim.Delivery {
	b.t.Helper()
	d, err := b.SubmitModal(b.ctx, user, v.ID, values)
	if err != nil || !d.Acknowledged() {
		b.t.Fatalf("%s submits %v: %v, %s", user, values, err, d.Failure)
	}
	return d
}

// fieldErrors waits until the open view of a person shows an error.
func (b *bundle) fieldErrors(user, field, words string) {
	b.t.Helper()
	b.await("an error at "+field+" with "+words, func(s *slacksim.Snapshot) bool {
		for _, v := range s.Modals(user) {
			if strings.Contains(v.Errors[field], words) {
				return true
			}
		}
		return false
	})
}

func TestAnApprovalAsksForItsCode(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorOptional, "dba-1")
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	v := b.modal(dba1, "Switchover of orders")
	b.untouched()
	for typed, told := range map[string]string{"12345": "Enter the 6 digits", "999999": "not the code of this moment"} {
		b.submit(dba1, v, map[string]string{"code": typed})
		b.fieldErrors(dba1, "code", told)
	}
	b.untouched()
	b.submit(dba1, v, map[string]string{"code": "100 007"})
	b.message("1 of 2 approvals")
	b.await("the view to be closed", func(s *slacksim.Snapshot) bool { return len(s.Modals(dba1)) == 0 })
	if r := b.asked(); r.Votes[0].Factor != "otp" || r.Votes[0].Proof != "submission of view "+v.ID {
		t.Errorf("%+v", r.Votes)
	}
	b.message("dba-1 approved with a one-time code at")
	b.press(dba2, m.TS, "approve") // who isn't enrolled
	b.message("2 of 2 approvals")
}

func TestOfWhomNoCodeCanBeTakenIsToldWhy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorRequired, "dba-1", "dba-2")
	m := b.ask()
	b.press(manager, m.TS, "approve")
	b.whisper(manager, "you have no second factor yet")
	b.press(guest, m.TS, "approve")
	b.whisper(guest, "not one of the approvers") // and nothing about codes
	b.store.setFactor("dba-2", approvals.Factor{Secret: []byte("secret"), LockedUntil: time.Now().Add(time.Minute)})
	b.press(dba2, m.TS, "approve")
	b.whisper(dba2, "is locked until")
	b.press(manager, m.TS, "deny") // a no needs no code
	b.submit(manager, b.modal(manager, "Switchover of orders"), map[string]string{"text": "not tonight"})
	b.message("denied by manager")
}

func TestACodeLocksAfterFiveTries(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorOptional, "dba-1")
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	v := b.modal(dba1, "Switchover of orders")
	for i := range approvals.MaxTries - 1 {
		b.submit(dba1, v, map[string]string{"code": "999999"})
		b.fieldErrors(dba1, "code", fmt.Sprint(approvals.MaxTries-1-i, " tries are left"))
	}
	b.submit(dba1, v, map[string]string{"code": "999999"})
	b.modal(dba1, "somebody uses your account")
	b.message("Too many wrong codes")
	b.untouched()
	if n := b.store.count(approvals.EventCodeLocked); n != 1 {
		t.Errorf("%d locks are told", n)
	}
}

func TestAStatementAsksForItsCode(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorOptional)
	r := b.approved()
	b.store.setFactor("manager", approvals.Factor{Secret: []byte("secret")})
	b.must(b.desk.claim(b.ctx, r.ID))
	b.must(b.desk.hold(b.ctx, r.ID))
	call := b.message("One of:")
	b.press(manager, call.TS, "statement")
	v := b.modal(manager, "One-time code")
	b.submit(manager, v, map[string]string{"text": "orders", "code": "999999"})
	b.fieldErrors(manager, "code", "not the code of this moment")
	b.submit(manager, v, map[string]string{"text": "order", "code": "100001"})
	b.fieldErrors(manager, "text", "type exactly")
	b.submit(manager, v, map[string]string{"text": "orders", "code": "100001"}) // the wrong statement has spent no code
	b.until("the statement to count", func() bool { return b.asked().State == approvals.Executing })
	if p := b.asked().Pauses[0]; p.Factor != "otp" || p.By != "manager" {
		t.Errorf("%+v", p)
	}
}

func TestThreatOneTimeCodeUsedTwice(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorRequired, "dba-1", "dba-2")
	m := b.ask()
	var all sync.WaitGroup
	for i := range 4 { // four sessions of one account, one code
		all.Go(func() { b.sendCode(m, dba1, fmt.Sprint("session", i), "100009") })
	}
	all.Wait()
	if r := b.asked(); len(r.Votes) != 1 || b.store.factor("dba-1").Step != 9 {
		t.Fatalf("votes %+v", r.Votes)
	}
	b.store.setFactor("dba-2", b.store.factor("dba-1")) // whose last code was this one
	b.sendCode(m, dba2, "seen", "100009")
	b.sendCode(m, dba2, "older", "100008")
	if r := b.asked(); len(r.Votes) != 1 {
		t.Errorf("a code that was used counts: %+v", r.Votes)
	}
}

// sendCode submits a code without a view, as a session does that somebody stole
// together with a code.
func (b *bundle) sendCode(m slacksim.Message, user, trigger, code string) {
	b.t.Helper()
	id, digest, _ := strings.Cut(b.genuinePress(m, user, "approve").value, "|")
	private, err := json.Marshal(map[string]string{"r": id, "d": digest, "c": ops, "m": m.TS})
	b.must(err)
	payload, err := json.Marshal(map[string]any{
		"type": "view_submission", "trigger_id": trigger, "api_app_id": slacksim.AppID, "team": map[string]any{"id": team},
		"user": map[string]any{"id": user, "team_id": team},
		"view": map[string]any{
			"id": "V" + trigger, "callback_id": "approve", "private_metadata": string(private),
			"state": map[string]any{"values": map[string]any{"code": map[string]any{"code": map[string]any{"type": "plain_text_input", "value": code}}}},
		},
	})
	b.must(err)
	if d, err := b.Deliver(b.ctx, "interaction", json.RawMessage(payload)); err != nil || !d.Acknowledged() {
		b.t.Errorf("%v: %s", err, d.Failure)
	}
}

// TestThreatStolenSession: whoever has an approver's Slack session, and no code.
func TestThreatStolenSession(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	withCodes(b, approvals.FactorRequired, "dba-1", "dba-2")
	m := b.ask()
	b.press(dba1, m.TS, "approve")
	b.modal(dba1, "Switchover of orders")
	for i, code := range []string{"", "000000", "99999", "12x456"} {
		b.sendCode(m, dba1, fmt.Sprint("guess", i), code)
	}
	b.untouched()
}
