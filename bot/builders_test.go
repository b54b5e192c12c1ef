package bot_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
)

// TestNoInputBreaksALimitOfSlack: whatever stands in the material, every message
// and view that is made from it keeps Slack's limits, has no markup of a
// stranger's, and its text says what its blocks say.
func TestNoInputBreaksALimitOfSlack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMaterial(t)
		builders := bot.Builders(m)
		for _, name := range slices.Sorted(maps.Keys(builders)) {
			for _, b := range builders[name]() {
				if b.View != nil {
					lawfulView(t, name, b.View)
					sent.keep(sent.views, name, b.View)
					continue
				}
				lawfulMessage(t, name, b.Message)
				told(t, name, b.Message)
			}
		}
	})
}

// TestEveryBuilderIsHeldToTheLimits finds the functions that make messages, pages
// and views and that the test above doesn't call.
func TestEveryBuilderIsHeldToTheLimits(t *testing.T) {
	t.Parallel()
	held, made := bot.Builders(bot.Material{}), functionsThatMake(t, "message", "*page", "slack.ModalViewRequest")
	if len(made) < 30 {
		t.Fatalf("only %v make something; the search is broken", made)
	}
	for _, name := range made {
		if held[name] == nil {
			t.Errorf("%s isn't held to Slack's limits: add it to Builders (export_test.go)", name)
		}
	}
	for name := range held {
		if name != "page" && !slices.Contains(made, name) { // a page by itself, with all that it can hold
			t.Errorf("%s is in Builders and makes nothing", name)
		}
	}
}

// functionsThatMake lists the package's functions, without methods, that return
// one of the types first: methods are made of them.
func functionsThatMake(t *testing.T, types ...string) []string {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), ".", nil, 0) //nolint:staticcheck // one package, without build tags
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for path, file := range packages["bot"].Files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Type.Results != nil && slices.Contains(types, typeName(f.Type.Results.List[0].Type)) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

// drawMaterial fills everything that messages are made from with hostile strings.
func drawMaterial(t *rapid.T) bot.Material {
	m := bot.Material{Scene: drawScene(t), Alert: drawAlert(t), Lag: drawLag(t), Compared: actions.Comparison{
		Pair: hostile(t, "pair"), Primary: hostile(t, "primary"), Tables: []actions.TableCompare{{Table: hostile(t, "table")}}}}
	for range rapid.IntRange(1, 14).Draw(t, "words") {
		m.Words = append(m.Words, hostile(t, "word"))
	}
	for range rapid.IntRange(1, 4).Draw(t, "reports") {
		m.Reports = append(m.Reports, drawReport(t))
	}
	for range rapid.IntRange(0, 3).Draw(t, "past") {
		m.Past = append(m.Past, drawScene(t).Request)
	}
	m.News, m.Late = drawNews(t)
	m.Trail = drawTrail(t)
	for range rapid.IntRange(1, 60).Draw(t, "members") {
		pair := ordersPair()
		pair.Name = m.Alert.Pair
		m.States = append(m.States, actions.PairState{Pair: pair, Memory: actions.Remembered{Health: m.Alert.Health, Incident: &m.Alert.Incident, Paused: m.Alert.Paused}})
	}
	m.Alerts = bot.Alerts{Mention: rapid.SampledFrom([]string{"", "S0ONCALL01", "<!channel>"}).Draw(t, "mention"), Runbook: "https://sim.example/a"}
	return m
}

