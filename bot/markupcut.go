package bot

import (
	"strings"
	"unicode/utf8"
)

// cut shortens markup to at most limit characters without leaving half an
// entity, half a <…> sequence or an open code block behind.
func cut(m markup, limit int) markup {
	if size(m) <= limit {
		return m
	}
	const fence = "\n```"
	room := limit - len(fence) - lengthOf(ellipsis)
	var b strings.Builder
	length := 0
	for rest := string(m); rest != ""; {
		t := token(rest)
		if length += lengthOf(t); length > room {
			break
		}
		b.WriteString(t)
		rest = rest[len(t):]
	}
	out := strings.TrimRight(b.String(), "\u200D\uFE0F \n") + ellipsis
	if strings.Count(out, "```")%2 == 1 {
		out += fence
	}
	return markup(out)
}

// token is the longest start of s that must not be divided.
func token(s string) string {
	switch {
	case strings.HasPrefix(s, "```"):
		return s[:3]
	case s[0] == '<':
		if end := strings.IndexByte(s, '>'); end > 0 {
			return s[:end+1]
		}
	case s[0] == '&':
		if end := strings.IndexByte(s, ';'); end > 0 && end <= 4 {
			return s[:end+1]
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// plain is markup for the text that notifications and screen readers use: what
// makes letters bold or monospace would be read out.
func plain(m markup) markup {
	return markup(plainer.Replace(string(m)))
}
