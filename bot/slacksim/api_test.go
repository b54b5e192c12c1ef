package slacksim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

// answer is a raw answer of the Web API.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (a answer) code() string { s, _ := a.body["error"].(string); return s }

// call makes a request without any client library.
func (b *bundle) call(t *testing.T, method, token, contentType, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, b.APIURL(b.base)+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // some answers are no JSON on purpose
	return a, nil
}

func (b *bundle) json(t *testing.T, method string, body any) answer {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.call(t, method, b.BotToken(), "application/json; charset=utf-8", string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type object = map[string]any

func TestMethodsAnswerWithSlacksErrorCodes(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) {
		o.Channels = append(slacksim.DefaultChannels(),
			slacksim.Channel{ID: "C0ELSEWHER", Name: "elsewhere"},
			slacksim.Channel{ID: "C0SECRET01", Name: "secret", Private: true},
			slacksim.Channel{ID: "C0ARCHIVED", Name: "old", Archived: true, BotMember: true})
	})
	b.SetAccount(slacksim.Account{ID: "U0GONE0001", Name: "gone", Deleted: true})
	mine := b.post(t, slack.MsgOptionText("mine", false))
	theirs, err := b.Say(oncall, ops, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	view := object{"type": "modal", "title": object{"type": "plain_text", "text": "T"}, "blocks": []any{}}
	for _, tt := range []struct {
		name, method string
		args         object
		want         string
	}{
		{"a method that doesn't exist", "chat.shout", object{}, "unknown_method"},
		{"a post to no channel", "chat.postMessage", object{"text": "x"}, "channel_not_found"},
		{"a post to an unknown channel", "chat.postMessage", object{"channel": "C0NOWHERE1", "text": "x"}, "channel_not_found"},
		{"a post where the bot isn't", "chat.postMessage", object{"channel": "C0ELSEWHER", "text": "x"}, "not_in_channel"},
		{"a post to a private channel that it can't see", "chat.postMessage", object{"channel": "C0SECRET01", "text": "x"}, "channel_not_found"},
		{"a post to an archived channel", "chat.postMessage", object{"channel": "C0ARCHIVED", "text": "x"}, "is_archived"},
		{"a post of nothing", "chat.postMessage", object{"channel": ops, "text": " "}, "no_text"},
		{"a post that is too long", "chat.postMessage", object{"channel": ops, "text": strings.Repeat("ü", 40_001)}, "msg_too_long"},
		{"blocks that are no list", "chat.postMessage", object{"channel": ops, "blocks": "{"}, "invalid_blocks_format"},
		{"metadata without a type", "chat.postMessage", object{"channel": ops, "text": "x", "metadata": object{"event_payload": object{}}}, "invalid_metadata_schema"},
		{"metadata that is no object", "chat.postMessage", object{"channel": ops, "text": "x", "metadata": "seven"}, "invalid_metadata_format"},
		{"a reply to nothing", "chat.postMessage", object{"channel": ops, "text": "x", "thread_ts": "1.000001"}, "thread_not_found"},
		{"an update of nothing", "chat.update", object{"channel": ops, "ts": "1.000001", "text": "x"}, "message_not_found"},
		{"an update of somebody else's message", "chat.update", object{"channel": ops, "ts": theirs.TS, "text": "x"}, "cant_update_message"},
		{"an update without a ts", "chat.update", object{"channel": ops, "text": "x"}, "invalid_arguments"},
		{"an update with no content", "chat.update", object{"channel": ops, "ts": mine}, "no_text"},
		{"an update in an unknown channel", "chat.update", object{"channel": "C0NOWHERE1", "ts": mine, "text": "x"}, "channel_not_found"},
		{"a deletion of nothing", "chat.delete", object{"channel": ops, "ts": "1.000001"}, "message_not_found"},
		{"a deletion of somebody else's message", "chat.delete", object{"channel": ops, "ts": theirs.TS}, "cant_delete_message"},
		{"an ephemeral to a stranger", "chat.postEphemeral", object{"channel": ops, "user": "U0NOBODY01", "text": "x"}, "user_not_in_channel"},
		{"an ephemeral where the bot isn't", "chat.postEphemeral", object{"channel": "C0ELSEWHER", "user": oncall, "text": "x"}, "not_in_channel"},
		{"a permalink to nothing", "chat.getPermalink", object{"channel": ops, "message_ts": "1.000001"}, "message_not_found"},
		{"a history of an unknown channel", "conversations.history", object{"channel": "C0NOWHERE1"}, "channel_not_found"},
		{"a history where the bot isn't", "conversations.history", object{"channel": "C0ELSEWHER"}, "not_in_channel"},
		{"a history with a limit that is too high", "conversations.history", object{"channel": ops, "limit": 1000}, "invalid_limit"},
		{"a history with a broken cursor", "conversations.history", object{"channel": ops, "cursor": "!"}, "invalid_cursor"},
		{"replies to nothing", "conversations.replies", object{"channel": ops, "ts": "1.000001"}, "thread_not_found"},
		{"information on an unknown channel", "conversations.info", object{"channel": "C0NOWHERE1"}, "channel_not_found"},
		{"a direct message with a deactivated person", "conversations.open", object{"users": "U0GONE0001"}, "user_disabled"},
		{"information on an unknown person", "users.info", object{"user": "U0NOBODY01"}, "user_not_found"},
		{"an unknown bot", "bots.info", object{"bot": "B0NOBODY01"}, "bot_not_found"},
		{"an unknown group", "usergroups.users.list", object{"usergroup": "S0NOBODY01"}, "no_such_subteam"},
		{"a modal without a view", "views.open", object{"trigger_id": "1.2.x"}, "invalid_arguments"},
		{"a modal without a trigger", "views.open", object{"view": view}, "invalid_arguments"},
		{"a modal with an invented trigger", "views.open", object{"trigger_id": "1.2.x", "view": view}, "invalid_trigger_id"},
		{"an update of a view that isn't open", "views.update", object{"view_id": "V0NOBODY01", "view": view}, "not_found"},
		{"an update of no view", "views.update", object{"view": view}, "invalid_arguments"},
		{"a home for a stranger", "views.publish", object{"user_id": "U0NOBODY01", "view": object{"type": "home", "blocks": []any{}}}, "user_not_found"},
		{"a home that is a modal", "views.publish", object{"user_id": oncall, "view": view}, "invalid_arguments"},
		{"an upload of nothing", "files.getUploadURLExternal", object{"filename": "a.png", "length": 0}, "invalid_arguments"},
		{"a completion of an unknown file", "files.completeUploadExternal", object{"files": []object{{"id": "F0NOBODY01"}}}, "file_not_found"},
		{"an unknown file", "files.info", object{"file": "F0NOBODY01"}, "file_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.json(t, tt.method, tt.args)
			if a.code() != tt.want || a.status != http.StatusOK || a.body["ok"] != false {
				t.Errorf("%s: status %d, %s; want %s", tt.method, a.status, a.raw, tt.want)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Scopes = []string{"chat:write"} })
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, method, token, kind, body, want string
	}{
		{"no token", "auth.test", "", form, "", "not_authed"},
		{"a wrong token", "auth.test", "xoxb-nobody", form, "", "invalid_auth"},
		{"a token in a form", "auth.test", "", form, "token=" + url.QueryEscape(b.BotToken()), ""},
		{"a token inside JSON doesn't count", "auth.test", "", "application/json", `{"token":"` + b.BotToken() + `"}`, "not_authed"},
		{"an app-level token where a bot's is needed", "auth.test", b.AppToken(), form, "", "not_allowed_token_type"},
		{"a bot token where an app-level one is needed", "apps.connections.open", b.BotToken(), form, "", "not_allowed_token_type"},
		{"a scope that is missing", "users.info", b.BotToken(), form, "user=" + oncall, "missing_scope"},
		{"no token where none is needed", "api.test", "", form, "", ""},
		{"a body that is no JSON", "chat.postMessage", b.BotToken(), "application/json", "{", "invalid_json"},
		{"a body with more behind the JSON", "chat.postMessage", b.BotToken(), "application/json", "{}{}", "invalid_json"},
		{"a body that is a list", "chat.postMessage", b.BotToken(), "application/json", "[]", "json_not_object"},
		{"a body of an unknown type", "chat.postMessage", b.BotToken(), "text/plain", "x", "invalid_post_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := b.call(t, tt.method, tt.token, tt.kind, tt.body)
			if err != nil || a.code() != tt.want {
				t.Errorf("%s, error %v; want %q", a.raw, err, tt.want)
			}
		})
	}
}

