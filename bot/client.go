package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

const callTimeout = 10 * time.Second // of one call of the Web API

// client is the Web API as the bot uses it. It never repeats a call by itself:
// the courier owns that.
type client struct {
	api  *slack.Client
	http *http.Client
	base *url.URL
}

func newClient(o Options) *client {
	base, _ := url.Parse(o.APIURL) // withDefaults has parsed it before
	return &client{
		api:  slack.New(o.Token.Reveal(), slack.OptionAPIURL(o.APIURL), slack.OptionHTTPClient(o.HTTPClient)),
		http: o.HTTPClient, base: base,
	}
}

// metadata marks a message as the delivery of key, so that it can be found.
func metadata(key string, seq uint64) slack.MsgOption {
	return slack.MsgOptionMetadata(slack.SlackMetadata{
		EventType: metadataType, EventPayload: map[string]any{"key": key, "seq": seq},
	})
}

const metadataType = "twokey_delivery"

// content sends text and blocks together, always: an update with one of them
// alone leaves the other as it was. Empty blocks clear those of before.
func content(m message) slack.MsgOption {
	return slack.MsgOptionCompose(
		slack.MsgOptionText(string(m.text), false), slack.MsgOptionBlocks(m.blocks...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(), slack.MsgOptionParse(false),
	)
}

// post returns the new message's timestamp.
func (c *client) post(ctx context.Context, channel string, m message, more ...slack.MsgOption) (ts string, err error) {
	ctx, cancel := withTimeout(ctx, "chat.postMessage")
	defer cancel()
	_, ts, err = c.api.PostMessageContext(ctx, channel, append(more, content(m))...)
	if err == nil && ts == "" {
		err = errNoAnswer
	}
	return ts, failed(ctx, "chat.postMessage", err)
}

func (c *client) update(ctx context.Context, channel, ts string, m message, more ...slack.MsgOption) error {
	ctx, cancel := withTimeout(ctx, "chat.update")
	defer cancel()
	_, got, _, err := c.api.UpdateMessageContext(ctx, channel, ts, append(more, content(m))...)
	if err == nil && got == "" {
		err = errNoAnswer
	}
	return failed(ctx, "chat.update", err)
}

func (c *client) whisper(ctx context.Context, channel, user string, m message) error {
	ctx, cancel := withTimeout(ctx, "chat.postEphemeral")
	defer cancel()
	_, err := c.api.PostEphemeralContext(ctx, channel, user, content(m))
	return failed(ctx, "chat.postEphemeral", err)
}

// respond answers over a response URL.
func (c *client) respond(ctx context.Context, address string, m message, public bool) error {
	if !c.answers(address) {
		return errForeignURL
	}
	ctx, cancel := withTimeout(ctx, "response_url")
	defer cancel()
	kind := slack.ResponseTypeEphemeral
	if public {
		kind = slack.ResponseTypeInChannel
	}
	off := false
	answer := slack.WebhookMessage{Text: string(m.text), ResponseType: kind, UnfurlLinks: &off, UnfurlMedia: &off}
	if len(m.blocks) > 0 {
		answer.Blocks = &slack.Blocks{BlockSet: m.blocks}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return failed(ctx, "response_url", err)
	}
	return failed(ctx, "response_url", withoutURL(c.postTo(ctx, address, body)))
}

// postTo posts JSON. Slack answers "ok", or an error as JSON under any status.
func (c *client) postTo(ctx context.Context, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer slack.SlackResponse
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode == http.StatusTooManyRequests {
		return &slack.RateLimitedError{RetryAfter: retryAfter(resp.Header)}
	}
	if json.Unmarshal(raw, &answer) == nil && answer.Err() != nil {
		return answer.Err()
	}
	if resp.StatusCode != http.StatusOK {
		return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	}
	return err
}

// retryAfter is what Slack says, or a second where it says nothing sensible.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Second
	}
	return time.Duration(seconds) * time.Second
}

// answers says whether a response URL leads to Slack: a signed payload names
// it, but the bot posts nowhere else even so.
func (c *client) answers(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	if u.Scheme == c.base.Scheme && u.Host == c.base.Host {
		return true
	}
	host := strings.ToLower(u.Hostname())
	return u.Scheme == "https" && (strings.HasSuffix(host, ".slack.com") || strings.HasSuffix(host, ".slack-gov.com"))
}

