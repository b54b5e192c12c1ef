package bot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot/slacksim"
)

func TestStatusIsAnsweredInTheChannel(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(oncall, "status")
	m := b.message("orders: synchronous")
	for _, want := range []string{"MEMBER", "dc1", "10.0.2.5:5432", "streaming", "256 B 3 ms", "proven"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the status lacks %q:\n%s", want, m.Text)
		}
	}
}

func TestARequestFromQuestionToResult(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(s *setup) { s.members = true })
	r := b.approved()
	if len(r.Votes) != 2 || r.Votes[0].Person != "dba-1" || r.Votes[1].Person != "dba-2" || r.Votes[0].Via != "slack" {
		t.Fatalf("votes %+v", r.Votes)
	}
	if r.Reason != "kernel upgrade" || r.Requester != "oncall" || r.Place != "slack:"+team+"/"+ops {
		t.Fatalf("request %+v", r)
	}
	b.must(b.desk.claim(b.ctx, r.ID))
	at := time.Now()
	for i, s := range switchoverPlan().Steps {
		at = at.Add(7 * time.Millisecond)
		b.store.record(r.ID, actions.Entry{At: at, Op: s.Op, Node: s.Node, Phase: actions.Intent})
		if i == 1 {
			b.message("running, step 2 of 5")
		}
		b.store.record(r.ID, actions.Entry{At: at.Add(5 * time.Millisecond), Op: s.Op, Node: s.Node, Phase: actions.Done})
	}
	b.must(b.desk.finish(b.ctx, r.ID, approvals.Succeed, "", switchoverOutcome()))
	seq := b.store.last("succeed")
	result := b.message(fmt.Sprintf("audit entry %d, chain %d:%064x", seq, seq, seq))
	for _, want := range []string{"Switchover of orders: done", "Writes paused for 73 ms", "postgresql://10.0.2.5:5432,10.0.1.5:5432/orders", "dbname=orders", "shutdown checkpoint", "nightly backup", "Timeline 3 → 4"} {
		if !strings.Contains(result.Text, want) {
			t.Errorf("the result lacks %q:\n%s", want, result.Text)
		}
	}
	b.await("the request's own message", func(s *slacksim.Snapshot) bool {
		return strings.HasPrefix(s.Messages(ops)[0].Text, "Switchover of orders: done") && strings.Contains(s.Messages(ops)[0].Text, "✓ 5.")
	})
	if n := len(b.Messages(ops)); n != 2 {
		t.Errorf("%d messages in the channel instead of the request and its result:\n%s", n, b.Transcript())
	}
}

func TestADenialNeedsAReasonAndEndsTheRequest(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(dba1, m.TS, "deny")
	v := b.modal(dba1, "Switchover of orders")
	d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"text": "not during the sale <!channel>"})
	if err != nil || !d.Acknowledged() {
		t.Fatal(err, d.Failure)
	}
	got := b.message("denied by dba-1")
	if !strings.Contains(got.Text, "not during the sale &lt;!channel&gt;") {
		t.Errorf("the reason is not shown, or not escaped:\n%s", got.Text)
	}
	b.await("the view to close", func(s *slacksim.Snapshot) bool { return len(s.Modals(dba1)) == 0 })
	b.await("the result's own message", func(*slacksim.Snapshot) bool { return b.messages("denied by dba-1") == 2 })
}

func TestAHeldRequestGoesOnByATypedStatement(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.approved()
	b.must(b.desk.claim(b.ctx, r.ID))
	b.must(b.desk.hold(b.ctx, r.ID))
	call := b.message("One of:")
	b.press(dba2, call.TS, "statement")
	v := b.modal(dba2, "The fence of dc1 can")
	d, err := b.SubmitModal(b.ctx, dba2, v.ID, map[string]string{"text": "order"})
	b.must(err)
	if !strings.Contains(string(d.Response), "errors") || b.asked().State != approvals.Held {
		t.Fatalf("a wrong statement was answered with %s", d.Response)
	}
	_, err = b.SubmitModal(b.ctx, dba2, v.ID, map[string]string{"text": "orders"})
	b.must(err)
	b.await("both messages to say who stated it", func(*slacksim.Snapshot) bool { return b.messages("dba-2 typed orders") == 2 })
	if got := b.asked(); got.State != approvals.Executing || got.Pauses[0].By != "dba-2" {
		t.Errorf("request %+v", got)
	}
}

func TestDetailsShowThePlanAndItsDigest(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	m := b.ask()
	b.press(manager, m.TS, "details")
	v := b.modal(manager, string(b.asked().Digest()))
	for _, want := range []string{"twokey request, format 1", "dc1 role: primary", "unknown, because its power"} {
		if !strings.Contains(string(v.Blocks), want) {
			t.Errorf("the details lack %q", want)
		}
	}
}

func TestRecipesAndLists(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(oncall, "insert-test")
	b.message("test row 42 was committed on dc1 in 4 ms")
	b.say(oncall, "verify-data orders")
	b.message("dc1 and dc2 hold the same rows")
	b.say(oncall, "verify")
	b.message("0 of 4 checks failed, 1 unknown")
	b.say(oncall, "failover --dry-run")
	b.message("Dry run: Switchover of orders")
	b.say(oncall, "approvals")
	b.message("No request is open.")
	b.say(oncall, "help")
	b.whisper(oncall, "/pg status [pair]")
}

func TestASecondRequestIsRefusedWithALinkToTheFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.ask()
	b.say(manager, "failover")
	w := b.whisper(manager, "There is an open request for orders already")
	if !strings.Contains(w.Text, "|Open the request>") {
		t.Errorf("no link:\n%s", w.Text)
	}
	b.say(oncall, "approvals")
	b.message("Open requests: 1")
	b.say(oncall, "cancel")
	b.message("cancelled by oncall")
}