func TestMissingScopeSaysWhich(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.Scopes = []string{"chat:write"} })
	a := b.json(t, "users.info", object{"user": oncall})
	if a.body["needed"] != "users:read" || a.body["provided"] != "chat:write" {
		t.Errorf("answer %s", a.raw)
	}
}

func TestLookupsOverTheOfficialGoClient(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) {
		o.Groups = []slacksim.UserGroup{{ID: "S0DBAS0001", Handle: "dbas", Users: []string{dba1, dba2}}}
	})
	b.SetAccount(slacksim.Account{ID: "U0STRANGER", Name: "stranger", TeamID: "T0ELSEWHER"})
	b.SetAccount(slacksim.Account{ID: "U0GONE0001", Name: "gone", Deleted: true})

	auth, err := b.api.AuthTestContext(b.ctx)
	if err != nil || auth.TeamID != b.Team() || auth.UserID != slacksim.BotUserID || auth.BotID != slacksim.BotID {
		t.Errorf("auth.test: %+v, %v", auth, err)
	}
	g, err := b.api.GetUserInfoContext(b.ctx, guest)
	if err != nil || !g.IsRestricted || !g.IsUltraRestricted || g.Deleted || g.TeamID != b.Team() || g.Name != "guest" {
		t.Errorf("users.info of the guest: %+v, %v", g, err)
	}
	s, err := b.api.GetUserInfoContext(b.ctx, "U0STRANGER")
	if err != nil || !s.IsStranger || s.TeamID != "T0ELSEWHER" {
		t.Errorf("users.info of the stranger: %+v, %v", s, err)
	}
	d, err := b.api.GetUserInfoContext(b.ctx, "U0GONE0001")
	if err != nil || !d.Deleted {
		t.Errorf("users.info of the deactivated: %+v, %v", d, err)
	}
	me, err := b.api.GetUserInfoContext(b.ctx, slacksim.BotUserID)
	if err != nil || !me.IsBot {
		t.Errorf("users.info of the bot: %+v, %v", me, err)
	}
	members, err := b.api.GetUserGroupMembersContext(b.ctx, "S0DBAS0001")
	if err != nil || strings.Join(members, " ") != dba1+" "+dba2 {
		t.Errorf("usergroups.users.list: %v, %v", members, err)
	}
	c, err := b.api.GetConversationInfoContext(b.ctx, &slack.GetConversationInfoInput{ChannelID: ops})
	if err != nil || c.Name != "ops" || !c.IsMember {
		t.Errorf("conversations.info: %+v, %v", c, err)
	}
	bot, err := b.api.GetBotInfoContext(b.ctx, slack.GetBotInfoParameters{Bot: slacksim.BotID})
	if err != nil || bot.AppID != slacksim.AppID || bot.UserID != slacksim.BotUserID {
		t.Errorf("bots.info: %+v, %v", bot, err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	post := func(b *bundle) error {
		_, _, err := b.api.PostMessageContext(b.ctx, ops, slack.MsgOptionText("hello", false))
		return err
	}
	for _, tt := range []struct {
		name   string
		fault  slacksim.Failure
		check  func(error) bool
		posted int
	}{
		{"down: no answer, nothing done", slacksim.Down(), func(err error) bool { return errors.Is(err, io.EOF) }, 0},
		{"garbage: HTML, nothing done", slacksim.Garbage(), func(err error) bool { return err != nil && strings.Contains(err.Error(), "invalid character '<'") }, 0},
		{"lost: no answer, but done", slacksim.Lost(), func(err error) bool { return errors.Is(err, io.EOF) }, 1},
		{"an error code, nothing done", slacksim.Error("internal_error"), func(err error) bool { return err != nil && err.Error() == "internal_error" }, 0},
		{"rate limited with the seconds to wait", slacksim.RateLimit(1500 * time.Millisecond), func(err error) bool {
			var limited *slack.RateLimitedError
			return errors.As(err, &limited) && limited.RetryAfter == 2*time.Second
		}, 0},
		{"slow: the answer comes, and it is done", slacksim.Slow(20 * time.Millisecond), func(err error) bool { return err == nil }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.Fail("chat.postMessage", tt.fault.Times(1))
			if err := post(b); !tt.check(err) {
				t.Errorf("error %v", err)
			}
			if got := len(b.Messages(ops)); got != tt.posted {
				t.Errorf("%d messages", got)
			}
			if err := post(b); err != nil {
				t.Errorf("after the failure's one time: %v", err)
			}
		})
	}
}

