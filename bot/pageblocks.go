package bot

import (
	"fmt"

	"github.com/slack-go/slack"
)

func blocksOf(parts []part) []slack.Block {
	blocks := make([]slack.Block, 0, len(parts))
	for i, p := range parts {
		if b := p.block(i); b != nil {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

func (p part) block(i int) slack.Block {
	switch p.kind {
	case partHeader:
		return slack.NewHeaderBlock(&slack.TextBlockObject{Type: slack.PlainTextType, Text: nonEmpty(unescape(p.text))})
	case partContext:
		return slack.NewContextBlock("", mrkdwn(p.text))
	case partDivider:
		return slack.NewDividerBlock()
	case partActions:
		return slack.NewActionBlock(fmt.Sprintf("actions_%d", i), elements(p.buttons)...)
	case partInput:
		return p.input.block()
	}
	return slack.NewSectionBlock(mrkdwn(p.text), nil, nil)
}

// unescape gives the letters back for a plain_text object, where they are safe.
func unescape(m markup) string {
	return unescaper.Replace(string(m))
}

// mrkdwn is verbatim: Slack makes no links and mentions of its own from it.
func mrkdwn(m markup) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, nonEmpty(string(m)), false, true)
}

// plainText is for labels, which know no markup and need no escaping.
func plainText(s string, limit int) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.PlainTextType, Text: nonEmpty(clip(oneLine(s), limit))}
}

func nonEmpty(s string) string {
	if s == "" {
		return "–" // Slack refuses empty text objects
	}
	return s
}

const maxButtons = 25

func elements(buttons []button) []slack.BlockElement {
	var out []slack.BlockElement
	for _, b := range buttons[:min(len(buttons), maxButtons)] {
		e := slack.NewButtonBlockElement(b.action, clip(b.value, limitValue), plainText(b.label, limitButton))
		e.Style = b.style
		if b.confirm != nil {
			e.Confirm = b.confirm.object(b.style)
		}
		out = append(out, e)
	}
	return out
}

func (c confirm) object(style slack.Style) *slack.ConfirmationBlockObject {
	o := slack.NewConfirmationBlockObject(
		plainText(c.title, limitConfirmTitle), plainText(c.text, limitConfirmText),
		plainText(c.yes, limitConfirmLabel), plainText(c.no, limitConfirmLabel),
	)
	o.Style = style
	return o
}

func (in input) block() slack.Block {
	element := slack.NewPlainTextInputBlockElement(nil, in.id)
	element.Multiline = in.multiline
	element.MaxLength = limitInput
	element.FocusOnLoad = true
	if in.placeholder != "" {
		element.Placeholder = plainText(in.placeholder, limitPlaceholder)
	}
	b := slack.NewInputBlock(in.id, plainText(in.label, limitLabel), nil, element)
	b.Optional = in.optional
	return b
}
