package actions_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/approvals"
)

var update = flag.Bool("update", false, "write the golden files anew")

// rejoining is a pair after a disaster failover: dc1 serves alone, dc2 is gone.
var rejoining = both(gone("dc2", actions.Unreachable, "connection refused"), detached, setting("dc1", "synchronous_standby_names", ""))

func planFor(t *testing.T, q actions.Question, e actions.Evidence) actions.Plan {
	t.Helper()
	p, err := actions.MakePlan(q, e, actions.Judge(e))
	if err != nil {
		t.Fatalf("no plan: %v", err)
	}
	return p
}

func TestPlanGolden(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		question actions.Question
		evidence actions.Evidence
	}{
		"switchover":        {actions.Question{}, but()},
		"failover":          {actions.Question{}, but(disaster)},
		"failover_unproven": {actions.Question{Kind: failover}, but(disaster, memory(func(m *actions.Remembered) { m.Latch = nil }), func(e *actions.Evidence) { e.Platform = nil })},
		"drill":             {actions.Question{Kind: actions.KindDrill}, but()},
		"rejoin":            {actions.Question{Kind: actions.KindRejoin}, but(rejoining)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := planFor(t, row.question, row.evidence).Text()
			file := filepath.Join("testdata", "plan_"+name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan reads otherwise than %s (go test -update writes it anew):\n%s", file, got)
			}
		})
	}
}

func TestMakePlanAnswers(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		question actions.Question
		evidence actions.Evidence
		kind     actions.Kind
		from, to string
		after    actions.After
		says     string
	}{
		"the evidence decides for a switchover":            {actions.Question{}, but(), switchover, "dc1", "dc2", actions.Block, "synchronous_standby_names set to dc1, so that writes wait for it from the first one on"},
		"the other direction":                              {actions.Question{}, but(swapped), switchover, "dc2", "dc1", actions.Block, "stop dc2 cleanly"},
		"the target may be named":                          {actions.Question{To: "dc2"}, but(), switchover, "dc1", "dc2", actions.Block, ""},
		"a switchover may be insisted on":                  {actions.Question{Kind: switchover}, but(), switchover, "dc1", "dc2", actions.Block, ""},
		"a switchover under degrade says so":               {actions.Question{}, but(func(e *actions.Evidence) { e.Pair.AfterSwitchover = actions.Degrade }), switchover, "dc1", "dc2", actions.Degrade, "the guarantee is off until then"},
		"the evidence decides for a disaster failover":     {actions.Question{}, but(disaster), failover, "dc1", "dc2", actions.Degrade, "its synchronous_standby_names emptied, so that it takes writes alone until dc1 is back"},
		"a failover under block says so":                   {actions.Question{Kind: failover}, but(disaster, func(e *actions.Evidence) { e.Pair.AfterFailover = actions.Block }), failover, "dc1", "dc2", actions.Block, "so that writes wait for it from the first one on"},
		"a failover without a fence asks a person":         {actions.Question{}, but(disaster, func(e *actions.Evidence) { e.Platform = nil }), failover, "dc1", "dc2", actions.Degrade, "there is no driver for it, so a named approver has to state that it is off"},
		"a failover names its fence":                       {actions.Question{}, but(disaster), failover, "dc1", "dc2", actions.Degrade, "fence dc1: stops its process and reads that it is gone"},
		"a failover with unproven loss holds for a person": {actions.Question{}, but(disaster, memory(func(m *actions.Remembered) { m.Latch = nil })), failover, "dc1", "dc2", actions.Degrade, "hold: loss is not proven"},
		"a failover with certain loss holds for a person":  {actions.Question{}, but(disaster, on("dc2", func(s *actions.Server) { s.ReceiveLSN = latchedFrom })), failover, "dc1", "dc2", actions.Degrade, "hold: loss is certain"},
		"a rejoin turns the roles of the plan":             {actions.Question{Kind: actions.KindRejoin}, but(rejoining), actions.KindRejoin, "dc2", "dc1", actions.Block, "make dc2 a standby of dc1"},
		"a rejoin of a standby that has lost its stream":   {actions.Question{Kind: actions.KindRejoin}, but(detached), actions.KindRejoin, "dc2", "dc1", actions.Block, "promotes nobody"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			p := planFor(t, row.question, row.evidence)
			if p.Kind != row.kind || p.From != row.from || p.To != row.to || p.After != row.after || p.Pair != "orders" {
				t.Errorf("%s of %s, from %s to %s, after: %s", p.Kind, p.Pair, p.From, p.To, p.After)
			}
			if !strings.Contains(p.Text(), row.says) {
				t.Errorf("nowhere says %q:\n%s", row.says, p.Text())
			}
			wantSoundPlan(t, p)
		})
	}
}

