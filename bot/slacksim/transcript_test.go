package slacksim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestTranscriptReadsLikeTheChannel(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 4, 5, 3, 0, 0, 0, time.UTC)
	b := newBundle(t, func(o *slacksim.Options) { o.Now = func() time.Time { return at } })
	b.app.answers(func(taken) (int, string, string) { return 200, "", "asking the others" })
	if _, err := b.Command(b.ctx, oncall, ops, "/pg", "failover orders"); err != nil {
		t.Fatal(err)
	}
	b.app.answers(nil)
	ts := b.post(t, slack.MsgOptionText("fallback", false), slack.MsgOptionBlocks(
		slack.NewHeaderBlock(plainTitle("Switchover of orders: 0 of 2")),
		section("Asked by <@"+oncall+"> in <#"+ops+">: _disk &lt;failing&gt;_\n*dc1* `10.0.0.1` → count(*) ~300 ms\nuntil <!date^1933124400^{date_num} {time}|later>"),
		slack.NewContextBlock("", slack.NewTextBlockObject("mrkdwn", "<https://example.com|docs>", false, false)),
		slack.NewActionBlock("", button("approve", "Approve", ""), button("deny", "Deny", ""))))
	if _, err := b.Press(b.ctx, oncall, ops, ts, "approve"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionText("not you", false)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Say(dba1, ops, "on my way"); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(`
03:00:00  oncall › /pg failover orders
03:00:00  twokey (only visible to oncall)
          asking the others
03:00:00  twokey
          Switchover of orders: 0 of 2
          Asked by @oncall in #ops: disk <failing>
          dc1 10.0.0.1 → count(*) ~300 ms
          until 2031-04-05 03:00
          docs (https://example.com)
          [Approve]  [Deny]
03:00:00  oncall › [Approve]
03:00:00  twokey (only visible to oncall)
          not you
03:00:00  dba-1
          on my way
`, "\n")
	if diff := cmp.Diff(want, b.Transcript()); diff != "" {
		t.Errorf("transcript (-want +got)\n%s", diff)
	}
}
