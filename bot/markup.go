package bot

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// markup is text in Slack's mrkdwn that may be sent as it is. Constants of the
// program are markup; whatever people, servers or Slack wrote becomes markup
// only through esc, code or pre, so that it can't mention anybody, look like a
// link, or pretend to be a further line of the message.
type markup string

const (
	maxPart  = 600 // of one foreign string within a sentence
	ellipsis = "…"
)

// say formats like Sprintf. Arguments that are not markup or numbers are
// escaped.
func say(format string, args ...any) markup {
	safe := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case markup:
			safe[i] = string(v)
		case int, int64, uint32, uint64, float64:
			safe[i] = v
		default:
			safe[i] = string(esc(fmt.Sprint(v)))
		}
	}
	return markup(fmt.Sprintf(format, safe...))
}

// esc makes one line of text harmless: control characters and those that turn
// the reading direction are dropped, &, < and > are escaped, and code blocks
// can't be opened.
func esc(s string) markup { return escUpTo(s, maxPart) }

func escUpTo(s string, limit int) markup {
	return entities(clip(unfenced(oneLine(head(s, limit))), limit))
}

func unfenced(s string) string { return strings.ReplaceAll(s, "```", "'''") }

// head bounds the work on a text of which at most limit characters are shown.
func head(s string, limit int) string {
	if most := 16 * limit; len(s) > most {
		return s[:most] + ellipsis // half a character at the end is replaced like any invalid one
	}
	return s
}

// code is a short string in monospace.
func code(s string) markup {
	s = strings.ReplaceAll(clip(oneLine(head(s, maxPart)), maxPart), "`", "'")
	if s == "" {
		s = "–"
	}
	return "`" + entities(s) + "`"
}

// pre is a block in monospace that keeps its lines. It is at most limit long,
// fences and escapes included.
func pre(s string, limit int) markup {
	s = unfenced(strings.TrimRight(harmless(head(s, limit), true), "\n"))
	if s == "" {
		s = "–"
	}
	const fences = "```\n\n```"
	for max := limit - len(fences); ; max = max * 3 / 4 {
		body := entities(clip(s, max))
		if size(body) <= limit-len(fences) || max < 8 {
			return "```\n" + body + "\n```"
		}
	}
}

// Made once: a Replacer is built at its first use.
var (
	escaper   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	unescaper = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	plainer   = strings.NewReplacer("```\n", "", "\n```", "", "`", "", "*", "")
)

func entities(s string) markup { return markup(escaper.Replace(s)) }

// oneLine collapses all white space to single blanks.
func oneLine(s string) string { return strings.Join(strings.Fields(harmless(s, false)), " ") }

// harmless drops what can't be seen but changes what is seen.
func harmless(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case r == '\t' || unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError:
			return '\uFFFD'
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF', r == '\u200B', r == '\u2060':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// clip cuts plain text on a rune to at most limit characters as Slack's limits
// count them, the ellipsis included.
func clip(s string, limit int) string {
	if lengthOf(s) <= limit {
		return s
	}
	length, end := lengthOf(ellipsis), 0
	for end < len(s) {
		r, n := utf8.DecodeRuneInString(s[end:])
		if length += width(r); length > limit {
			break
		}
		end += n
	}
	return strings.TrimRight(s[:end], "\u200D\uFE0F ") + ellipsis
}

// size is the length of markup as Slack counts it; to be on the safe side a
// character outside the basic plane counts twice.
func size(m markup) int { return lengthOf(string(m)) }

func lengthOf(s string) int {
	n := 0
	for _, r := range s {
		n += width(r)
	}
	return n
}

func width(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// when is a moment that Slack shows in the reader's own time zone.
func when(t time.Time) markup {
	if t.IsZero() {
		return "unknown"
	}
	t = t.UTC()
	return markup(fmt.Sprintf("<!date^%d^{date_short_pretty} {time_secs}|%s>", t.Unix(), t.Format("2006-01-02 15:04:05 UTC")))
}

// took is a measured time, with as many digits as people need.
func took(d time.Duration) markup {
	switch {
	case d < 0:
		return "unknown"
	case d < time.Millisecond:
		return markup(fmt.Sprintf("%d µs", d.Microseconds()))
	case d < time.Second:
		return markup(fmt.Sprintf("%d ms", d.Milliseconds()))
	case d < time.Minute:
		return markup(fmt.Sprintf("%.1f s", d.Seconds()))
	case d < time.Hour:
		return markup(fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60))
	case d < 48*time.Hour:
		return markup(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60))
	}
	return markup(fmt.Sprintf("%d days", int(d.Hours()/24)))
}

// apart is the time from one moment to another, "unknown" when one is missing.
func apart(from, to time.Time) markup {
	if from.IsZero() || to.IsZero() {
		return "unknown"
	}
	return took(max(0, to.Sub(from)))
}

func bytesOf(n uint64) markup { return markup(humanize.IBytes(n)) }
