package actions_test

import (
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	theirs "github.com/pquerna/otp/totp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/secret"
	"twokey/store"
	"twokey/totp"
)

// keyring is the second factors of a bundle's people, on the real store with
// real codes.
type keyring struct {
	*bundle
	store   *store.Store
	codes   *totp.Codes
	secrets map[approvals.Person]string
}

func withCodes(b *bundle, dir string, rule approvals.FactorRule) *keyring {
	b.Helper()
	s, err := store.Open(filepath.Join(dir, "twokey.db"), store.Options{})
	b.must(err)
	b.Cleanup(func() { b.must(s.Close()) })
	codes, err := totp.New(secret.New("a key of thirty-two characters !"))
	b.must(err)
	k := &keyring{bundle: b, store: s, codes: codes, secrets: map[approvals.Person]string{}}
	b.keep = func(who *being) books { return bolted{s, who} }
	b.factors, b.codes, b.policy.Factor = s, codes, rule
	return k
}

func (k *keyring) enroll(who approvals.Person) {
	k.Helper()
	uri, sealed := k.codes.Enroll("twokey", who)
	u, err := url.Parse(uri.Reveal())
	k.must(err)
	k.secrets[who] = u.Query().Get("secret")
	k.must(k.store.SetFactor(k.Context(), who, approvals.Factor{Secret: sealed, EnrolledAt: time.Now()}, nil))
}

// code is what who's authenticator shows now.
func (k *keyring) code(who approvals.Person) string {
	k.Helper()
	code, err := theirs.GenerateCode(k.secrets[who], time.Now())
	k.must(err)
	return code
}

func (k *keyring) ballot(r approvals.Request, who approvals.Person, code string) approvals.Ballot {
	b := ballot(r, who)
	b.Code = code
	return b
}

// until reads a request until it is in a state, or has ended in another.
func (k *keyring) until(id string, state approvals.State) approvals.Request {
	k.Helper()
	for {
		r, err := k.store.Request(k.Context(), id)
		k.must(err)
		if r.State == state || r.State.Ended() {
			k.wantState(r, state)
			return r
		}
		settleIn()
	}
}

// TestApprovalsWithCodes: both votes with their codes run; the same code again,
// of another person, of another moment, and after five wrong ones any, don't.
func TestApprovalsWithCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(b *bundle) {
		k := withCodes(b, dir, approvals.FactorRequired)
		k.enroll("dba-1")
		k.enroll("dba-2")
		o := b.start(nil)
		r := o.open(actions.Question{})
		vote := func(who approvals.Person, code string, want approvals.Code) {
			b.Helper()
			if _, err := o.desk.Approve(b.Context(), r.ID, k.ballot(r, who, code)); approvals.Refused(err) != want || want == "" && err != nil {
				b.Errorf("%s with %q: %v, want %q", who, code, err, want)
			}
		}
		if need, err := o.desk.NeedsCode(b.Context(), "dba-1"); !need || err != nil {
			b.Errorf("needs a code: %t, %v", need, err)
		}
		if need, err := o.desk.NeedsCode(b.Context(), "manager"); !need || approvals.Refused(err) != approvals.CodeFactorMissing {
			b.Errorf("of whom nobody has one: %t, %v", need, err)
		}
		vote("manager", "123456", approvals.CodeFactorMissing)
		vote("dba-1", "", approvals.CodeFactor)
		vote("dba-1", k.code("dba-2"), approvals.CodeFactor)
		old := k.code("dba-1")
		time.Sleep(2 * time.Minute)
		vote("dba-1", old, approvals.CodeFactor)
		vote("dba-1", k.code("dba-1"), "")
		for range approvals.MaxTries - 1 {
			vote("dba-2", old, approvals.CodeFactor)
		}
		vote("dba-2", old, approvals.CodeFactorLocked)
		vote("dba-2", k.code("dba-2"), approvals.CodeFactorLocked)
		if _, err := o.desk.NeedsCode(b.Context(), "dba-2"); approvals.Refused(err) != approvals.CodeFactorLocked {
			b.Errorf("locked, and yet: %v", err)
		}
		k.enroll("dba-2") // the way out that isn't waiting
		vote("dba-2", k.code("dba-2"), "")
		k.until(r.ID, approvals.Succeeded)
		kinds := map[string]int{}
		b.must(k.store.Audit(b.Context(), 0, func(e approvals.Event) error { kinds[e.Kind]++; return nil }))
		if kinds["approve"] != 2 || kinds[approvals.EventCodeLocked] != 1 || kinds[approvals.EventCodeWrong] != 2+approvals.MaxTries {
			b.Errorf("the log tells %v", kinds)
		}
	})
}

// TestOneCodeIsOneVote, whatever is pressed at once on two bots' requests.
func TestOneCodeIsOneVote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(b *bundle) {
		k := withCodes(b, dir, approvals.FactorOptional)
		k.enroll("dba-1")
		o := b.start(nil)
		r := o.open(actions.Question{})
		code := k.code("dba-1")
		var g sync.WaitGroup
		var mu sync.Mutex
		results := map[approvals.Code]int{}
		for range 6 {
			g.Go(func() {
				_, err := o.desk.Approve(b.Context(), r.ID, k.ballot(r, "dba-1", code))
				mu.Lock()
				defer mu.Unlock()
				results[approvals.Refused(err)]++
			})
		}
		g.Wait()
		if results[""] != 1 || results[approvals.CodeVotedBefore] != 5 {
			b.Errorf("one code, six presses: %v", results)
		}
		if need, err := o.desk.NeedsCode(b.Context(), "dba-2"); need || err != nil {
			b.Errorf("somebody who isn't enrolled, where codes are optional: %t, %v", need, err)
		}
		if f, err := k.store.Factor(b.Context(), "dba-1"); f.Step == 0 || len(f.Tries) != 0 || err != nil {
			b.Errorf("kept: %+v, %v", f, err)
		}
	})
}

// TestStatementWithCode: what a held request waits for needs one, taking it back
// needs none.
func TestStatementWithCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inBubble(t, func(b *bundle) {
		k := withCodes(b, dir, approvals.FactorOptional)
		disastre.begin(b)
		b.world.blind["dc1"] = true
		o := b.start(nil)
		r := k.until(o.ask(disastre.question).ID, approvals.Held)
		k.enroll("manager")
		answer := func(code string) error {
			_, err := o.desk.Answer(b.Context(), r.ID, k.ballot(r, "manager", code), approvals.Accept, "orders")
			return err
		}
		if err := answer(""); approvals.Refused(err) != approvals.CodeFactor {
			b.Errorf("a statement without a code: %v", err)
		}
		if err := answer(k.code("manager")); err != nil {
			b.Errorf("with it: %v", err)
		}
		now, err := k.store.Request(b.Context(), r.ID)
		if err != nil || len(now.Pauses) != 1 || now.Pauses[0].Factor != "otp" {
			b.Errorf("%+v, %v", now.Pauses, err)
		}
	})
}

func TestCodesNeedAKeeper(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		b.policy.Factor = approvals.FactorOptional
		if _, err := actions.NewDesk(b.options(&bot{bundle: b, being: newBeing()}, nil)); err == nil {
			b.Error("codes that nobody keeps or checks")
		}
	})
}
