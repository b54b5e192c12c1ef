package bot_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
)

// nasty are strings that people or servers could send to break a message.
func nasty() []string {
	short := []string{
		"", "<!channel>", "<@U0DBA00001>", "<https://evil.example|harmless>", "```", "`", "*", "&amp;", "&", "<", ">", "|",
		"\u202etfel ot thgir\u202c", "שלום", "مرحبا", "👩‍👩‍👧‍👦", "🏳️‍🌈", "e\u0301", "\u200d", "\ufe0f", "\x00", "\x1b[31m", "\xff\xfe", "\n✓ forged line", "\r\n", "\u2028",
		"<!date^1^{date}|x>", "<!here", "…", "漢字", "%s%d%!", "${IFS}", "``\u200b`", strings.Repeat("a", 3100), strings.Repeat("😀", 2000), strings.Repeat("&", 1500),
	}
	all := short
	for _, s := range short {
		all = append(all, strings.Repeat(s+" ", 4_000/(len(s)+1)), strings.Repeat(s, 700/(len(s)+1)), "a"+s+"```"+s+"<"+s)
	}
	for _, s := range []string{"<!channel> ", "😀", "```", "\u202e& ", "word "} {
		all = append(all, strings.Repeat(s, 100_000/len(s)))
	}
	return all
}

// hostile draws one of them by its number, so that a failure can be printed, or
// a few characters at random.
func hostile(t *rapid.T, label string) string {
	all := nastyStrings
	if n := rapid.IntRange(0, 2*len(all)).Draw(t, label); n < len(all) {
		return all[n]
	}
	return rapid.StringN(0, 40, 80).Draw(t, label)
}

var nastyStrings = nasty()

