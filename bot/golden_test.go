package bot_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a message, as a person would read it, with its file.
func golden(t *testing.T, name string, m bot.Rendered) {
	t.Helper()
	goldenText(t, name, readable(t, m))
}

// goldenOf is golden for a request's message. The digest is left open: it
// follows from the whole of the canonical text, which others own.
func goldenOf(t *testing.T, name string, r approvals.Request, m bot.Rendered) {
	t.Helper()
	goldenText(t, name, strings.ReplaceAll(readable(t, m), r.Digest().Short(), "<DIGEST>"))
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run `go test ./bot -update` and read what it wrote", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s reads differently (-want +got):\n%s", name, diff)
	}
}

type block struct {
	Type     string    `json:"type"`
	Text     text      `json:"text"`
	Elements []element `json:"elements"`
	Label    text      `json:"label"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"`
}

// UnmarshalJSON also takes the text of a context element, which is a string.
func (x *text) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &x.Text) == nil {
		return nil
	}
	type plain text
	return json.Unmarshal(raw, (*plain)(x))
}

type element struct {
	Type     string   `json:"type"`
	Text     text     `json:"text"`
	ActionID string   `json:"action_id"`
	Value    string   `json:"value"`
	Style    string   `json:"style"`
	Confirm  *confirm `json:"confirm"`
}

type confirm struct{ Title, Text, Confirm, Deny text }

