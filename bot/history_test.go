package bot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
)

func TestHistoryTellsVotesAndOutcomes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(oncall, "history")
	b.message("Nothing was ever asked for.")
	r := b.approved()
	b.must(b.desk.claim(b.ctx, r.ID))
	b.must(b.desk.finish(b.ctx, r.ID, approvals.Succeed, "", switchoverOutcome()))
	b.settled()
	b.say(oncall, "failover -- again")
	b.message("0 of 2 approvals")
	b.say(oncall, "cancel")
	b.message("cancelled by oncall")
	b.say(oncall, "history orders")
	m := b.message("The newest requests of orders")
	for _, want := range []string{"Switchover of orders: done", "oncall asked: kernel upgrade.", "Approved by dba-1 after", ", dba-2 after", "Writes paused for 73 ms.", "dc1 (10.0.1.5:5432) → dc2", "Switchover of orders: cancelled by oncall", "Open the request"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the history lacks %q:\n%s", want, m.Text)
		}
	}
	if strings.Index(m.Text, "cancelled") > strings.Index(m.Text, ": done") {
		t.Error("the newest is not the first")
	}
}

func TestAuditShowsTheLogToWhoAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.approved()
	b.say(manager, "audit")
	w := b.whisper(manager, "The end of the audit log")
	for _, want := range []string{"ask request/" + r.ID + " by oncall: kernel upgrade", "approve request/", "by dba-2: digest " + r.Digest().Short(), "The log ends with entry 3"} {
		if !strings.Contains(w.Text, want) {
			t.Errorf("the log lacks %q:\n%s", want, w.Text)
		}
	}
	b.say(manager, "audit "+strings.ToLower(r.ID[len(r.ID)-8:]))
	b.whisper(manager, "Audit log of Switchover of orders: 2 of 2 approvals")
	b.say(manager, "audit 2")
	w = b.whisper(manager, "Audit entry 2")
	if !strings.Contains(w.Text, `"via":"slack"`) || !strings.Contains(w.Text, "Hash ") {
		t.Errorf("the entry reads\n%s", w.Text)
	}
	b.say(manager, "audit 99")
	b.whisper(manager, "There is no audit entry 99; the last one is 3.")
	b.say(manager, "audit nothing-like-it")
	b.whisper(manager, "There is no request")
	if n := b.messages("audit"); n != 0 {
		t.Errorf("%d answers went to the channel", n)
	}
}

func pastRequests(t *testing.T) []approvals.Request {
	done := newTale(t, switchoverPlan()).claimed().steps(switchoverPlan(), 5).finished(approvals.Succeed, "", switchoverOutcome())
	denied := newTale(t, failoverPlan())
	b := denied.ballot("dba-1")
	b.Why = "not during the sale"
	denied.take(denied.scene.Request.Deny(b, denied.policy))
	drill := newTale(t, drillPlan()).claimed().steps(drillPlan(), 3).finished(approvals.Succeed, "", actions.Outcome{Kind: actions.KindDrill, Serving: "dc1", Rehearsal: &actions.Rehearsal{Kind: actions.KindSwitchover}})
	unknown := newTale(t, switchoverPlan()).claimed().finished(approvals.Lose, "dc2 doesn't answer after promote was sent", actions.Outcome{AcceptedBy: "manager"})
	return []approvals.Request{done.scene.Request, denied.scene.Request, drill.scene.Request, unknown.scene.Request, newTale(t, switchoverPlan()).scene.Request}
}

func TestHistoryAndAuditRead(t *testing.T) {
	t.Parallel()
	past := pastRequests(t)
	golden(t, "history", bot.RenderHistory(past, "orders", people()))
	golden(t, "history_none", bot.RenderHistory(nil, "", people()))
	event := func(seq uint64, kind, subject string, who approvals.Person, data any) approvals.Event {
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return approvals.Event{Seq: seq, At: noon.Add(time.Duration(seq) * time.Second), Kind: kind, Subject: subject, Actor: who, Data: raw, Prev: "aa11", Hash: fmt.Sprintf("%064x", seq)}
	}
	events := []approvals.Event{
		event(1, "ask", "request/01", "oncall", approvals.MoveData{To: approvals.Pending, Why: "kernel upgrade", Digest: "0123456789abcdef"}),
		event(2, "approve", "request/01", "dba-1", approvals.VoteData{Digest: "0123456789abcdef", Via: "slack"}),
		event(3, "claim", "request/01", "", approvals.MoveData{Why: "attempt-1"}),
		event(4, "step", "request/01", "", actions.Entry{Op: actions.OpStop, Node: "dc1", Phase: actions.Done, Text: "stopped <!channel>"}),
		event(5, "alert", "pair/orders", "", actions.Alert{Health: actions.HealthBlocked, Text: "dc2 is away."}),
		event(6, "paused", "pair/orders", "dba-1", actions.PauseChange{Paused: actions.Paused{Why: "disk"}}),
		event(7, "odd", "bot", "", []int{1}),
	}
	golden(t, "audit_end", bot.RenderAudit(actions.Trail{Events: events, Head: 7, Hash: "ff"}, people()))
	golden(t, "audit_request", bot.RenderAudit(actions.Trail{Request: &past[0], Events: events[:4], Left: 12, Head: 7, Hash: "ff"}, people()))
	golden(t, "audit_entry", bot.RenderAudit(actions.Trail{Events: events[4:5], Head: 7, Hash: "ff"}, people()))
	golden(t, "audit_none", bot.RenderAudit(actions.Trail{}, people()))
}
