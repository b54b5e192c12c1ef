package sql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"twokey/secret"
)

// ScramIterations is how often a password is hashed, unless something else is
// asked for: what the server itself does.
const ScramIterations = 4096

// Verifier makes of a password what PostgreSQL stores for it (RFC 5803), with a
// fresh salt. Every login repeats the iterations; they make guessing expensive,
// which a password drawn at random from 128 bits or more doesn't need. Only
// printable ASCII is taken: anything else would have to be normalised exactly
// as every client does it.
func Verifier(password secret.Text, iterations int) (string, error) {
	if err := checkPassword(password.Reveal()); err != nil {
		return "", err
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	return verifierWith(password.Reveal(), salt, iterations)
}

func verifierWith(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the key: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func checkPassword(p string) error {
	if p == "" {
		return errors.New("a password can't be empty")
	}
	for _, c := range []byte(p) {
		if c < ' ' || c > '~' {
			return errors.New("a password must be printable ASCII: choose letters, digits and signs")
		}
	}
	return nil
}