func readable(t *testing.T, m bot.Rendered) string {
	t.Helper()
	var blocks []block
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, bl := range blocks {
		switch bl.Type {
		case "header":
			fmt.Fprintf(&b, "# %s\n", bl.Text.Text)
		case "divider":
			fmt.Fprintf(&b, "---\n")
		case "context":
			for _, e := range bl.Elements {
				fmt.Fprintf(&b, "(%s)\n", e.Text.Text)
			}
		case "actions":
			for _, e := range bl.Elements {
				fmt.Fprintf(&b, "[%s] %s %s %s\n", e.Text.Text, e.ActionID, e.Style, e.Value)
				if c := e.Confirm; c != nil {
					fmt.Fprintf(&b, "    confirm: %s / %s / %s / %s\n", c.Title.Text, c.Text.Text, c.Confirm.Text, c.Deny.Text)
				}
			}
		default:
			fmt.Fprintf(&b, "%s\n", bl.Text.Text)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "=== text\n%s\n", m.Text)
	return b.String()
}

// tale builds a request step by step with the state machine itself.
type tale struct {
	t       testing.TB
	scene   bot.Scene
	policy  approvals.Policy
	elapsed time.Duration
}

func newTale(t testing.TB, plan actions.Plan) *tale {
	t.Helper()
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := approvals.Open(approvals.Asking{
		ID: "01K0GOLDEN00000000000ORDER", Nonce: "nonce", Requester: "oncall", Reason: "kernel upgrade on dc1", Place: "slack:T1/C1", At: noon,
		Subject: approvals.Subject{Kind: string(plan.Kind), Pair: plan.Pair, Text: plan.Text(), Data: data},
	}, policy())
	if err != nil {
		t.Fatal(err)
	}
	return &tale{t: t, policy: policy(), scene: bot.Scene{Request: r, Pairs: []actions.Pair{ordersPair()}, People: people(), Now: noon}}
}

func (s *tale) tick() time.Time {
	s.elapsed += 10 * time.Second
	s.scene.Now = noon.Add(s.elapsed)
	return s.scene.Now
}

func (s *tale) take(r approvals.Request, _ []approvals.Event, err error) *tale {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.scene.Request = r
	return s
}

func (s *tale) ballot(who approvals.Person) approvals.Ballot {
	r := s.scene.Request
	return approvals.Ballot{Person: who, At: s.tick(), Via: "slack", Proof: "press", Digest: r.Digest().Short(), Place: r.Place}
}

func (s *tale) approve(who approvals.Person) *tale {
	s.t.Helper()
	return s.take(s.scene.Request.Approve(s.ballot(who), s.policy))
}

func (s *tale) claimed() *tale {
	s.t.Helper()
	s.approve("dba-1").approve("dba-2")
	return s.take(s.scene.Request.Claim(s.tick(), "attempt-1"))
}

// step journals the plan's first n steps as done and the next one as begun.
func (s *tale) steps(plan actions.Plan, n int) *tale {
	at := s.scene.Now
	for i, step := range plan.Steps[:min(n+1, len(plan.Steps))] {
		s.scene.Journal = append(s.scene.Journal, actions.Entry{At: at, Op: step.Op, Node: step.Node, Phase: actions.Intent})
		at = at.Add(time.Duration(i+1) * 7 * time.Millisecond)
		if i < n {
			s.scene.Journal = append(s.scene.Journal, actions.Entry{At: at, Op: step.Op, Node: step.Node, Phase: actions.Done})
		}
	}
	s.scene.Now = at
	return s
}

func (s *tale) finished(cause approvals.Cause, why string, out actions.Outcome) *tale {
	s.t.Helper()
	raw, err := json.Marshal(out)
	if err != nil {
		s.t.Fatal(err)
	}
	s.scene.Audit = approvals.Event{Seq: 17, Hash: strings.Repeat("0af9", 16)}
	return s.take(s.scene.Request.Finish(s.tick(), cause, why, raw))
}

func TestTheRequestsMessageInEveryState(t *testing.T) {
	t.Parallel()
	planned, disaster := switchoverPlan(), failoverPlan()
	cases := map[string]func(*testing.T) *tale{
		"pending":          func(t *testing.T) *tale { return newTale(t, planned) },
		"pending_disaster": func(t *testing.T) *tale { return newTale(t, disaster) },
		"pending_degrade": func(t *testing.T) *tale {
			plan := switchoverPlan()
			plan.After = actions.Degrade
			return newTale(t, plan)
		},
		"pending_disaster_block": func(t *testing.T) *tale {
			plan := failoverPlan()
			plan.After = actions.Block
			return newTale(t, plan)
		},
		"partial":   func(t *testing.T) *tale { return newTale(t, planned).approve("dba-2") },
		"approved":  func(t *testing.T) *tale { return newTale(t, planned).approve("dba-2").approve("manager") },
		"executing": func(t *testing.T) *tale { return newTale(t, planned).claimed().steps(planned, 2) },
		"held":      held,
		"succeeded": func(t *testing.T) *tale {
			plan := switchoverPlan()
			plan.Steps = append(plan.Steps, actions.Step{Op: actions.OpRejoin, Node: "dc1", Text: "make dc1 a standby of dc2"})
			s := newTale(t, plan).claimed().steps(planned, 5) // it streamed by itself, so the last step was not needed
			out := switchoverOutcome()
			out.Steps = []actions.StepTime{{Op: actions.OpGate, Node: "dc2", Took: 61 * time.Millisecond}}
			return s.finished(approvals.Succeed, "", out)
		},
		"aborted": func(t *testing.T) *tale {
			s := newTale(t, planned).claimed().steps(planned, 1)
			s.scene.Journal = append(s.scene.Journal,
				actions.Entry{At: s.tick(), Op: actions.OpStop, Node: "dc1", Phase: actions.Failing, Text: "dc1 didn't stop within 30s"},
				actions.Entry{At: s.tick(), Op: actions.OpUndo, Node: "dc1", Phase: actions.Intent},
				actions.Entry{At: s.tick(), Op: actions.OpUndo, Node: "dc1", Phase: actions.Done, Text: "dc1 serves again"})
			return s.finished(approvals.Abort, "dc1 didn't stop within 30s", actions.Outcome{Serving: "dc1", OldPrimary: "dc1"})
		},
		"aborted_failover": func(t *testing.T) *tale {
			s := newTale(t, planned).claimed().steps(planned, 1)
			return s.finished(approvals.Abort, "manager refused to state it. dc2 was not promoted and is not frozen any more; dc1 is as it was, or off where it was fenced.",
				actions.Outcome{OldPrimary: "dc1"})
		},
		"failed": func(t *testing.T) *tale {
			return newTale(t, planned).claimed().steps(planned, 4).finished(approvals.Fail, "the probe row was refused", actions.Outcome{Serving: "dc2", Todo: []string{"look at dc2's disk"}})
		},
		"unknown": func(t *testing.T) *tale {
			return newTale(t, planned).claimed().steps(planned, 3).finished(approvals.Lose, "dc2 doesn't answer after promote was sent", actions.Outcome{Todo: []string{"look whether dc2 is in recovery"}})
		},
		"denied": func(t *testing.T) *tale {
			s := newTale(t, planned)
			b := s.ballot("dba-1")
			b.Why = "not during the sale"
			return s.take(s.scene.Request.Deny(b, s.policy))
		},
		"expired": func(t *testing.T) *tale {
			s := newTale(t, planned).approve("dba-1")
			return s.take(s.scene.Request.Expire(noon.Add(time.Hour)))
		},
		"cancelled": func(t *testing.T) *tale {
			s := newTale(t, planned)
			return s.take(s.scene.Request.Cancel(s.ballot("oncall")))
		},
		"stale": func(t *testing.T) *tale {
			s := newTale(t, planned).approve("dba-1").approve("dba-2")
			return s.take(s.scene.Request.Outdate(s.tick(), "dc2 timeline: was 3, is 4\ndc1 role: was primary, is no answer"))
		},
	}
	for _, state := range approvals.States() {
		if _, covered := cases[string(state)]; !covered {
			t.Errorf("no golden for state %s", state)
		}
	}
	for name, build := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			r := s.scene.Request
			goldenOf(t, "request_"+name, r, bot.RenderRequest(s.scene))
			if r.State.Ended() {
				goldenOf(t, "result_"+name, r, bot.RenderResult(s.scene))
			}
			if r.State == approvals.Held {
				goldenOf(t, "call_"+name, r, bot.RenderHeld(s.scene))
			}
		})
	}
}