// lawful checks every limit of Slack for the JSON of blocks, and that no markup
// came from a stranger. It shares nothing with the builder.
func lawful(t fataler, what string, raw json.RawMessage, most int) {
	var blocks []map[string]any
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(blocks) > most {
		t.Fatalf("%s: %d blocks", what, len(blocks))
	}
	all := 0
	ids := map[string]bool{}
	for i, b := range blocks {
		id, _ := b["block_id"].(string)
		if id != "" && ids[id] {
			t.Fatalf("%s: block_id %q twice", what, id)
		}
		ids[id] = true
		all += lawfulBlock(t, fmt.Sprintf("%s, block %d", what, i), b)
	}
	if all > 12_000 {
		t.Fatalf("%s: %d characters of text in all", what, all)
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func lawfulBlock(t fataler, what string, b map[string]any) int {
	switch b["type"] {
	case "header":
		return lawfulText(t, what, b["text"], 150, "plain_text")
	case "section":
		return lawfulText(t, what, b["text"], 3000, "mrkdwn")
	case "context":
		elements := b["elements"].([]any)
		if len(elements) > 10 {
			t.Fatalf("%s: %d elements", what, len(elements))
		}
		n := 0
		for _, e := range elements {
			n += lawfulText(t, what, e, 2000, "mrkdwn")
		}
		return n
	case "actions":
		return lawfulButtons(t, what, b["elements"].([]any))
	case "input":
		e := b["element"].(map[string]any)
		if p := e["placeholder"]; p != nil {
			lawfulText(t, what, p, 150, "plain_text")
		}
		return lawfulText(t, what, b["label"], 2000, "plain_text")
	case "divider":
		return 0
	}
	t.Fatalf("%s: type %v", what, b["type"])
	return 0
}

func lawfulButtons(t fataler, what string, elements []any) int {
	if len(elements) > 25 || len(elements) == 0 {
		t.Fatalf("%s: %d elements", what, len(elements))
	}
	for _, v := range elements {
		e := v.(map[string]any)
		lawfulText(t, what, e["text"], 75, "plain_text")
		if value, _ := e["value"].(string); units(value) > 2000 {
			t.Fatalf("%s: value of %d", what, units(value))
		}
		if id, _ := e["action_id"].(string); len(id) > 255 || id == "" {
			t.Fatalf("%s: action_id %q", what, id)
		}
		if c, ok := e["confirm"].(map[string]any); ok {
			lawfulText(t, what, c["title"], 100, "plain_text")
			lawfulText(t, what, c["text"], 300, "plain_text")
			lawfulText(t, what, c["confirm"], 30, "plain_text")
			lawfulText(t, what, c["deny"], 30, "plain_text")
		}
	}
	return 0
}

func lawfulText(t fataler, what string, v any, most int, kind string) int {
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s: no text object: %v", what, v)
	}
	s, _ := m["text"].(string)
	if m["type"] != kind || units(s) < 1 || units(s) > most || !utf8.ValidString(s) {
		t.Fatalf("%s: %v of %d characters (%d allowed)", what, m["type"], units(s), most)
	}
	if kind == "mrkdwn" {
		if m["verbatim"] != true {
			t.Fatalf("%s: Slack would make links of its own", what)
		}
		harmless(t, what, s)
	}
	return units(s)
}

// ours is the markup that the bot itself writes.
var ours = regexp.MustCompile(`^<(!date\^\d+\^\{date_short_pretty\} \{time_secs\}\|[^<>|]*|@[A-Z0-9]+|#[A-Z0-9]+|https://sim\.example/[^<>|]*\|(Open the request|What to do)|!subteam\^[A-Z0-9]+)>`)

var entity = regexp.MustCompile(`^&(amp|lt|gt);`)

// harmless demands that every < begins markup of ours, that every & begins an
// entity, that fences are closed, and that nothing turns the reading direction.
func harmless(t fataler, what, s string) {
	for i, r := range s {
		switch {
		case r == '<' && !ours.MatchString(s[i:]):
			t.Fatalf("%s: foreign markup at %.60q", what, s[i:])
		case r == '&' && !entity.MatchString(s[i:]):
			t.Fatalf("%s: half an entity at %.20q", what, s[i:])
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r < ' ' && r != '\n':
			t.Fatalf("%s: character %U", what, r)
		}
	}
	if strings.Count(s, "```")%2 != 0 {
		t.Fatalf("%s: an open fence in %.200q", what, s)
	}
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

func lawfulMessage(t fataler, what string, m bot.Rendered) {
	lawful(t, what, m.Blocks, 50)
	lawful(t, what+" (short)", m.Short, 50)
	if units(m.Text) > 4000 || m.Text == "" || !utf8.ValidString(m.Text) {
		t.Fatalf("%s: text of %d characters", what, units(m.Text))
	}
	harmless(t, what+" (text)", m.Text)
}

func lawfulView(t fataler, name string, raw json.RawMessage) {
	var v struct {
		Title, Submit, Close map[string]any
		Blocks               json.RawMessage `json:"blocks"`
		Private              string          `json:"private_metadata"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	lawful(t, name, v.Blocks, 100)
	for _, label := range []map[string]any{v.Title, v.Submit, v.Close} {
		if label != nil {
			lawfulText(t, name, label, 24, "plain_text")
		}
	}
	if len(v.Private) > 3000 {
		t.Fatalf("%s: private_metadata of %d", name, len(v.Private))
	}
}

// drawScene fills a request with hostile strings wherever one fits.
func drawScene(t *rapid.T) bot.Scene {
	word := func(label string) string { return hostile(t, label) }
	plan := switchoverPlan()
	plan.From, plan.To, plan.Verdict, plan.Pause, plan.After = word("from"), word("to"), word("verdict"), word("pause"), actions.After(word("after"))
	for range rapid.IntRange(0, 12).Draw(t, "checks") {
		status := rapid.SampledFrom([]actions.Status{actions.OK, actions.Bad, actions.Warn, actions.Unclear, "?"}).Draw(t, "status")
		plan.Checks = append(plan.Checks, actions.Check{Title: word("title"), Status: status, Detail: word("detail"), Fix: word("fix")})
	}
	plan.Steps = append(plan.Steps, actions.Step{Op: actions.Op(word("op")), Node: word("node"), Text: word("step")})
	plan.Facts = append(plan.Facts, actions.Fact{Name: plan.From + " address", Value: word("address")})
	kind := word("kind")
	if rapid.Bool().Draw(t, "drill") {
		plan.Rehearses, plan.Rehearsed, kind = actions.Kind(word("rehearses")), plan.Steps, string(actions.KindDrill)
	}
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var decoded actions.Plan // what JSON does to invalid UTF-8 is not the question here
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatalf("%v", err)
	}
	at := noon.Add(time.Minute)
	out, err := json.Marshal(actions.Outcome{OldPrimary: word("old"), NewPrimary: word("new"), Serving: word("serving"), Clearance: actions.ClearanceKind(word("clearance")),
		Proof: word("proof"), AcceptedBy: word("accepted"), NewTimeline: 4, Conn: actions.ConnString{URI: word("uri") + "x", Keywords: word("keywords")},
		Rejoin: &actions.RejoinReport{How: word("how"), Kept: word("kept")}, Rehearsal: &actions.Rehearsal{Kind: actions.Kind(word("kind")), Verdict: word("verdict") + "x", Warnings: []string{word("warning")}}, Todo: []string{word("todo"), word("todo")}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	who := approvals.Person(word("person"))
	approvers := []approvals.Person{who, "slack:T0TWOKEY01/<!channel>"}
	for range rapid.IntRange(0, 20).Draw(t, "approvers") {
		approvers = append(approvers, approvals.Person(word("approver")))
	}
	r := approvals.Request{
		ID: word("id"), State: rapid.SampledFrom(approvals.States()).Draw(t, "state"), Requester: approvals.Person(word("requester")), Reason: word("reason"),
		Subject:   approvals.Subject{Kind: kind, Pair: word("pair"), Text: decoded.Text(), Data: data},
		Approvers: approvers,
		Votes:     []approvals.Vote{{Person: who, At: at, Via: word("via"), Proof: word("proof")}},
		Pauses:    []approvals.Pause{{Question: word("question"), Statement: word("statement"), Until: at}},
		CreatedAt: noon, ExpiresAt: at, EndedAt: at, EndedBy: who, Why: word("why"), Outcome: out,
	}
	journal := []actions.Entry{
		{At: noon, Op: plan.Steps[0].Op, Node: plan.Steps[0].Node, Phase: actions.Intent},
		{At: at, Op: plan.Steps[0].Op, Node: plan.Steps[0].Node, Phase: actions.Failing, Text: word("failing")},
		{At: at, Op: actions.Op(word("op")), Node: word("node"), Phase: actions.Intent, Text: word("intent")},
	}
	return bot.Scene{Request: r, Journal: journal, Pairs: []actions.Pair{ordersPair()}, People: people(), Audit: approvals.Event{Seq: 3, Hash: strings.Repeat("f", 64)}, Now: at}
}

// manyChecks is a plan that has to be cut in every message.
func manyChecks(n int) actions.Plan {
	plan := switchoverPlan()
	for range n {
		plan.Checks = append(plan.Checks, actions.Check{Title: strings.Repeat("check ", 60), Status: actions.Bad, Detail: strings.Repeat("detail ", 80)})
	}
	return plan
}

func TestWhateverWasCutTheButtonsStay(t *testing.T) {
	t.Parallel()
	m := bot.RenderRequest(newTale(t, manyChecks(400)).scene)
	lawfulMessage(t, "request", m)
	for _, want := range []string{`"approve"`, `"deny"`, `"cancel"`, "0 of 2 approvals", "Zero acknowledged loss", "Shortened"} {
		if !strings.Contains(string(m.Blocks), want) {
			t.Errorf("the shortened message lacks %s", want)
		}
	}
	if !strings.Contains(string(m.Short), `"approve"`) {
		t.Error("the short form lacks the button")
	}
}

func TestCutNeverLeavesHalfOfAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		foreign := hostile(t, "foreign")
		m := bot.Escape(foreign) + " <!date^1773489600^{date_short_pretty} {time_secs}|then> " + bot.Pre(foreign, 500) + bot.Escape(foreign)
		limit := rapid.IntRange(40, 700).Draw(t, "limit")
		got := bot.Cut(m, limit)
		if bot.Length(got) > limit || units(got) > limit {
			t.Fatalf("%d characters instead of %d", units(got), limit)
		}
		harmless(t, "cut", got)
	})
}
