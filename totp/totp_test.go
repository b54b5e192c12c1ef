package totp_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"image"
	"image/color"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	theirs "github.com/pquerna/otp/totp"

	"twokey/approvals"
	"twokey/secret"
	"twokey/totp"
)

const key = "a key of thirty-two characters !"

func codes(t testing.TB, key string) *totp.Codes {
	t.Helper()
	c, err := totp.New(secret.New(key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown is the secret in an address.
func shown(t testing.TB, uri secret.Text) string {
	t.Helper()
	u, err := url.Parse(uri.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("secret")
}

func codeAt(t testing.TB, shared string, at time.Time) string {
	t.Helper()
	code, err := theirs.GenerateCode(shared, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

var noon = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)

const stepAtNoon = 1772366400 / 30

func TestMatchTakesTheStepsAround(t *testing.T) {
	t.Parallel()
	c := codes(t, key)
	uri, sealed := c.Enroll("twokey", "dba-1")
	for shift, ok := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		at := noon.Add(time.Duration(shift) * 30 * time.Second)
		step, fits, err := c.Match("dba-1", sealed, codeAt(t, shown(t, uri), at), noon)
		if err != nil || fits != ok || fits && step != uint64(stepAtNoon+shift) {
			t.Errorf("the code of %d steps away: step %d, %t, %v", shift, step, fits, err)
		}
	}
	if _, fits, err := c.Match("dba-1", sealed, codeAt(t, shown(t, uri), time.Unix(5, 0)), time.Unix(5, 0)); !fits || err != nil {
		t.Errorf("at the beginning of time: %t, %v", fits, err)
	}
	for _, odd := range []string{"", "12345", "1234567", "abcdef"} {
		if _, fits, err := c.Match("dba-1", sealed, odd, noon); fits {
			t.Errorf("%q fits, %v", odd, err)
		}
	}
}

// TestMatchAgreesWithTheRFC takes the test vectors of RFC 6238, appendix B: the
// last six of their eight digits are those of a six-digit code.
func TestMatchAgreesWithTheRFC(t *testing.T) {
	t.Parallel()
	c := codes(t, key)
	sealed := totp.Seal(c, "dba-1", []byte("12345678901234567890"))
	for at, eight := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		step, ok, err := c.Match("dba-1", sealed, eight[2:], time.Unix(at, 0))
		if !ok || err != nil || step != uint64(at/30) {
			t.Errorf("at %d: step %d, %t, %v", at, step, ok, err)
		}
	}
}

func TestSecretsAreBoundToKeyAndPerson(t *testing.T) {
	t.Parallel()
	c := codes(t, key)
	uri, sealed := c.Enroll("twokey", "dba-1")
	code := codeAt(t, shown(t, uri), noon)
	other := codes(t, "another key of thirty-two chars!")
	for name, row := range map[string]struct {
		codes  *totp.Codes
		who    approvals.Person
		sealed []byte
		want   error
	}{
		"another key":       {other, "dba-1", sealed, totp.ErrOtherKey},
		"another person":    {c, "dba-2", sealed, totp.ErrDamaged},
		"nothing":           {c, "dba-1", nil, totp.ErrDamaged},
		"half of it":        {c, "dba-1", sealed[:10], totp.ErrDamaged},
		"a flipped bit":     {c, "dba-1", flipped(sealed, len(sealed)-1), totp.ErrDamaged},
		"another format":    {c, "dba-1", flipped(sealed, 0), totp.ErrDamaged},
		"another key's own": {c, "dba-1", flipped(sealed, 1), totp.ErrOtherKey},
	} {
		_, ok, err := row.codes.Match(row.who, row.sealed, code, noon)
		if ok || !errors.Is(err, row.want) || !errors.Is(row.codes.Readable(row.who, row.sealed), row.want) {
			t.Errorf("%s: %t, %v, want %v", name, ok, err, row.want)
		}
	}
	again, err := other.Reseal(c, "dba-1", sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := other.Match("dba-1", again, code, noon); !ok || err != nil {
		t.Errorf("sealed anew: %t, %v", ok, err)
	}
	if _, err := other.Reseal(c, "dba-2", sealed); !errors.Is(err, totp.ErrDamaged) {
		t.Errorf("sealed anew for another person: %v", err)
	}
}

func flipped(raw []byte, at int) []byte {
	out := bytes.Clone(raw)
	out[at] ^= 1
	return out
}

func TestSealedHoldsNoSecret(t *testing.T) {
	t.Parallel()
	c := codes(t, key)
	uri, sealed := c.Enroll("twokey", "dba-1")
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(shown(t, uri))
	if err != nil || len(raw) != 20 {
		t.Fatalf("a secret of %d bytes, %v", len(raw), err)
	}
	if bytes.Contains(sealed, raw) || bytes.Contains(sealed, []byte(shown(t, uri))) || bytes.Contains(sealed, []byte(key)) {
		t.Error("the sealed secret holds the secret")
	}
	if second, more := c.Enroll("twokey", "dba-1"); second.Reveal() == uri.Reveal() || bytes.Equal(sealed, more) {
		t.Error("two enrolments give one secret")
	}
	if text := fmt.Sprintf("%v %+v %#v", uri, c, []any{uri, c}); strings.Contains(text, shown(t, uri)) || strings.Contains(text, key) {
		t.Errorf("printed: %s", text)
	}
}

func TestURIIsWhatAuthenticatorsRead(t *testing.T) {
	t.Parallel()
	uri, _ := codes(t, key).Enroll("twokey", "Anna O'Neil-Groß")
	k, err := otp.NewKeyFromURL(uri.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if k.Type() != "totp" || k.Issuer() != "twokey" || k.AccountName() != "Anna O'Neil-Groß" || k.Period() != 30 || k.Digits() != otp.DigitsSix || k.Algorithm() != otp.AlgorithmSHA1 {
		t.Errorf("read as %s", uri.Reveal())
	}
	if strings.Contains(uri.Reveal(), "+") { // some authenticators take it for itself
		t.Errorf("a blank is written as +: %s", uri.Reveal())
	}
}

func TestKeyOfTooFewCharacters(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"", "short", key[:31]} {
		if _, err := totp.New(secret.New(short)); err == nil || !strings.Contains(err.Error(), "openssl rand") || short != "" && strings.Contains(err.Error(), short) {
			t.Errorf("a key of %d characters: %v", len(short), err)
		}
	}
}

// TestQRIsTheAddress draws the text back into modules and compares them with
// another drawing of the same address.
func TestQRIsTheAddress(t *testing.T) {
	t.Parallel()
	uri, _ := codes(t, key).Enroll("twokey", "dba-1")
	text, err := totp.QR(uri)
	if err != nil {
		t.Fatal(err)
	}
	k, err := otp.NewKeyFromURL(uri.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	size := len([]rune(lines[0])) - 8
	want, err := k.Image(size, size)
	if err != nil {
		t.Fatal(err)
	}
	for y := range size {
		for x := range size {
			cell := []rune(lines[(y+4)/2])[x+4]
			light := cell == '█' || cell == '▀' && (y+4)%2 == 0 || cell == '▄' && (y+4)%2 == 1
			if light != isLight(want, x, y) {
				t.Fatalf("module %d,%d is light: %t\n%s", x, y, light, text)
			}
		}
	}
}

func isLight(img image.Image, x, y int) bool {
	return color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y > 127
}