// withoutURL drops the address from an HTTP client's error: whoever knows a
// response URL can write into the channel.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (c *client) open(ctx context.Context, trigger string, v slack.ModalViewRequest) (viewID string, err error) {
	ctx, cancel := withTimeout(ctx, "views.open")
	defer cancel()
	out, err := c.api.OpenViewContext(ctx, trigger, v)
	if err != nil {
		return "", failed(ctx, "views.open", err)
	}
	return out.View.ID, nil
}

func (c *client) change(ctx context.Context, viewID string, v slack.ModalViewRequest) error {
	ctx, cancel := withTimeout(ctx, "views.update")
	defer cancel()
	_, err := c.api.UpdateViewContext(ctx, v, "", "", viewID)
	return failed(ctx, "views.update", err)
}

func (c *client) publish(ctx context.Context, user string, v slack.HomeTabViewRequest) error {
	ctx, cancel := withTimeout(ctx, "views.publish")
	defer cancel()
	_, err := c.api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: user, View: v})
	return failed(ctx, "views.publish", err)
}

func (c *client) user(ctx context.Context, id string) (*slack.User, error) {
	ctx, cancel := withTimeout(ctx, "users.info")
	defer cancel()
	u, err := c.api.GetUserInfoContext(ctx, id)
	if err != nil {
		return nil, failed(ctx, "users.info", err)
	}
	return u, nil
}

func (c *client) permalink(ctx context.Context, p spot) (string, error) {
	ctx, cancel := withTimeout(ctx, "chat.getPermalink")
	defer cancel()
	link, err := c.api.GetPermalinkContext(ctx, &slack.PermalinkParameters{Channel: p.channel, Ts: p.ts})
	return link, failed(ctx, "chat.getPermalink", err)
}

// deliveries searches the channel since oldest for the bot's messages, and gives
// the timestamp of each by the key that it delivers. Of two with one key, which
// ought not to be, it gives the older.
func (c *client) deliveries(ctx context.Context, channel string, oldest time.Time) (map[string]string, error) {
	ctx, cancel := withTimeout(ctx, "conversations.history")
	defer cancel()
	ask := &slack.GetConversationHistoryParameters{
		ChannelID: channel, Oldest: fmt.Sprintf("%d.000000", oldest.Unix()), Limit: 200, IncludeAllMetadata: true,
	}
	found := map[string]string{}
	for range maxHistoryPages {
		page, err := c.api.GetConversationHistoryContext(ctx, ask)
		if err != nil {
			return nil, failed(ctx, "conversations.history", err)
		}
		for _, m := range page.Messages { // newest first
			if key, ok := m.Metadata.EventPayload["key"].(string); ok && m.Metadata.EventType == metadataType {
				found[key] = m.Timestamp
			}
		}
		ask.Cursor = page.ResponseMetaData.NextCursor
		if !page.HasMore || ask.Cursor == "" {
			break
		}
	}
	return found, nil
}

// replies is deliveries for one thread.
func (c *client) replies(ctx context.Context, parent spot, oldest time.Time) (map[string]string, error) {
	ctx, cancel := withTimeout(ctx, methodReplies)
	defer cancel()
	ask := &slack.GetConversationRepliesParameters{
		ChannelID: parent.channel, Timestamp: parent.ts, Oldest: fmt.Sprintf("%d.000000", oldest.Unix()), Limit: 200, IncludeAllMetadata: true,
	}
	found := map[string]string{}
	for range maxHistoryPages {
		messages, more, next, err := c.api.GetConversationRepliesContext(ctx, ask)
		if err != nil {
			return nil, failed(ctx, methodReplies, err)
		}
		for _, m := range messages {
			if key, ok := m.Metadata.EventPayload["key"].(string); ok && m.Metadata.EventType == metadataType {
				found[key] = m.Timestamp
			}
		}
		if ask.Cursor = next; !more || next == "" {
			break
		}
	}
	return found, nil
}

const maxHistoryPages = 25 // 5,000 messages

func withTimeout(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("%s didn't answer within %s", method, callTimeout))
}

// members lists the user ids in a user group; a group that isn't there any more,
// or is disabled, has none.
func (c *client) members(ctx context.Context, group string) ([]string, error) {
	ctx, cancel := withTimeout(ctx, "usergroups.users.list")
	defer cancel()
	users, err := c.api.GetUserGroupMembersContext(ctx, group)
	switch {
	case apiCode(err) == "no_such_subteam":
		return nil, nil
	case err == nil && users == nil:
		err = errNoAnswer
	}
	return users, failed(ctx, "usergroups.users.list", err)
}
