package bot_test

import (
	"encoding/json"
	"strings"
	"testing"

	"twokey/approvals"
	"twokey/bot"
)

const cutMark = "Shortened: Slack takes no more in one message."

// pieces are the texts of a message's blocks as somebody hears them: without
// the signs for letters, and the labels of the buttons.
func pieces(t fataler, raw json.RawMessage) (texts, labels []string) {
	var blocks []block
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatalf("%v", err)
	}
	for _, b := range blocks {
		switch text := b.Text.Text; {
		case text == "":
		case b.Type == "header": // which has no escapes
			texts = append(texts, escaped(text))
		default:
			texts = append(texts, text)
		}
		for _, e := range b.Elements {
			if e.Type == "button" {
				labels = append(labels, escaped(e.Text.Text))
			} else if e.Text.Text != "" {
				texts = append(texts, e.Text.Text)
			}
		}
	}
	return texts, labels
}

// escaped is a plain text as mrkdwn has it.
func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// spoken takes away what text and blocks may differ in: the signs for letters,
// escapes (a header has none), and white space.
func spoken(s string) string {
	s = strings.NewReplacer("`", "", "'", "", "*", "", "_", "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

// told demands that the text says what the blocks say. What had to be cut in one
// of them ends in an ellipsis, or is said to be left out.
func told(t fataler, what string, m bot.Rendered) {
	texts, labels := pieces(t, m.Blocks)
	text := spoken(m.Text)
	short := strings.Contains(m.Text, cutMark) || strings.Contains(m.Text, "…")
	for _, piece := range texts {
		if piece == "–" || strings.Contains(piece, cutMark) { // stands for an empty text, which Slack refuses; is true of the blocks alone
			continue
		}
		head, _, _ := strings.Cut(piece, "…") // a piece that was cut, up to there
		if p := spoken(head); !strings.Contains(text, p) && !short {
			t.Fatalf("%s: the text lacks %q:\n%s", what, piece, m.Text)
		}
	}
	for _, label := range labels {
		head, _, _ := strings.Cut(label, "…")
		if !short && !strings.Contains(text, spoken(head)) {
			t.Fatalf("%s: the text doesn't name the button %q:\n%s", what, label, m.Text)
		}
	}
}

// TestEveryStateIsToldInWordsWhole: no message of an ordinary request is cut.
func TestEveryStateIsToldInWordsWhole(t *testing.T) {
	t.Parallel()
	planned := switchoverPlan()
	for name, s := range map[string]*tale{
		"pending": newTale(t, planned), "partial": newTale(t, planned).approve("dba-2"), "executing": newTale(t, planned).claimed().steps(planned, 2),
		"held": held(t), "succeeded": newTale(t, planned).claimed().steps(planned, 5).finished(approvals.Succeed, "", switchoverOutcome()),
	} {
		for kind, m := range map[string]bot.Rendered{"request": bot.RenderRequest(s.scene), "result": bot.RenderResult(s.scene)} {
			if strings.Contains(m.Text, cutMark) || strings.HasSuffix(m.Text, "…") {
				t.Errorf("%s, %s: the text is cut:\n%s", name, kind, m.Text)
			}
			told(t, name+", "+kind, m)
		}
	}
}

// TestATextThatIsTooLongKeepsWhatMatters: whoever only hears it knows what is
// asked, by whom, until when, and with which digest.
func TestATextThatIsTooLongKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	s := newTale(t, manyChecks(200))
	m := bot.RenderRequest(s.scene)
	lawfulMessage(t, "request", m)
	for _, want := range []string{
		"Switchover of orders: 0 of 2 approvals", "oncall asks: kernel upgrade", "dc1 (10.0.1.5:5432) → dc2", "Zero acknowledged loss",
		"dba-1 <@U0DBA00001>: waiting", s.scene.Request.Digest().Short(), "expires", "Buttons: Approve, Deny, Details, Cancel.", cutMark,
	} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, m.Text)
		}
	}
}