func TestSlowWorkIsNotDoneWhenTheClientGaveUp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail(slacksim.Any, slacksim.Slow(time.Hour))
	ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
	defer cancel()
	if _, _, err := b.api.PostMessageContext(ctx, ops, slack.MsgOptionText("x", false)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	b.Heal(slacksim.Any)
	b.post(t, slack.MsgOptionText("y", false))
	if got := b.Messages(ops); len(got) != 1 || got[0].Text != "y" {
		t.Errorf("messages %+v", got)
	}
}

func TestRateLimitsOfPosting(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(o *slacksim.Options) { o.RateLimits = true })
	for range 3 {
		b.post(t, slack.MsgOptionText("burst", false))
	}
	a := b.json(t, "chat.postMessage", object{"channel": ops, "text": "one too many"})
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" || a.code() != "ratelimited" {
		t.Fatalf("status %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.raw)
	}
	if d := b.json(t, "chat.postMessage", object{"channel": oncall, "text": "another channel"}); d.code() != "" {
		t.Errorf("another channel: %s", d.raw)
	}
	b.clock.advance(time.Second)
	b.post(t, slack.MsgOptionText("a second later", false))
	if got := len(b.Messages(ops)); got != 4 {
		t.Errorf("%d messages", got)
	}
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.post(t, slack.MsgOptionText("x", false))
	b.json(t, "chat.postMessage", object{"channel": "C0NOWHERE1", "text": "x"})
	calls := b.Calls()
	if len(calls) != 2 || calls[0].Error != "" || calls[1].Error != "channel_not_found" || b.Snapshot().Calls("chat.postMessage") != 2 {
		t.Errorf("calls %+v", calls)
	}
}
