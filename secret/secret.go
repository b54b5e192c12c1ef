// Package secret keeps passwords, tokens and keys from being shown by accident:
// in a log line, a message, an error, or a structure that somebody prints whole.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const placeholder = "[secret]"

// Text is a secret that prints as a placeholder whatever formats, logs or
// encodes it, also when there is none; only Reveal gives it out. The zero value
// is no secret.
//
// The value is behind a function because fmt can't call the methods of a Text in
// an unexported field and prints what is in it: then that is an address. It also
// keeps two of them from being compared with ==, which would take its time from
// how much of them is equal.
type Text struct{ reveal func() string }

// New wraps a secret.
func New(text string) Text { return Text{func() string { return text }} }

// Reveal gives the secret to whoever needs it on the wire, "" for none.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Empty says whether there is no secret.
func (t Text) Empty() bool { return t.Reveal() == "" }

// String is the placeholder.
func (t Text) String() string { return placeholder }

// GoString is the placeholder.
func (t Text) GoString() string { return placeholder }

// Format is the placeholder for every verb and flag.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// MarshalText is the placeholder, for JSON, YAML and the like.
func (t Text) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// LogValue is the placeholder, for log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(placeholder) }
