package sql

import (
	"fmt"
	"io"
	"log/slog"
)

const placeholder = "[secret]"

// Secret is a password. Whatever prints, logs or encodes it shows a
// placeholder; only Reveal gives the text.
type Secret struct{ text string }

// NewSecret wraps a password.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal gives the password itself.
func (s Secret) Reveal() string { return s.text }

// Format is the placeholder for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// String is the placeholder.
func (s Secret) String() string { return placeholder }

// MarshalText is the placeholder, for JSON and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// LogValue is the placeholder, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(placeholder) }
