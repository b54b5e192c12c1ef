package approvals

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPlain bounds what is used as a name, in bytes.
const maxPlain = 256

// validate keeps the canonical text unambiguous: a line is a field, and
// persons are separated by commas.
func (a Asking) validate() error {
	for _, field := range []struct{ what, value string }{
		{"request's id", a.ID}, {"request's nonce", a.Nonce}, {"requester", string(a.Requester)},
		{"kind of request", a.Subject.Kind}, {"pair", a.Subject.Pair},
	} {
		if err := plain(field.what, field.value); err != nil {
			return err
		}
	}
	switch {
	case strings.TrimSpace(a.Subject.Text) == "":
		return refuse(CodeInput, "There is no plan to approve.")
	case !utf8.ValidString(a.Subject.Text):
		return refuse(CodeInput, "The plan's text is not valid UTF-8, so it could not be stored as it was read.")
	case a.At.IsZero():
		return refuse(CodeInput, "The time of asking is missing.")
	}
	return nil
}

// plain refuses a name that could be taken for two, or for another line.
func plain(what, s string) error {
	odd := func(c rune) bool { return c == ',' || c == utf8.RuneError || !unicode.IsPrint(c) }
	switch {
	case s == "":
		return refuse(CodeInput, "The %s is missing.", what)
	case len(s) > maxPlain:
		return refuse(CodeInput, "The %s is %d bytes long; at most %d are possible.", what, len(s), maxPlain)
	case strings.ContainsFunc(s, odd) || strings.TrimSpace(s) != s:
		return refuse(CodeInput, "The %s %q must be one line of visible characters, without commas and without blanks around it.", what, s)
	}
	return nil
}

// oneLine keeps a person's words from looking like further fields of the text:
// no line breaks, no control characters, nothing that turns the direction of
// what follows, and only valid UTF-8.
func oneLine(s string) string {
	clean := strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(clean), " ")
}
