package bot

import (
	"slices"

	"github.com/slack-go/slack"
)

// Slack's limits, in characters unless the name says otherwise.
const (
	limitBlocks       = 50 // of a message
	limitViewBlocks   = 100
	limitSection      = 3000
	limitHeader       = 150
	limitContext      = 2000 // one element; Slack names no number for text objects in general
	limitButton       = 75
	limitValue        = 2000
	limitConfirmTitle = 100
	limitConfirmText  = 300
	limitConfirmLabel = 30
	limitViewTitle    = 24
	limitLabel        = 2000
	limitPlaceholder  = 150
	limitPrivate      = 3000
	limitInput        = 3000

	// All text of a message's blocks together; Slack refuses from about 12,000
	// on without documenting it. Buttons have their share outside of this.
	limitAllText = 10_500
	// The text beside the blocks: Slack recommends at most 4,000, and chat.update
	// refuses more.
	limitText = 3900
	// A part is not shortened below this before whole parts are left out.
	leastPart = 240
)

// page is what a message or a view is made from. It is the only way to make
// one, and whatever was put into it, what comes out keeps Slack's limits.
type page struct{ parts []part }

type partKind int

const (
	partHeader partKind = iota
	partSection
	partContext
	partDivider
	partActions
	partInput
)

type part struct {
	kind    partKind
	text    markup
	keep    bool // never left out, and shortened last
	buttons []button
	input   input
}

// button is one element of an actions block.
type button struct {
	action, label string
	style         slack.Style
	value         string
	confirm       *confirm
}

type confirm struct{ title, text, yes, no string }

// input is one text field of a view.
type input struct {
	id, label, placeholder string
	multiline, optional    bool
}

func (p *page) header(format string, args ...any) {
	p.parts = append(p.parts, part{kind: partHeader, text: say(format, args...), keep: true})
}

// must adds a section that stays whatever else has to go.
func (p *page) must(m markup) {
	p.parts = append(p.parts, part{kind: partSection, text: m, keep: true})
}

func (p *page) section(m markup) {
	if m != "" {
		p.parts = append(p.parts, part{kind: partSection, text: m})
	}
}

// lines adds a title and its lines, in as many sections as they need; without
// lines there is no title.
func (p *page) lines(title markup, lines []markup) { p.sections(title, lines, false) }

// mustLines are lines that stay whatever else has to go.
func (p *page) mustLines(title markup, lines []markup) { p.sections(title, lines, true) }

func (p *page) sections(title markup, lines []markup, keep bool) {
	if len(lines) == 0 {
		return
	}
	add := func(m markup) { p.parts = append(p.parts, part{kind: partSection, text: m, keep: keep}) }
	const room = limitSection - 100
	text := title
	for _, l := range lines {
		l = cut(l, room)
		if text != "" && size(text)+size(l)+1 > room {
			add(text)
			text = ""
		}
		if text != "" {
			text += "\n"
		}
		text += l
	}
	add(text)
}

func (p *page) context(m markup) {
	p.parts = append(p.parts, part{kind: partContext, text: m, keep: true})
}

func (p *page) divider() { p.parts = append(p.parts, part{kind: partDivider}) }

func (p *page) actions(buttons ...button) {
	if len(buttons) > 0 {
		p.parts = append(p.parts, part{kind: partActions, keep: true, buttons: buttons})
	}
}

func (p *page) ask(in input) {
	p.parts = append(p.parts, part{kind: partInput, keep: true, input: in})
}

// message is what is sent to Slack. short is the same with fewer blocks, for
// when Slack refuses it even so.
type message struct {
	text   markup
	blocks []slack.Block
	short  []slack.Block
}

func (p *page) message() message {
	return message{
		text:   textOf(p.parts),
		blocks: blocksOf(fit(p.parts, limitBlocks, limitAllText)),
		short:  blocksOf(fit(essential(p.parts), 10, limitAllText)),
	}
}

// view makes a modal. submit may be empty.
func (p *page) view(callback, title, submit, private string) slack.ModalViewRequest {
	v := slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: callback, Title: plainText(title, limitViewTitle),
		Close: plainText("Close", limitViewTitle), Blocks: slack.Blocks{BlockSet: blocksOf(fit(p.parts, limitViewBlocks, limitAllText))},
	}
	if submit != "" {
		v.Submit = plainText(submit, limitViewTitle)
	}
	if len(private) <= limitPrivate {
		v.PrivateMetadata = private
	}
	return v
}

func (p *page) home() slack.HomeTabViewRequest {
	return slack.HomeTabViewRequest{
		Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: blocksOf(fit(p.parts, limitViewBlocks, limitAllText))},
	}
}

func essential(parts []part) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !p.keep })
}