func drillPlan() actions.Plan {
	p := switchoverPlan()
	p.Kind, p.Rehearses, p.Rehearsed, p.Clearances = actions.KindDrill, actions.KindSwitchover, p.Steps, nil
	p.Pause = "Nothing, for this is a drill. In earnest: " + p.Pause
	p.Steps = []actions.Step{
		{Op: actions.OpLock, Node: "dc2", Text: "take the pair's lock, as in earnest; it is given back at the end"},
		{Op: actions.OpRecheck, Text: "observe both nodes again; stop here if anything that matters differs"},
		{Op: actions.OpDryRun, Text: "look what a switchover would do now, and do none of it"},
	}
	return p
}

func TestADrillIsToldApartEverywhere(t *testing.T) {
	t.Parallel()
	plan := drillPlan()
	done := actions.Outcome{Kind: actions.KindDrill, Pair: "orders", OldPrimary: "dc1", Serving: "dc1", Rehearsal: &actions.Rehearsal{
		Kind: actions.KindSwitchover, Votes: []time.Duration{42 * time.Second, 62 * time.Second}, Ready: 63 * time.Second, Loss: actions.LossNone,
		Verdict: "Zero acknowledged loss: proven, synchronous since 2026-03-13 08:00:00 UTC, seen 0 s ago.", Warnings: []string{"no table is left out of the promise: warning (2 unlogged tables)"},
	}}
	for name, s := range map[string]*tale{
		"drill_pending":   newTale(t, plan),
		"drill_partial":   newTale(t, plan).approve("dba-1"),
		"drill_executing": newTale(t, plan).claimed().steps(plan, 1),
		"drill_succeeded": newTale(t, plan).claimed().steps(plan, 3).finished(approvals.Succeed, "", done),
		"drill_aborted":   newTale(t, plan).claimed().steps(plan, 0).finished(approvals.Abort, "lock on dc2: another bot has the lock", actions.Outcome{Kind: actions.KindDrill, Serving: "dc1", Rehearsal: &actions.Rehearsal{Kind: actions.KindSwitchover}}),
	} {
		r, m := s.scene.Request, bot.RenderRequest(s.scene)
		goldenOf(t, name, r, m)
		messages := []bot.Rendered{m}
		if r.State.Ended() {
			result := bot.RenderResult(s.scene)
			goldenOf(t, "result_"+name, r, result)
			messages = append(messages, result)
		}
		for _, m := range messages {
			if !strings.HasPrefix(m.Text, "🧪 DRILL, nothing is changed: switchover of orders") {
				t.Errorf("%s begins with %.80q", name, m.Text)
			}
			for _, label := range []string{`"Approve"`, `"Deny"`, `"Cancel"`} {
				if strings.Contains(string(m.Blocks), label) {
					t.Errorf("%s has a button %s like a real one", name, label)
				}
			}
		}
	}
}

func held(t *testing.T) *tale {
	s := newTale(t, failoverPlan()).claimed().steps(failoverPlan(), 1)
	return s.take(s.scene.Request.Hold(s.tick(), "The fence of dc1 can't be proven.", "orders", s.scene.Now.Add(10*time.Minute)))
}

