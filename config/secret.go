package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

const placeholder = "[secret]"

// Secret is a value that prints as a placeholder wherever it is printed by
// accident. Only Reveal gives it out. The value is behind a pointer because fmt
// can't call the methods of a Secret in an unexported field and prints what is
// in it; then that is an address. For the same reason == says nothing.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal gives the value to whoever needs it on the wire.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero says that there is no secret.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Format covers every verb, so that not even %x or %#v shows the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String is the placeholder, or "" for no secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return placeholder
}

// GoString is the placeholder.
func (s Secret) GoString() string { return s.String() }

// MarshalJSON writes the placeholder.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText writes the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML writes the placeholder.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue is the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
