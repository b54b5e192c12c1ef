package bot

import "slices"

const shortened markup = "_Shortened: Slack takes no more in one message._"

// fit shortens parts until they keep Slack's limits: first each by its own,
// then the longest ones, then the last ones go, then what must stay is halved.
func fit(parts []part, blocks int) []part {
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].text = cut(parts[i].text, ownLimit(parts[i].kind))
	}
	dropped := false
	for len(parts) > blocks-1 || total(parts) > limitAllText {
		switch i := longest(parts); {
		case len(parts) <= blocks-1 && i >= 0:
			parts[i].text = cut(parts[i].text, max(leastPart, size(parts[i].text)/2))
		default:
			parts = dropOne(parts)
			dropped = true
		}
	}
	if dropped {
		parts = append(parts, part{kind: partContext, text: shortened})
	}
	return parts
}

func ownLimit(k partKind) int {
	switch k {
	case partHeader:
		return limitHeader
	case partContext:
		return limitContext
	}
	return limitSection
}

func total(parts []part) int {
	n := 0
	for _, p := range parts {
		n += size(p.text) + lengthOf(p.input.label) + lengthOf(p.input.placeholder)
	}
	return n
}

// longest finds the longest part that can still be shortened: one that may be
// left out if there is any, else one that must stay; -1 for none.
func longest(parts []part) int {
	best := -1
	for _, keep := range []bool{false, true} {
		for i, p := range parts {
			if p.keep == keep && size(p.text) > leastPart && (best < 0 || size(p.text) > size(parts[best].text)) {
				best = i
			}
		}
		if best >= 0 {
			return best
		}
	}
	return best
}

// dropOne leaves out the last part that may go, else the last of them all that
// holds no buttons.
func dropOne(parts []part) []part {
	for _, all := range []bool{false, true} {
		for i, p := range slices.Backward(parts) {
			if !p.keep || (all && p.kind != partActions) {
				return slices.Delete(parts, i, i+1)
			}
		}
	}
	return parts[:len(parts)-1]
}

// textOf tells the whole story in words, for notifications and screen readers.
func textOf(parts []part) markup {
	var text markup
	for _, p := range parts {
		if p.text == "" {
			continue
		}
		if text != "" {
			text += "\n"
		}
		text += plain(p.text)
	}
	return cut(text, limitText)
}