func TestAPlanThatDoesNotDecodeIsShownAsItsText(t *testing.T) {
	t.Parallel()
	s := newTale(t, switchoverPlan())
	s.scene.Request.Subject.Data = json.RawMessage(`{"kind":`)
	s.scene.Request.Subject.Text = "plan: switchover of pair orders, from dc1 to dc2\nsteps:\n 1. stop dc1\n 2. promote dc2\n"
	goldenOf(t, "request_unreadable", s.scene.Request, bot.RenderRequest(s.scene))
}

func TestAPlanThatDoesNotReadAsTheApprovedTextIsNotShown(t *testing.T) {
	t.Parallel()
	s := newTale(t, switchoverPlan())
	other := switchoverPlan()
	other.To, other.Verdict = "dc9", "All is fine."
	raw, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	s.scene.Request.Subject.Data = raw
	m := readable(t, bot.RenderRequest(s.scene))
	if strings.Contains(m, "dc9") || !strings.Contains(m, "promote dc2") {
		t.Errorf("people would approve one plan and read another:\n%s", m)
	}
}

func TestTheOtherMessages(t *testing.T) {
	t.Parallel()
	off := healthyReport()
	off.Verdict.Health, off.Verdict.Loss, off.Verdict.Headline = actions.HealthUnprotected, actions.LossUnproven, "Zero acknowledged loss: not proven: commits don't wait."
	off.Evidence.Memory.Unprotected = noon.Add(-3 * time.Hour)
	gone := healthyReport()
	gone.Evidence.Nodes[0] = actions.Observation{Node: "dc1", At: noon.Add(-4 * time.Second), Failure: &actions.Failure{Reach: actions.Unreachable, Text: "connection refused"}}
	gone.Verdict.Health, gone.Verdict.Possible = actions.HealthPrimaryGone, actions.KindFailover
	paused := healthyReport()
	paused.Evidence.Memory.Paused = &actions.Paused{By: "dba-1", At: noon.Add(-2 * time.Hour), Why: "disk of dc2 is being replaced"}
	bad := healthyReport()
	bad.Verdict.Checks = append(bad.Verdict.Checks, actions.Check{Title: "both on one timeline", Status: actions.Bad, Detail: "primary 4, standby 3", Fix: "Rejoin the standby."})
	news := func(kind, data string) bot.Rendered {
		return bot.RenderNews(approvals.Event{Seq: 9, Hash: strings.Repeat("c4", 32), At: noon, Subject: "pair/orders", Kind: kind, Data: json.RawMessage(data)})
	}
	open := newTale(t, switchoverPlan()).scene.Request
	link := map[string]string{open.ID: "https://sim.slack.com/archives/C1/p1"}
	late := func(seq uint64, kind, data string) approvals.Event {
		return approvals.Event{Seq: seq, At: noon.Add(time.Duration(seq) * time.Minute), Subject: "pair/orders", Kind: kind, Data: json.RawMessage(data)}
	}
	messages := map[string]bot.Rendered{
		"missed": bot.RenderMissed(
			late(3, "alert", `{"pair":"orders","health":"writes block","was":"synchronous","severity":3,"text":"dc2 is away, and dc1 waits for it.","since":"2026-03-14T12:03:00Z"}`),
			late(5, "recovered", `{"pair":"orders","health":"synchronous","was":"writes block","since":"2026-03-14T12:03:00Z"}`),
			late(9, "report", `{"rows":[{"pair":"orders","health":"synchronous"},{"pair":"billing","health":"unseen"}]}`)),
		"asked_in_vain": bot.RenderAskedInVain(newTale(t, switchoverPlan()).scene, "chat.postMessage fails: not_in_channel: invite the bot to the channel"),
		"status":        bot.RenderStatus(healthyReport()), "status_off": bot.RenderStatus(off), "status_gone": bot.RenderStatus(gone),
		"verify": bot.RenderVerify(bad), "preview": bot.RenderPreview(failoverPlan(), ordersPair()), "help": bot.RenderHelp(twoPairs()),
		"open": bot.RenderOpen([]approvals.Request{open}, link, people()), "open_none": bot.RenderOpen(nil, nil, people()),
		"refusal":        bot.RenderRefusal(&approvals.Refusal{Code: approvals.CodeOpen, Message: "There is one already.", Request: open.ID}, link[open.ID]),
		"test_row":       bot.RenderTestRow("orders", "dc1", actions.TestRow{ID: 7, Took: 3400 * time.Microsecond}),
		"alert":          news("alert", `{"pair":"orders","health":"writes block","was":"synchronous","severity":3,"text":"dc2 is away, and dc1 waits for it.","since":"2026-03-14T11:58:00Z"}`),
		"recovered":      news("recovered", `{"pair":"orders","health":"synchronous","was":"writes block","severity":0,"text":"","since":"2026-03-14T11:58:00Z"}`),
		"report":         news("report", `{"rows":[{"pair":"orders","health":"synchronous","since":"2026-03-01T08:00:00Z","primary":"dc1","standby":"dc2","replay":0},{"pair":"billing","health":"unseen","replay":null,"text":"Neither node answers"},{"pair":"stock","health":"","text":"could not be looked at"}]}`),
		"policy":         news("policy", `{"old":"dba-1, dba-2, manager","new":"dba-1, dba-2, lead"}`),
		"otp_enrolled":   bot.RenderNews(approvals.Event{Seq: 9, Hash: strings.Repeat("c4", 32), At: noon, Kind: "otp-enrolled", Data: json.RawMessage(`{"person":"dba-1","by":"root (uid 0)"}`)}, people()),
		"otp_replaced":   news("otp-enrolled", `{"person":"slack:T0TWOKEY01/U0NAMELESS","by":"twokey (uid 998)","replaced":true}`),
		"otp_removed":    news("otp-removed", `{"person":"dba-1","by":"root (uid 0)"}`),
		"otp_locked":     bot.RenderNews(approvals.Event{Seq: 9, Hash: strings.Repeat("c4", 32), At: noon, Actor: "dba-1", Kind: "otp-locked", Data: json.RawMessage(`{"tries":5,"until":"2026-03-14T12:15:00Z"}`)}, people()),
		"garbage_otp":    news("otp-locked", `"no"`),
		"garbage":        news("alert", `[]`),
		"status_paused":  bot.RenderStatus(paused),
		"paused":         news("paused", `{"pair":"orders","paused":{"by":"dba-1","at":"2026-03-14T12:00:00Z","why":"disk of dc2 is being replaced"},"via":"slack"}`),
		"resumed":        bot.RenderNews(approvals.Event{Seq: 10, At: noon.Add(2 * time.Hour), Actor: "dba-2", Kind: "resumed", Data: json.RawMessage(`{"pair":"orders","paused":{"by":"dba-1","at":"2026-03-14T12:00:00Z","why":"disk of dc2 is being replaced"},"why":"done","via":"slack"}`)}),
		"garbage_paused": news("paused", `"no"`),
		"approvers":      news("approvers", `{"old":"","new":"group S0OPS, approvers: dba-1 (U0DBA00001) slack:T0TWOKEY01/U0NAMELESS"}`),
		"comparison": bot.RenderComparison(actions.Comparison{Pair: "orders", Primary: "dc1", Standby: "dc2", CheckedAt: noon, Tables: []actions.TableCompare{
			{Table: "orders", PrimaryRows: 1200, StandbyRows: 1200, SumsEqual: true}, {Table: "audit", PrimaryRows: 10, StandbyRows: -1}}}),
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, m)
		})
	}
}

