package main

import (
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	theirs "github.com/pquerna/otp/totp"

	"twokey/bot/slacksim"
)

const (
	otpKey      = "a first key of more than 32 characters"
	otherOTPKey = "another key of more than 32 characters"
)

// newCoded is a served bot that requires one-time codes, with a file for each key.
func newCoded(t *testing.T) (w *world, restart func(), setKeys func(key, former string)) {
	t.Helper()
	w, restart = newServedAs(t, func(text string) string {
		dir := filepath.Dir(strings.Split(strings.Split(text, `store: "`)[1], `"`)[0])
		for name, value := range map[string]string{"otp-key": otpKey, "otp-former-key": otherOTPKey} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Replace(text, "  hold_expiry:", "  otp: required\n  otp_key: {file: "+dir+"/otp-key}\n  otp_former_key: {file: "+dir+"/otp-former-key}\n  hold_expiry:", 1)
	})
	return w, restart, func(key, former string) {
		w.must(os.WriteFile(filepath.Join(w.pair.Dir, "otp-key"), []byte(key), 0o600))
		w.must(os.WriteFile(filepath.Join(w.pair.Dir, "otp-former-key"), []byte(former), 0o600))
	}
}

// otp runs an otp subcommand and demands its exit code and its words.
func (w *world) otp(code int, words string, args ...string) (out string) {
	w.t.Helper()
	got, out, errOut := runMain(w.t, append(append([]string{"otp"}, args...), "-c", w.configPath())...)
	if got != code || !strings.Contains(out+errOut, words) {
		w.t.Errorf("otp %v: exit code %d, want %d and %q\n%s%s", args, got, code, words, out, errOut)
	}
	return out
}

// enroll gives who a second factor and returns its secret.
func (w *world) enroll(who string) string {
	w.t.Helper()
	var a otpEnrolled
	w.must(json.Unmarshal([]byte(w.otp(0, "otpauth://totp/", "enroll", who, "-o", "json")), &a))
	u, err := url.Parse(a.URI)
	w.must(err)
	return u.Query().Get("secret")
}

// approveWith presses Approve and enters the code of a moment.
func (w *world) approveWith(who, ts, shared string, at time.Time) {
	w.t.Helper()
	w.press(who, ts, "approve")
	v := w.modal(who, "One-time code")
	code, err := theirs.GenerateCode(shared, at)
	w.must(err)
	_, err = w.slack.SubmitModal(w.ctx(), who, v.ID, map[string]string{"code": code})
	w.must(err)
}

// modal waits for an open view with the words.
func (w *world) modal(who, words string) (found slacksim.View) {
	w.t.Helper()
	w.must(w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool {
		for _, v := range s.Modals(who) {
			if strings.Contains(string(v.Blocks), words) {
				found = v
				return true
			}
		}
		return false
	}))
	return found
}

// TestSecondFactorEndToEnd: enrolled over the socket, told in the channel, asked
// for at the press, spent with the vote, of use after the key was changed, and
// nowhere in clear.
func TestSecondFactorEndToEnd(t *testing.T) {
	t.Parallel()
	w, restart, setKeys := newCoded(t)
	w.otp(0, "One-time codes are required.", "list")
	first := w.enroll("dba-1")
	shown := w.otp(0, "it can't be shown again", "enroll", "dba-2")
	if !strings.Contains(shown, "█") || !strings.Contains(shown, "otpauth://totp/twokey:dba-2?") {
		t.Errorf("no QR code:\n%s", shown)
	}
	second := w.enroll("dba-2") // instead of the former one
	w.shown("A second factor was set up: dba-1", "uid ")
	w.shown("A second factor was replaced: dba-2")
	w.otp(1, "neither an approver's name nor a Slack member id", "enroll", "nobody")

	ts := w.ask("switchover orders -- with codes")
	w.must(w.refused(w.ctx(), manager, ts, "you have no second factor yet"))
	w.approveWith(dba1, ts, first, time.Now())
	w.message(ts, "1 of 2 approvals")

	setKeys(otherOTPKey, otherOTPKey) // the key is gone
	restart()
	w.otp(0, "unusable: it was stored under another key", "list")
	w.approveWith(dba2, ts, second, time.Now())
	w.modal(dba2, "enrol you again")
	setKeys(otherOTPKey, otpKey) // and back, as the former one
	restart()
	if out := w.otp(0, "ok", "list"); strings.Contains(out, "unusable") {
		t.Errorf("after the change of keys:\n%s", out)
	}
	w.approveWith(dba2, ts, second, time.Now())
	w.message(ts, "Switchover of orders: done")

	w.otp(0, "dba-1 has no second factor any more", "remove", "dba-1")
	w.otp(1, "dba-1 has no second factor.", "remove", "dba-1")
	w.shown("A second factor was removed: dba-1")
	w.nowhereInStore(first, second)
}

// nowhereInStore looks for secrets in the store's file, however they are written.
func (w *world) nowhereInStore(secrets ...string) {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.pair.Dir, "twokey.db"))
	w.must(err)
	for _, s := range append(secrets, otpKey, otherOTPKey) {
		plain, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
		forms := []string{s, hex.EncodeToString([]byte(s))}
		if err == nil {
			forms = append(forms, string(plain), hex.EncodeToString(plain))
		}
		for _, form := range forms {
			if strings.Contains(string(raw), form) {
				w.t.Errorf("the store holds %q", form)
			}
		}
	}
}

func TestOTPWithoutABot(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	for _, args := range [][]string{{"enroll", "dba-1"}, {"remove", "dba-1"}, {"list"}} {
		code, _, errOut := runMain(t, append(append([]string{"otp"}, args...), "-c", a.config)...)
		if code != 1 || !strings.Contains(errOut, "run this where the bot runs") {
			t.Errorf("%v: %d %s", args, code, errOut)
		}
	}
}

func TestOTPWithoutAKey(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	s := a.open()
	defer s.Close()
	l, err := listenAdmin(a.socket)
	a.must(err)
	a.serveOn(l, adminHandler(nil, asking{}, otpKeeper{store: s}, s))
	code, _, errOut := runMain(t, "otp", "enroll", "dba-1", "-c", a.config)
	if code != 1 || !strings.Contains(errOut, "policy.otp_key is missing") {
		t.Errorf("%d %s", code, errOut)
	}
}
