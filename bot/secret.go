package bot

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a token or a key that no formatting, encoding or logging prints. The
// value is behind a function because fmt's %p would print a field.
type Secret struct{ reveal func() string }

const redacted = "[secret]"

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{reveal: func() string { return value }} }

// Reveal gives the value, for the one place that has to send it.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Empty says whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// Format covers the verbs that would reach into the struct, such as %x.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
