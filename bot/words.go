package bot

import (
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// split divides a command's text at the first lone "--" into words and a
// reason. In the words, the quotes and dashes that typing programs put in are
// taken back; the reason stays as it was typed.
func split(text string) (words []string, reason string, dashes bool) {
	rest := strings.TrimSpace(text)
	for rest != "" {
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		word := straight(rest[:end])
		rest = strings.TrimSpace(rest[end:])
		if word == "--" || word == "-" {
			return words, rest, true
		}
		if word != "" {
			words = append(words, word)
		}
	}
	return words, "", false
}

// straight makes a word what was typed on the keyboard.
func straight(word string) string {
	word = strings.Map(func(r rune) rune {
		switch r {
		case '“', '”', '„', '‟', '«', '»':
			return '"'
		case '‘', '’', '‚', '‛':
			return '\''
		case '\u200B', '\u200C', '\u200D', '\u2060', '\uFEFF':
			return -1
		}
		return r
	}, word)
	for _, dash := range []string{"—", "–", "−"} {
		if rest, found := strings.CutPrefix(word, dash); found {
			word = "--" + strings.TrimLeft(rest, "-—–−")
		}
	}
	word = strings.NewReplacer("—", "--", "–", "-", "−", "-", "‑", "-").Replace(word)
	return unquote(word)
}

// unquote takes off one pair of quotes around a word.
func unquote(word string) string {
	for _, q := range []string{`"`, "'", "`"} {
		if len(word) >= 2 && strings.HasPrefix(word, q) && strings.HasSuffix(word, q) {
			return word[1 : len(word)-1]
		}
	}
	return word
}

// dryRunLast takes an option off the end of a reason: whoever writes
// "-- reason --dry-run" doesn't want the thing to run.
func dryRunLast(reason string) (string, bool) {
	at := strings.LastIndexFunc(reason, unicode.IsSpace) + 1
	if at > 0 { // LastIndexFunc gave the first byte of the space
		at = len(reason) - len(strings.TrimLeftFunc(reason[at-1:], unicode.IsSpace))
	}
	if !strings.EqualFold(straight(reason[at:]), "--dry-run") {
		return reason, false
	}
	return strings.TrimSpace(reason[:at]), true
}

// nearest is the name that word was probably meant to be, "" for none.
func nearest(word string, names []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return ""
	}
	best, least := "", 0
	for _, name := range names {
		d := levenshtein.ComputeDistance(word, strings.ToLower(name))
		if allowed := 1 + len(name)/4; d <= allowed && (best == "" || d < least) {
			best, least = name, d
		}
	}
	return best
}
