package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Error is everything that is wrong with one file.
type Error struct {
	File     string
	Problems []Problem // in the file's order, never empty
}

// Error prints each problem as FILE:LINE:COLUMN: sentence, with the line under
// it, a caret and the hint.
func (e *Error) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.format(e.File)
	}
	return strings.Join(parts, "\n")
}

// Problem is one thing wrong, in one sentence.
type Problem struct {
	Key    string // e.g. "pairs[0].nodes[1].port"; empty for a file that can't be read as YAML
	Line   int    // from 1; of the nearest key above where the key itself is missing
	Column int    // from 1, in characters
	Text   string // goes on after the key: "must be …"
	Hint   string // what to do, may be empty
	Source string // the line, with whatever could be a secret cut off; may be empty
}

// String is the sentence alone.
func (p Problem) String() string {
	if p.Key == "" {
		return p.Text
	}
	return p.Key + " " + p.Text
}

func (p Problem) format(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", file, p.Line, p.Column, p)
	if p.Source != "" {
		number := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "\n%s | %s\n%s | %s^", number, p.Source, strings.Repeat(" ", len(number)), caretIndent(p))
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "\n  hint: %s", p.Hint)
	}
	return b.String()
}

// caretIndent keeps tabs, so that the caret stands under its character.
func caretIndent(p Problem) string {
	before := []rune(p.Source)
	before = before[:min(max(p.Column-1, 0), len(before))]
	for i, r := range before {
		if r != '\t' {
			before[i] = ' '
		}
	}
	return string(before)
}

// hinted is an error of an unmarshaler with a hint beside it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// position is a place in the file, from 1; the zero position is "nowhere".
type position struct{ line, column int }

// source is the text that is being read, and what was found wrong with it.
type source struct {
	lines    []string
	at       map[string]position // of each key's value
	problems []Problem
}

func newSource(text string) *source {
	return &source{lines: strings.Split(text, "\n"), at: map[string]position{"": {1, 1}}}
}

// report adds a problem at a place.
func (s *source) report(key string, at position, text, hint string) {
	p := Problem{
		Key: key, Line: max(at.line, 1), Column: max(at.column, 1), Text: maskValues(text), Hint: hint,
	}
	p.Source = s.line(p.Line)
	s.problems = append(s.problems, p)
}

// reportUnknown is report for a key that nobody knows: its value, which could
// be anything, is not shown.
func (s *source) reportUnknown(key string, at position, text, hint string) {
	s.report(key, at, text, hint)
	last := &s.problems[len(s.problems)-1]
	shown := []rune(last.Source)
	if colon := slices.Index(shown[min(at.column, len(shown)):], ':'); colon >= 0 {
		last.Source = string(shown[:at.column+colon+1]) + " …"
	}
}

// reportKey adds a problem with the value of a key, or with the nearest key
// above when there is none.
func (s *source) reportKey(key, text, hint string) {
	s.report(key, s.find(key), text, hint)
}

func (s *source) find(key string) position {
	for {
		if at, ok := s.at[key]; ok {
			return at
		}
		key = parent(key)
	}
}

// parent of "a.b[1].c" is "a.b[1]", of that "a.b".
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// err is nil when nothing was reported.
func (s *source) err(file string) error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{File: file, Problems: s.problems}
}

const longestLine = 160

// showable are lines that begin with a key. Anything else could be the middle
// of a text that a secret was pasted into.
var showable = regexp.MustCompile(`^\s*(- +)*[{"']*[\w-]+["']?\s*:|^\s*(- +)+[\w./:-]*\s*$`)

// private are keys of which not even a refused value is shown.
var private = regexp.MustCompile(`(?i)(\b(env|file)|[\w-]*(token|secret|pass|pwd|key|cred|auth)[\w-]*)["']?\s*:`)

func (s *source) line(n int) string {
	if n > len(s.lines) {
		return ""
	}
	line := []rune(strings.ToValidUTF8(strings.TrimRight(s.lines[n-1], "\r \t"), "�"))
	line = line[:min(len(line), longestLine)]
	text := strings.Map(printable, string(line))
	if !showable.MatchString(text) {
		return ""
	}
	if cut := private.FindStringIndex(text); cut != nil && strings.TrimSpace(text[cut[1]:]) != "" {
		return text[:cut[1]] + " …"
	}
	return maskValues(text)
}

// printable keeps control characters away from terminals.
func printable(r rune) rune {
	if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0) {
		return '�'
	}
	return r
}

// secretLike are values that are secrets wherever they stand: Slack's tokens,
// passwords in addresses, long hexadecimal numbers.
var secretLike = regexp.MustCompile(`(?i)xox[a-z.-]*-[\w-]*|xapp-[\w-]*|(://[^\s/@]*)@|[0-9a-f]{24,}`)

func maskValues(text string) string { return secretLike.ReplaceAllString(text, "[secret]") }
