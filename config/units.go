package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"
)

const day = 24 * time.Hour

// Duration is a span of time as people write it: "90s", "1h30m", "7d", "1d12h".
// A day is 24 hours; there is no default unit.
type Duration time.Duration

// Std is the same span as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the shortest notation that ParseDuration reads back to the same span.
func (d Duration) String() string {
	std := time.Duration(d)
	days := std / day
	rest := std % day
	if days == 0 || std < 0 {
		return short(std)
	}
	if rest == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, short(rest))
}

// short drops the zero units that time.Duration prints ("30m0s").
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const durationPattern = `^([0-9]+d)?([0-9]+(\.[0-9]+)?(h|m|s|ms|us|µs|ns))*$`

var durationDays = regexp.MustCompile(`^([0-9]+)d`)

// ParseDuration reads what Duration describes. A sign is read too: that a
// duration must not be negative is for the rules to say.
func ParseDuration(s string) (Duration, error) {
	text, negative := strings.CutPrefix(s, "-")
	var days int64
	if m := durationDays.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > int64(maxDays) {
			return 0, fmt.Errorf("%q is longer than %d days", s, maxDays)
		}
		days, text = n, text[len(m[0]):]
	}
	rest, err := parseRest(text, days > 0 || strings.HasPrefix(s, "0d"))
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	total := time.Duration(days)*day + rest
	if total < 0 {
		return 0, fmt.Errorf("%q is longer than %d days", s, maxDays)
	}
	if negative {
		total = -total
	}
	return Duration(total), nil
}

// maxDays keeps the sum of days and the rest within 64 bits of nanoseconds.
const maxDays = 50_000

func parseRest(text string, afterDays bool) (time.Duration, error) {
	if text == "" && afterDays {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d < 0 || strings.HasPrefix(text, "+")) {
		return 0, fmt.Errorf("%q has a sign inside", text)
	}
	return d, err
}

// UnmarshalYAML reads a scalar. A number has no unit and is refused, except
// for 0, which is judged by its rule.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	text, plain := scalar(node)
	if !plain {
		return fmt.Errorf("must be a duration such as 30s, %s", found(node))
	}
	v, err := ParseDuration(text)
	switch {
	case err == nil:
		*d = v
		return nil
	case isNumber(node):
		return hinted{fmt.Errorf("must be a duration with a unit, it is %s", text), fmt.Sprintf("say which unit: %ss, %sm, %sh", text, text, text)}
	}
	return hinted{fmt.Errorf("must be a duration: %w", err), "write 30s, 15m, 2h, 7d, 1h30m"}
}

// MarshalYAML writes what UnmarshalYAML reads.
func (d Duration) MarshalYAML() (any, error) { return d.String(), nil }

// JSONSchema describes the notation.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "string", Title: "duration", Pattern: durationPattern, Examples: []any{"30s", "15m", "1h30m", "7d"},
	}
}

// Size is a number of bytes as people write it: "16MiB", "512 KiB", "1048576".
// Only powers of 1024 have names here: "MB" means one thing to PostgreSQL and
// another to everybody else.
type Size uint64

var sizeUnits = []struct {
	name  string
	shift int
}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}

// String uses the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if n := uint64(s) >> u.shift; n > 0 && n<<u.shift == uint64(s) {
			return fmt.Sprintf("%d%s", n, u.name)
		}
	}
	return "0B"
}

const sizePattern = `^[0-9]+ ?(B|KiB|MiB|GiB|TiB)?$`

var sizeText = regexp.MustCompile(`^([0-9]+) ?(B|KiB|MiB|GiB|TiB)?$`)

// ParseSize reads what Size describes.
func ParseSize(s string) (Size, error) {
	m := sizeText.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no size", s)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large", s)
	}
	for _, u := range sizeUnits {
		if u.name == m[2] && n<<u.shift>>u.shift == n {
			return Size(n << u.shift), nil
		}
	}
	if m[2] == "" {
		return Size(n), nil
	}
	return 0, fmt.Errorf("%q is too large", s)
}

// UnmarshalYAML reads a scalar.
func (s *Size) UnmarshalYAML(node ast.Node) error {
	text, plain := scalar(node)
	if !plain {
		return fmt.Errorf("must be a size such as 16MiB, %s", found(node))
	}
	v, err := ParseSize(text)
	if err != nil {
		return hinted{fmt.Errorf("must be a size: %w", err), "write a number of bytes, or 64KiB, 16MiB, 1GiB"}
	}
	*s = v
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (s Size) MarshalYAML() (any, error) { return s.String(), nil }

// JSONSchema describes the notation.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string", Pattern: sizePattern, Examples: []any{"16MiB"}},
		{Type: "integer", Minimum: "0"},
	}, Title: "size in bytes"}
}

// Port is a TCP port that a server can listen on.
type Port uint16

// UnmarshalYAML reads a whole number from 1 to 65535.
func (p *Port) UnmarshalYAML(node ast.Node) error {
	text, plain := scalar(node)
	n, err := strconv.ParseUint(text, 10, 16)
	if !plain || err != nil || n == 0 || !isNumber(node) {
		return fmt.Errorf("must be a port, a number from 1 to 65535, %s", found(node))
	}
	*p = Port(n)
	return nil
}

// JSONSchema describes the range.
func (Port) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: "65535", Default: defaultPort}
}