// wantSoundPlan: what every plan has to have, whatever its kind.
func wantSoundPlan(t *testing.T, p actions.Plan) {
	t.Helper()
	at := func(op actions.Op) int {
		return slices.IndexFunc(p.Steps, func(s actions.Step) bool { return s.Op == op })
	}
	if at(actions.OpLock) != 0 || at(actions.OpRecheck) != 1 || at(actions.OpTidy) != len(p.Steps)-1 {
		t.Errorf("the steps begin or end otherwise:\n%s", p.Text())
	}
	for _, s := range p.Steps {
		if s.Text == "" || strings.Contains(s.Text, "%!") {
			t.Errorf("step %+v", s)
		}
	}
	if (at(actions.OpPromote) < 0) != (len(p.Clearances) == 0) || len(p.Facts) == 0 || len(p.Checks) == 0 {
		t.Errorf("clearances %v, %d facts, %d checks", p.Clearances, len(p.Facts), len(p.Checks))
	}
	if p.Kind == failover && (at(actions.OpHold) >= 0) != (p.Loss != none) {
		t.Errorf("loss %s, hold is step %d", p.Loss, at(actions.OpHold))
	}
}

func TestMakePlanRefuses(t *testing.T) {
	t.Parallel()
	for title, row := range map[string]struct {
		question actions.Question
		evidence actions.Evidence
		says     string
	}{
		"a switchover insisted on in a disaster":   {actions.Question{Kind: switchover}, but(disaster), "orders: a switchover is not what the evidence allows; it allows a failover. Zero acknowledged loss: proven as of"},
		"a failover insisted on with both healthy": {actions.Question{Kind: failover}, but(), "orders: a failover is not what the evidence allows; it allows a switchover. Zero acknowledged loss: proven"},
		"the primary as the target":                {actions.Question{To: "dc1"}, but(), "orders: dc1 can't become the primary: the standby is dc2. Say `to dc2`, or leave it out."},
		"an unprotected pair":                      {actions.Question{}, but(names("")), `nothing can be planned now: a switchover is not possible: the primary waits for exactly this standby: synchronous_standby_names is ""`},
		"half seen":                                {actions.Question{}, but(gone("dc2", actions.Silent, "silent")), "there is nothing to fail over to. Bring the standby back."},
		"two primaries":                            {actions.Question{}, but(on("dc2", func(s *actions.Server) { s.InRecovery = false })), "both nodes accept writes"},
		"nobody answers":                           {actions.Question{Kind: failover}, but(disaster, gone("dc2", actions.Silent, "silent")), "neither node answers"},
		"a standby that may not be promoted":       {actions.Question{}, but(disaster, on("dc2", func(s *actions.Server) { s.Rights = []string{"EXECUTE on pg_promote"} })), "a failover is not possible: the bot has its rights on the standby: missing: EXECUTE on pg_promote"},
		"a rejoin of a synchronous standby":        {actions.Question{Kind: actions.KindRejoin}, but(), "orders: dc2 is a synchronous standby already; there is nothing to rejoin."},
		"a rejoin without a primary":               {actions.Question{Kind: actions.KindRejoin}, but(disaster), "orders: a rejoin needs a primary that answers"},
		"a rejoin without a driver":                {actions.Question{Kind: actions.KindRejoin}, but(rejoining, func(e *actions.Evidence) { e.Platform = nil }), "orders: no driver can start dc2, so the bot can't rejoin it. Rejoin it by hand."},
		"a rejoin between two primaries":           {actions.Question{Kind: actions.KindRejoin}, but(on("dc2", func(s *actions.Server) { s.InRecovery = false })), "a rejoin needs a primary that answers"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			p, err := actions.MakePlan(row.question, row.evidence, actions.Judge(row.evidence))
			if err == nil {
				t.Fatalf("planned:\n%s", p.Text())
			}
			if approvals.Refused(err) != approvals.CodeInput || !strings.Contains(err.Error(), row.says) || p.Kind != "" {
				t.Errorf("%s (code %q), want %q", err, approvals.Refused(err), row.says)
			}
		})
	}
}

