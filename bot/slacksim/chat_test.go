package slacksim_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestMessageLivesFromPostToDeletion(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	meta := slack.SlackMetadata{EventType: "twokey_event", EventPayload: map[string]any{"seq": 7}}
	ts := b.post(t, slack.MsgOptionText("first", false), slack.MsgOptionBlocks(section("*first*")), slack.MsgOptionMetadata(meta))
	m := b.Messages(ops)[0]
	if m.TS != ts || m.Text != "first" || m.User != slacksim.BotUserID || m.Edits != 0 || m.Metadata.EventType != "twokey_event" {
		t.Fatalf("posted %+v", m)
	}
	if _, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, ts, slack.MsgOptionText("second", false), slack.MsgOptionBlocks(section("*second*"))); err != nil {
		t.Fatal(err)
	}
	m = b.Messages(ops)[0]
	if m.Text != "second" || !strings.Contains(string(m.Blocks), "*second*") || m.Edits != 1 || m.EditedTS == "" || m.Metadata == nil {
		t.Errorf("updated %+v", m)
	}
	if _, _, _, err := b.api.UpdateMessageContext(b.ctx, ops, ts, slack.MsgOptionText("text alone", false)); err != nil {
		t.Fatal(err)
	}
	if m = b.Messages(ops)[0]; len(m.Blocks) != 0 {
		t.Errorf("an update with text alone must take the blocks away: %s", m.Blocks)
	}
	if _, _, err := b.api.DeleteMessageContext(b.ctx, ops, ts); err != nil || len(b.Messages(ops)) != 0 {
		t.Errorf("deletion: %v, %d messages left", err, len(b.Messages(ops)))
	}
}

func TestUpdatedMetadata(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	meta := object{"event_type": "a", "event_payload": object{"n": 1}}
	ts := b.json(t, "chat.postMessage", object{"channel": ops, "text": "x", "metadata": meta}).body["ts"]
	b.json(t, "chat.update", object{"channel": ops, "ts": ts, "text": "y"})
	if m := b.Messages(ops)[0]; m.Metadata == nil {
		t.Error("metadata that isn't given must stay")
	}
	b.json(t, "chat.update", object{"channel": ops, "ts": ts, "text": "z", "metadata": object{}})
	if m := b.Messages(ops)[0]; m.Metadata != nil {
		t.Error("empty metadata must take it away")
	}
}

func TestMessagesComeInOrderWithOneTimestampEach(t *testing.T) {
	t.Parallel()
	b := newBundle(t) // its clock stands still
	seen := map[string]bool{}
	for i := range 20 {
		seen[b.post(t, slack.MsgOptionText(strconv.Itoa(i), false))] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d different timestamps", len(seen))
	}
	for i, m := range b.Messages(ops) {
		if m.Text != strconv.Itoa(i) {
			t.Errorf("message %d is %q", i, m.Text)
		}
	}
}