// A plan may have several steps of one kind on one node: each is told by itself.
func TestEachOfSeveralEndpointsIsToldByItself(t *testing.T) {
	t.Parallel()
	plan := switchoverPlan()
	plan.Steps = []actions.Step{{Op: actions.OpEndpoint, Node: "dc2", Text: "point the record"}, {Op: actions.OpEndpoint, Node: "dc2", Text: "point the Service"}}
	s := newTale(t, plan).claimed().steps(plan, 1)
	first, second := s.scene.Journal[0], s.scene.Journal[2]
	for i := range s.scene.Journal {
		s.scene.Journal[i].Attempt = "attempt-1"
	}
	text := string(bot.RenderRequest(s.scene).Blocks)
	if !strings.Contains(text, "✓ 1. point the record") || !strings.Contains(text, "▶ 2. *point the Service*") {
		t.Errorf("the second goes on:\n%s", text)
	}
	for _, e := range []actions.Entry{first, second} { // by another process, from the beginning
		e.Attempt = "attempt-2"
		s.scene.Journal = append(s.scene.Journal, e)
		e.Phase = actions.Done
		s.scene.Journal = append(s.scene.Journal, e)
	}
	text = string(bot.RenderRequest(s.scene).Blocks)
	if !strings.Contains(text, "✓ 1. point the record") || !strings.Contains(text, "✓ 2. point the Service") {
		t.Errorf("both are done, and nothing else:\n%s", text)
	}
}
