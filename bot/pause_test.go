package bot_test

import (
	"strings"
	"testing"

	"twokey/actions"
)

func TestAPairIsPausedAndResumedByOneApprover(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.say(oncall, "pause -- disk is being replaced")
	b.whisper(oncall, "Only an approver may do that")
	b.say(dba1, "pause -- disk <!channel> is being replaced")
	b.whisper(dba1, "orders is paused.")
	told := b.message("orders is paused")
	if !strings.Contains(told.Text, "Paused by dba-1") || !strings.Contains(told.Text, "disk &lt;!channel&gt; is being replaced") {
		t.Errorf("the channel reads\n%s", told.Text)
	}
	b.say(oncall, "status")
	if m := b.message("MEMBER"); !strings.Contains(m.Text, "Paused by dba-1") {
		t.Errorf("the status doesn't say it:\n%s", m.Text)
	}
	b.say(oncall, "verify")
	if m := b.message("checks failed"); !strings.Contains(m.Text, "Paused by dba-1") {
		t.Errorf("the checks don't say it:\n%s", m.Text)
	}
	b.say(dba2, "resume -- done")
	if m := b.message("orders is resumed"); !strings.Contains(m.Text, "By dba-2: done.") || !strings.Contains(m.Text, "had been paused by dba-1") {
		t.Errorf("the channel reads\n%s", m.Text)
	}
	if p := b.store.count(actions.NewsPaused) + b.store.count(actions.NewsResumed); p != 2 {
		t.Errorf("%d events", p)
	}
}

func TestAPauseSaysWhatItDoesNotStop(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.running = "01K0REQUEST0001"
	b.say(dba1, "pause -- too late")
	b.whisper(dba1, "Request 01K0REQUEST0001 runs already")
}

func TestAPauseDeliveredTwiceIsOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	d := b.say(dba1, "pause -- twice")
	b.message("orders is paused")
	b.Redeliver(b.ctx, d)
	b.say(oncall, "approvals") // its answer comes after the copy's
	b.message("No request is open.")
	b.settled()
	if n := b.store.count(actions.NewsPaused); n != 1 {
		t.Errorf("%d events", n)
	}
}
