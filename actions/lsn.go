package actions

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes. 0 is "not known": no
// real position is 0.
type LSN uint64

// ParseLSN reads PostgreSQL's notation, two hexadecimal numbers of at most 32
// bits with a slash between them.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("%q is no WAL position: no slash in it", s)
	}
	h, err := parseHex(hi)
	if err != nil {
		return 0, fmt.Errorf("%q is no WAL position: %w", s, err)
	}
	l, err := parseHex(lo)
	if err != nil {
		return 0, fmt.Errorf("%q is no WAL position: %w", s, err)
	}
	return LSN(h<<32 | l), nil
}

func parseHex(s string) (uint64, error) {
	if strings.ContainsAny(s, "+-_ ") {
		return 0, fmt.Errorf("%q is no hexadecimal number", s)
	}
	return strconv.ParseUint(s, 16, 32)
}

// String is PostgreSQL's own notation.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// Behind is how many bytes l lies behind other, 0 when it doesn't.
func (l LSN) Behind(other LSN) uint64 {
	if l >= other {
		return 0
	}
	return uint64(other - l)
}

// MarshalJSON writes the notation as a string, and null for 0.
func (l LSN) MarshalJSON() ([]byte, error) {
	if l == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(l.String())
}

// UnmarshalJSON reads what MarshalJSON and PostgreSQL write.
func (l *LSN) UnmarshalJSON(raw []byte) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("a WAL position must be a string: %w", err)
	}
	if s == nil {
		*l = 0
		return nil
	}
	v, err := ParseLSN(*s)
	*l = v
	return err
}
