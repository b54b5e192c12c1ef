package bot

import (
	"encoding/json"
	"strings"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

// The callbacks of views are the actions that opened them.

// The input fields of a view.
const (
	inputText = "text"
	inputCode = "code"
)

const codeLabel = "One-time code: six digits. Slack shows what you type."

// sheet is what a view carries through Slack and back: which button opened it.
type sheet struct {
	Request string `json:"r"`
	Digest  string `json:"d"`
	Channel string `json:"c"`
	Message string `json:"m"`
}

func (s sheet) String() string {
	raw, err := json.Marshal(s)
	if err != nil { // four strings
		panic(err)
	}
	return string(raw)
}

func parseSheet(private string) (sheet, bool) {
	var s sheet
	if json.Unmarshal([]byte(private), &s) != nil || s.Request == "" {
		return sheet{}, false
	}
	return s, true
}

// waitView is shown until the looking up is done: a trigger lives for three
// seconds, so views.open comes first.
func waitView(title string) slack.ModalViewRequest {
	p := &page{}
	p.must("One moment …")
	return p.view(actionDetails, title, "", "")
}

// denyView asks for the reason of a denial. With v it says what is denied.
func denyView(s sheet, v *view) slack.ModalViewRequest {
	p := &page{}
	if v != nil {
		p.must(say("*%s*", v.what()) + "\n" + v.question())
	}
	p.ask(input{id: inputText, label: "Why not? Everybody in the channel will read it.", multiline: true})
	return p.view(actionDeny, "Deny", "Deny", s.String())
}

// codeView asks for the one-time code of an approval. With v it says what is
// approved: the code is the second confirmation.
func codeView(s sheet, v *view) slack.ModalViewRequest {
	p := &page{}
	if v != nil {
		p.must(say("*%s*", v.what()) + "\n" + v.question())
		p.context(say("Digest %s", code(v.request.Digest().Short())))
	}
	p.ask(input{id: inputCode, label: codeLabel})
	return p.view(actionApprove, "Approve", "Approve", s.String())
}

// statementView asks for the statement that a held request waits for, and with
// coded for a one-time code besides.
func statementView(s sheet, v *view, coded bool) slack.ModalViewRequest {
	p := &page{}
	label := "The statement, word for word"
	if v != nil {
		open := v.request.OpenPause()
		p.must(say("*%s*", v.what()))
		p.must(say("%s", open.Question))
		p.must(say("Type %s. It is stored with your name and shown in the result.", code(open.Statement)))
		label = "Type " + open.Statement
	}
	p.ask(input{id: inputText, label: label})
	if coded {
		p.ask(input{id: inputCode, label: codeLabel})
	}
	return p.view(actionStatement, "Type the statement", "State it", s.String())
}

// noteView ends a form with a sentence.
func noteView(m markup) slack.ModalViewRequest {
	p := &page{}
	p.must(m)
	return p.view(actionDetails, "twokey", "", "")
}

// detailsView is all that was judged and all that will be done.
func detailsView(v view) slack.ModalViewRequest {
	p := &page{}
	p.header("%s: %s", v.what(), v.standing())
	p.must(v.question())
	if v.planned {
		p.must(verdict(v.plan.Loss, v.plan.Verdict, v.plan.AsOf))
		p.lines("*Checks*", allCheckLines(v))
		p.lines("*Must still be so when it runs*", factLines(v))
	}
	p.lines("*Steps*", v.progressLines())
	p.lines("*Rehearsed, and not done*", stepLines(v.plan.Rehearsed))
	p.lines("*Votes*", voteLines(v.request))
	p.must(say("*Digest* (SHA-256 of the text below)\n%s", code(string(v.request.Digest()))))
	for _, chunk := range chunks(v.request.Text(), limitSection-200) {
		p.section(pre(chunk, limitSection))
	}
	return p.view(actionDetails, "Details", "", "")
}

func allCheckLines(v view) []markup {
	var lines []markup
	for _, c := range v.plan.Checks {
		lines = append(lines, checkLine(c))
	}
	return lines
}

func factLines(v view) []markup {
	var lines []markup
	for _, f := range v.plan.Facts {
		lines = append(lines, say("• %s: %s", f.Name, orElse(f.Value, "nothing")))
	}
	return lines
}

func voteLines(r approvals.Request) []markup {
	var lines []markup
	for _, vote := range r.Votes {
		lines = append(lines, say("✓ %s at %s over %s%s (%s)", person(vote.Person), when(vote.At), vote.Via, codeMark(vote.Factor), vote.Proof))
	}
	return lines
}

// codeMark says that a decision came with a one-time code.
func codeMark(factor string) markup {
	if factor == "" {
		return ""
	}
	return " with a one-time code"
}

// chunks divides a text at line ends into pieces of about limit characters.
func chunks(text string, limit int) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		if b.Len() > 0 && lengthOf(b.String())+lengthOf(line) > limit {
			out = append(out, b.String())
			b.Reset()
		}
		b.WriteString(line)
	}
	return append(out, b.String())
}