func drawReport(t *rapid.T) actions.Report {
	word := func(label string) string { return hostile(t, label) }
	rep := healthyReport()
	rep.Evidence.Pair.Name, rep.Evidence.Pair.Nodes[1].Host = word("pair"), word("host")
	rep.Verdict.Health, rep.Verdict.Headline, rep.Verdict.Why = actions.Health(word("health")), word("headline"), word("why")
	rep.Evidence.Nodes[0] = actions.Observation{Node: "dc1", Failure: &actions.Failure{Reach: actions.Reach(word("reach")), Text: word("failure")}}
	for range rapid.IntRange(0, 12).Draw(t, "checks") {
		rep.Verdict.Checks = append(rep.Verdict.Checks, actions.Check{Title: word("title"), Status: actions.Bad, Detail: word("detail"), Fix: word("fix")})
	}
	rep.Evidence.Memory.Paused = &actions.Paused{By: approvals.Person(word("by")), Why: word("reason")}
	return rep
}

// drawNews gives one event of each kind, and many that are told late.
func drawNews(t *rapid.T) (news, late []approvals.Event) {
	word := func(label string) string { return hostile(t, label) }
	data := encoded(t, map[string]any{
		"pair": word("pair"), "health": word("health"), "text": word("text"), "old": word("old"), "new": word("new"), "why": word("why"), "person": word("person"), "by": word("uid"),
		"paused": map[string]any{"by": word("by"), "why": word("reason")}, "rows": []any{map[string]any{"pair": word("pair"), "text": word("text")}},
	})
	kinds := []string{"alert", "recovered", "report", "policy", "approvers", "otp-enrolled", "otp-removed", "otp-locked", "paused", "resumed", "noise"}
	for _, kind := range kinds {
		e := approvals.Event{Seq: 1, At: noon, Actor: approvals.Person(word("actor")), Kind: kind, Data: data}
		news = append(news, e)
		late = append(late, slices.Repeat([]approvals.Event{e}, rapid.IntRange(1, 12).Draw(t, "late"))...)
		e.Data = json.RawMessage(`"` + strings.Repeat("no", 3000) + `"`)
		news = append(news, e)
	}
	return news, late
}

func encoded(t *rapid.T, v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return raw
}

func drawAlert(t *rapid.T) actions.Alert {
	i := actions.Incident{ID: hostile(t, "id"), Since: noon, Worst: actions.Level(rapid.IntRange(0, 3).Draw(t, "worst")), Returns: rapid.IntRange(0, 3).Draw(t, "returns")}
	for range rapid.IntRange(0, 20).Draw(t, "troubles") {
		tr := actions.Trouble{Code: rapid.SampledFrom(append(actions.TroubleCodes(), hostile(t, "code"))).Draw(t, "which"), Level: actions.Level(rapid.IntRange(0, 2).Draw(t, "level")), Since: noon, Text: hostile(t, "text")}
		if rapid.Bool().Draw(t, "over") {
			tr.Until = noon
		}
		i.Troubles = append(i.Troubles, tr)
	}
	if rapid.Bool().Draw(t, "ended") {
		i.Ended = noon
	}
	return actions.Alert{Pair: hostile(t, "pair"), Health: actions.Health(hostile(t, "health")), Text: hostile(t, "words"), Incident: i, Call: true, Paused: &actions.Paused{Why: hostile(t, "why")}}
}

func drawTrail(t *rapid.T) actions.Trail {
	trail := actions.Trail{Head: 9, Hash: hostile(t, "hash")}
	for range rapid.IntRange(0, 12).Draw(t, "entries") {
		data := encoded(t, map[string]any{"why": hostile(t, "why"), "text": hostile(t, "text")})
		trail.Events = append(trail.Events, approvals.Event{Seq: 1, Kind: hostile(t, "kind"), Subject: hostile(t, "subject"), Actor: approvals.Person(hostile(t, "actor")), Data: data, Hash: hostile(t, "hash")})
	}
	return trail
}

func drawLag(t *rapid.T) actions.LagHistory {
	h := aDay()
	h.Pair, h.Samples = hostile(t, "pair"), h.Samples[:rapid.SampledFrom([]int{0, 1, 10, 700}).Draw(t, "samples")]
	for i := range h.Marks {
		h.Marks[i].Text = hostile(t, "mark")
	}
	return h
}