// TestEveryFieldOfAPlanIsInItsText: what the executor acts on can't be changed
// without changing what people approved.
func TestEveryFieldOfAPlanIsInItsText(t *testing.T) {
	t.Parallel()
	for title, change := range map[string]func(*actions.Plan){
		"kind":                   func(p *actions.Plan) { p.Kind = failover },
		"pair":                   func(p *actions.Plan) { p.Pair = "billing" },
		"old primary":            func(p *actions.Plan) { p.From = "dc3" },
		"new primary":            func(p *actions.Plan) { p.To = "dc3" },
		"after":                  func(p *actions.Plan) { p.After = actions.Degrade },
		"loss":                   func(p *actions.Plan) { p.Loss = unproven },
		"verdict":                func(p *actions.Plan) { p.Verdict += " " },
		"as of":                  func(p *actions.Plan) { p.AsOf = p.AsOf.Add(time.Second) },
		"pause":                  func(p *actions.Plan) { p.Pause = "" },
		"a step's op":            func(p *actions.Plan) { p.Steps[0].Op = actions.OpPromote },
		"a step's node":          func(p *actions.Plan) { p.Steps[0].Node = "dc1" },
		"a step's text":          func(p *actions.Plan) { p.Steps[0].Text = "wait" },
		"one step less":          func(p *actions.Plan) { p.Steps = p.Steps[1:] },
		"the steps' order":       func(p *actions.Plan) { p.Steps[0], p.Steps[1] = p.Steps[1], p.Steps[0] },
		"one more clearance":     func(p *actions.Plan) { p.Clearances = append(p.Clearances, actions.ClearAccepted) },
		"no clearance":           func(p *actions.Plan) { p.Clearances = nil },
		"a fact's name":          func(p *actions.Plan) { p.Facts[3].Name = "somebody" },
		"a fact's value":         func(p *actions.Plan) { p.Facts[3].Value = "dc3" },
		"one fact less":          func(p *actions.Plan) { p.Facts = p.Facts[:len(p.Facts)-1] },
		"a check's title":        func(p *actions.Plan) { p.Checks[0].Title = "all is well" },
		"a check's status":       func(p *actions.Plan) { p.Checks[0].Status = actions.Bad },
		"a check's detail":       func(p *actions.Plan) { p.Checks[0].Detail = "" },
		"one check less":         func(p *actions.Plan) { p.Checks = p.Checks[1:] },
		"a fact with a new line": func(p *actions.Plan) { p.Facts[3].Value += "\n- dc9 role: primary" },
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			p, q := planFor(t, actions.Question{}, but()), planFor(t, actions.Question{}, but())
			change(&q)
			if p.Text() == q.Text() {
				t.Error("the text is the same")
			}
			if _, err := actions.PlanOf(requestOf(t, p.Text(), q)); err == nil {
				t.Error("data that reads otherwise was taken for the approved plan")
			}
		})
	}
}

func requestOf(t *testing.T, text string, data any) approvals.Request {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return approvals.Request{Subject: approvals.Subject{Kind: "switchover", Pair: "orders", Text: text, Data: raw}}
}

func TestPlanOf(t *testing.T) {
	t.Parallel()
	for _, base := range []change{both(), both(names(`"dc2"`)), both(setting("dc1", "synchronous_standby_names", "dc2\n- x: y"))} {
		e := but(base)
		p := planFor(t, actions.Question{Kind: actions.KindRejoin}, with(e, detached))
		r := requestOf(t, p.Text(), p)
		r.Subject.Kind = "rejoin"
		got, err := actions.PlanOf(r)
		if err != nil || got.Text() != p.Text() || len(got.Facts.Diff(p.Facts)) > 0 {
			t.Errorf("a plan doesn't come back as it was stored: %v", err)
		}
	}
	p := planFor(t, actions.Question{}, but())
	for title, r := range map[string]approvals.Request{
		"no data":                   {Subject: approvals.Subject{Kind: "switchover", Pair: "orders", Text: p.Text()}},
		"no plan in the data":       requestOf(t, p.Text(), "switchover"),
		"another plan in the data":  requestOf(t, p.Text(), planFor(t, actions.Question{}, but(swapped))),
		"an empty plan in the data": requestOf(t, p.Text(), actions.Plan{}),
		"another text":              requestOf(t, p.Text()+" ", p),
		"another kind outside":      func() approvals.Request { r := requestOf(t, p.Text(), p); r.Subject.Kind = "failover"; return r }(),
		"another pair outside":      func() approvals.Request { r := requestOf(t, p.Text(), p); r.Subject.Pair = "billing"; return r }(),
	} {
		if got, err := actions.PlanOf(r); err == nil {
			t.Errorf("%s: taken for a plan: %+v", title, got)
		}
	}
}

// TestPlanTextKeepsItsLines: nothing that a server says can add a line.
func TestPlanTextKeepsItsLines(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[a"\\\n\r\x{2028}\x{85} ]{0,6}`)
	rapid.Check(t, func(rt *rapid.T) {
		base := planFor(t, actions.Question{}, but())
		lines := strings.Count(base.Text(), "\n")
		values := [2]string{word.Draw(rt, "one"), word.Draw(rt, "other")}
		var texts [2]string
		for i, v := range values {
			p := base
			p.Facts = slices.Clone(base.Facts)
			p.Facts[2].Value, p.Verdict = v, v
			texts[i] = p.Text()
			if got := len(strings.FieldsFunc(texts[i], func(r rune) bool { return r == '\r' || r == '\u2028' || r == '\u0085' })); got != 1 || strings.Count(texts[i], "\n") != lines {
				rt.Fatalf("%q breaks the text's lines:\n%s", v, texts[i])
			}
		}
		if (values[0] == values[1]) != (texts[0] == texts[1]) {
			rt.Fatalf("%q and %q read alike", values[0], values[1])
		}
	})
}
