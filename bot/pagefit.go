package bot

import (
	"slices"
	"strings"
)

const shortened markup = "_Shortened: Slack takes no more in one message._"

// fitting are parts that are being shortened, with the size of each.
type fitting struct {
	parts []part
	sizes []int
	total int
}

// fit shortens parts until they keep Slack's limits: first each by its own,
// then the longest ones, then the last ones go, then what must stay is halved.
// all is what their texts may have together.
func fit(parts []part, blocks, all int) []part {
	f := newFitting(parts)
	dropped := false
	for len(f.parts) > blocks-1 || f.total > all {
		if i := f.longest(); len(f.parts) <= blocks-1 && i >= 0 {
			f.shorten(i, max(leastPart, f.sizes[i]/2))
			continue
		}
		f.dropOne()
		dropped = true
	}
	if dropped {
		f.parts = append(f.parts, part{kind: partContext, text: shortened})
	}
	return f.parts
}

func newFitting(parts []part) *fitting {
	f := &fitting{parts: slices.Clone(parts), sizes: make([]int, len(parts))}
	for i, p := range f.parts {
		f.sizes[i] = size(p.text)
		f.total += f.sizes[i] + lengthOf(p.input.label) + lengthOf(p.input.placeholder)
		if most := ownLimit(p.kind); f.sizes[i] > most {
			f.shorten(i, most)
		}
	}
	return f
}

func (f *fitting) shorten(i, most int) {
	f.parts[i].text = cut(f.parts[i].text, most)
	n := size(f.parts[i].text)
	f.total += n - f.sizes[i]
	f.sizes[i] = n
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

// longest finds the longest part that can still be shortened: one that may be
// left out if there is any, else one that must stay; -1 for none.
func (f *fitting) longest() int {
	best := -1
	for _, keep := range []bool{false, true} {
		for i, p := range f.parts {
			if p.keep == keep && f.sizes[i] > leastPart && (best < 0 || f.sizes[i] > f.sizes[best]) {
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
func (f *fitting) dropOne() {
	gone := len(f.parts) - 1
	if i := f.last(func(p part) bool { return !p.keep }); i >= 0 {
		gone = i
	} else if i := f.last(func(p part) bool { return p.kind != partActions }); i >= 0 {
		gone = i
	}
	in := f.parts[gone].input
	f.total -= f.sizes[gone] + lengthOf(in.label) + lengthOf(in.placeholder)
	f.parts, f.sizes = slices.Delete(f.parts, gone, gone+1), slices.Delete(f.sizes, gone, gone+1)
}

// last finds the last part of a kind, -1 for none.
func (f *fitting) last(of func(part) bool) int {
	for i, p := range slices.Backward(f.parts) {
		if of(p) {
			return i
		}
	}
	return -1
}

// textOf tells the whole story in words, for notifications and screen readers.
// Where it is too long for them, what must stay in the blocks stays here, too.
func textOf(parts []part) markup {
	told := slices.Clone(parts)
	for i, p := range told {
		told[i].text = p.words()
	}
	var text markup
	for _, p := range fit(told, len(told)+1, limitText-len(told)-size(shortened)) {
		if p.text == "" {
			continue
		}
		if text != "" {
			text += "\n"
		}
		text += p.text
	}
	return markup(nonEmpty(string(cut(text, limitText))))
}

// words are a part as it is read out.
func (p part) words() markup {
	if p.kind != partActions {
		return plain(p.text)
	}
	labels := make([]string, len(p.buttons))
	for i, b := range p.buttons {
		labels[i] = b.label
	}
	return say("Buttons: %s.", strings.Join(labels, ", "))
}