func TestHistoryIsNewestFirstAndPaged(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var stamps []string
	for i := range 5 {
		meta := slack.SlackMetadata{EventType: "n", EventPayload: map[string]any{"seq": i}}
		stamps = append(stamps, b.post(t, slack.MsgOptionText(strconv.Itoa(i), false), slack.MsgOptionMetadata(meta)))
	}
	b.post(t, slack.MsgOptionText("a reply", false), slack.MsgOptionTS(stamps[0]))
	var got []string
	cursor := ""
	for {
		page, err := b.api.GetConversationHistoryContext(b.ctx, &slack.GetConversationHistoryParameters{
			ChannelID: ops, Limit: 2, Cursor: cursor, IncludeAllMetadata: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			got = append(got, m.Text)
			if m.Metadata.EventPayload["seq"] == nil {
				t.Errorf("message %q has no metadata", m.Text)
			}
		}
		if cursor = page.ResponseMetaData.NextCursor; cursor == "" {
			break
		}
	}
	if strings.Join(got, "") != "43210" {
		t.Errorf("history %v", got)
	}
	between, err := b.api.GetConversationHistoryContext(b.ctx, &slack.GetConversationHistoryParameters{
		ChannelID: ops, Oldest: stamps[1], Latest: stamps[3],
	})
	if err != nil || len(between.Messages) != 1 || between.Messages[0].Text != "2" {
		t.Errorf("between two timestamps: %+v, %v", between, err)
	}
	if m := between.Messages[0]; m.Metadata.EventType != "" {
		t.Error("metadata came without being asked for")
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	parent := b.post(t, slack.MsgOptionText("parent", false))
	reply := b.post(t, slack.MsgOptionText("reply", false), slack.MsgOptionTS(parent))
	b.post(t, slack.MsgOptionText("reply to the reply", false), slack.MsgOptionTS(reply))
	list, _, _, err := b.api.GetConversationRepliesContext(b.ctx, &slack.GetConversationRepliesParameters{ChannelID: ops, Timestamp: parent})
	if err != nil || len(list) != 3 || list[2].ThreadTimestamp != parent {
		t.Errorf("replies %+v, %v", list, err)
	}
	if m := b.Messages(ops)[0]; m.Replies != 2 {
		t.Errorf("parent counts %d replies", m.Replies)
	}
}

func TestEphemeralIsForOnePersonOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	if _, err := b.api.PostEphemeralContext(b.ctx, ops, oncall, slack.MsgOptionText("psst", false)); err != nil {
		t.Fatal(err)
	}
	if len(b.Messages(ops)) != 0 || len(b.Ephemerals(dba1)) != 0 {
		t.Error("others see it")
	}
	e := b.Ephemerals(oncall)
	if len(e) != 1 || e[0].Text != "psst" || !e[0].Ephemeral {
		t.Fatalf("ephemerals %+v", e)
	}
	if err := b.Dismiss(oncall, e[0].TS); err != nil || len(b.Ephemerals(oncall)) != 0 {
		t.Errorf("dismissed: %v", err)
	}
}

func TestDirectMessages(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	channel, _, err := b.api.PostMessageContext(b.ctx, dba1, slack.MsgOptionText("you haven't voted yet", false))
	if err != nil || !strings.HasPrefix(channel, "D") {
		t.Fatalf("channel %q, %v", channel, err)
	}
	if got := b.Messages(channel); len(got) != 1 {
		t.Errorf("messages %+v", got)
	}
	if _, err := b.Say(dba2, channel, "let me in"); err == nil {
		t.Error("somebody else wrote into a direct message")
	}
}

func TestPermalinkLeadsToThePage(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ts := b.post(t, slack.MsgOptionText("x", false))
	link, err := b.api.GetPermalinkContext(b.ctx, &slack.PermalinkParameters{Channel: ops, Ts: ts})
	if err != nil || link != b.base+"/archives/"+ops+"/p"+strings.ReplaceAll(ts, ".", "") {
		t.Fatalf("permalink %q, %v", link, err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if want := "/#channel=" + ops + "&message=" + ts; resp.Header.Get("Location") != want {
		t.Errorf("leads to %q, want %q", resp.Header.Get("Location"), want)
	}
}

// A form carries blocks as text, JSON as a value: both must come out the same.
func TestFormAndJSONMeanTheSame(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	blocks := []object{{"type": "section", "block_id": "s", "text": object{"type": "mrkdwn", "text": "x"}}}
	b.json(t, "chat.postMessage", object{"channel": ops, "text": "x", "blocks": blocks})
	raw, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	b.json(t, "chat.postMessage", object{"channel": ops, "text": "x", "blocks": string(raw)})
	b.post(t, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(
		slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", "x", false, false), nil, nil, slack.SectionBlockOptionBlockID("s"))))
	for _, m := range b.Messages(ops) {
		if string(m.Blocks) != string(b.Messages(ops)[0].Blocks) {
			t.Errorf("blocks %s", m.Blocks)
		}
	}
}
