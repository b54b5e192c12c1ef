// Package totp makes and checks time-based one-time codes (RFC 6238: SHA-1, six
// digits, thirty seconds, as every authenticator has them) and keeps their
// secrets encrypted.
//
// A secret is sealed with AES-256-GCM under a key that is derived from the
// configured one; the person is part of what is authenticated, so that nobody
// who can write the store can give one person's secret to another. What is
// sealed begins with the key's own mark: that a key was changed is told apart
// from a record that was damaged.
//
// It decides nothing about replays and tries: whoever keeps the last step does.
package totp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"twokey/approvals"
	"twokey/secret"
)

const (
	period     = 30 * time.Second
	digits     = 6
	skew       = 1  // steps to either side that count: clocks differ, and typing takes time
	secretSize = 20 // bytes, as RFC 4226 recommends
	leastKey   = 32 // characters of the configured key

	format   = 1 // of what is sealed: format, the key's mark, nonce and ciphertext
	markSize = 4
)

// What Match can't read.
var (
	ErrOtherKey = errors.New("it was stored under another key")
	ErrDamaged  = errors.New("its record is damaged, or is another person's")
)

// Codes makes and checks codes. It implements approvals.Codes and is safe for
// concurrent use.
type Codes struct {
	aead cipher.AEAD
	mark []byte
}

// New derives what it needs from the configured key.
func New(key secret.Text) (*Codes, error) {
	raw := []byte(key.Reveal())
	if len(raw) < leastKey {
		return nil, fmt.Errorf("the key for one-time codes has %d characters and needs %d at least; make one with: openssl rand -base64 32", len(raw), leastKey)
	}
	sealing, err := hkdf.Key(sha256.New, raw, nil, "twokey one-time code secrets, format 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for one-time codes: %w", err)
	}
	mark, err := hkdf.Key(sha256.New, raw, nil, "twokey one-time code key mark, format 1", markSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for one-time codes: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("the cipher for one-time codes: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("the cipher for one-time codes: %w", err)
	}
	return &Codes{aead: aead, mark: mark}, nil
}

// Enroll makes a new secret for who: sealed for the store, and as the address
// that an authenticator reads, which is shown once and kept nowhere.
func (c *Codes) Enroll(issuer string, who approvals.Person) (uri secret.Text, sealed []byte) {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails
	return uriOf(issuer, who, raw), c.seal(who, raw)
}

func uriOf(issuer string, who approvals.Person, raw []byte) secret.Text {
	q := url.Values{
		"secret": {encoded(raw)}, "issuer": {issuer}, "algorithm": {"SHA1"},
		"digits": {fmt.Sprint(digits)}, "period": {fmt.Sprint(int(period.Seconds()))},
	}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + string(who), RawQuery: q.Encode()}
	return secret.New(u.String())
}

func encoded(raw []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
}

func (c *Codes) header() []byte { return append([]byte{format}, c.mark...) }

// bound is what is authenticated besides: the header and the person.
func (c *Codes) bound(who approvals.Person) []byte { return append(c.header(), who...) }

func (c *Codes) seal(who approvals.Person, raw []byte) []byte {
	return c.aead.Seal(c.header(), nil, raw, c.bound(who)) //nolint:gosec // G407: this AEAD makes its own random nonce and takes none
}

func (c *Codes) open(who approvals.Person, sealed []byte) ([]byte, error) {
	head := c.header()
	switch {
	case len(sealed) < len(head) || sealed[0] != format:
		return nil, ErrDamaged
	case !bytes.Equal(sealed[:len(head)], head):
		return nil, ErrOtherKey
	}
	raw, err := c.aead.Open(nil, nil, sealed[len(head):], c.bound(who))
	if err != nil {
		return nil, ErrDamaged
	}
	return raw, nil
}

// Readable returns nil when who's secret can be read, ErrOtherKey or ErrDamaged.
func (c *Codes) Readable(who approvals.Person, sealed []byte) error {
	_, err := c.open(who, sealed)
	return err
}

// Reseal seals a secret of former anew under this key.
func (c *Codes) Reseal(former *Codes, who approvals.Person, sealed []byte) ([]byte, error) {
	raw, err := former.open(who, sealed)
	if err != nil {
		return nil, err
	}
	return c.seal(who, raw), nil
}

// TimeOf is when a step begins.
func TimeOf(step uint64) time.Time { return time.Unix(int64(step)*int64(period.Seconds()), 0).UTC() }

// Match implements approvals.Codes. The newest step counts where a code is that
// of several.
func (c *Codes) Match(who approvals.Person, sealed []byte, code string, at time.Time) (step uint64, ok bool, err error) {
	raw, err := c.open(who, sealed)
	if err != nil {
		return 0, false, err
	}
	now, key := at.Unix()/int64(period.Seconds()), encoded(raw)
	for s := now + skew; s >= max(now-skew, 0); s-- {
		fits, err := hotp.ValidateCustom(code, uint64(s), key, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, false, fmt.Errorf("a code can't be checked: %w", err)
		}
		if fits {
			return uint64(s), true, nil
		}
	}
	return 0, false, nil
}
