package bot

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// Examination is what Slack says when it is asked for everything that the bot
// depends on there. Nothing is posted and nothing changed.
type Examination struct {
	Token   error // why the bot token doesn't work; the rest isn't known then
	Team    string
	User    string // the bot's own account
	Scopes  []string
	Missing []string // scopes that the bot needs and the token lacks
	Channel error    // why the channel can't be used
	Socket  error    // why Socket Mode can't be opened; nil without an app-level token
	// Skew is how far Slack's clock is ahead of this machine's, to the second;
	// false where its answer had no date.
	Skew    time.Duration
	HasSkew bool
}

// Examine asks Slack with the tokens of o; only what New needs of Slack is needed.
func Examine(ctx context.Context, o Options) (Examination, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Examination{}, err
	}
	defer o.HTTPClient.CloseIdleConnections()
	seen := &heard{next: o.HTTPClient.Transport, now: o.Now}
	if seen.next == nil {
		seen.next = http.DefaultTransport
	}
	o.HTTPClient = &http.Client{Transport: seen}
	c := newClient(o)
	var e Examination
	e.Team, e.User, e.Token = c.whoAmI(ctx)
	e.Scopes, e.Skew, e.HasSkew = seen.told()
	if e.Token != nil {
		return e, nil
	}
	e.Missing = lacking(e.Scopes, o.neededScopes())
	e.Channel = c.mayRead(ctx, o.Channel)
	if !o.AppToken.Empty() {
		e.Socket = c.mayConnect(ctx, o)
	}
	return e, nil
}

// neededScopes are those of the app's manifest, for a public channel.
func (o Options) neededScopes() []string {
	return ManifestOptions{Socket: !o.AppToken.Empty(), Group: o.UserGroup != ""}.Scopes()
}

// lacking are the scopes that aren't there. A private channel is read with another
// scope than a public one; which of them is right shows when it is read.
func lacking(have, need []string) (missing []string) {
	for _, scope := range need {
		other := strings.Replace(scope, "channels:", "groups:", 1)
		if !slices.Contains(have, scope) && !slices.Contains(have, other) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// whoAmI asks whose token it is.
func (c *client) whoAmI(ctx context.Context) (team, user string, err error) {
	ctx, cancel := withTimeout(ctx, "auth.test")
	defer cancel()
	answer, err := c.api.AuthTestContext(ctx)
	if err != nil {
		return "", "", failed(ctx, "auth.test", err)
	}
	if answer.TeamID == "" {
		return "", "", failed(ctx, "auth.test", errNoAnswer)
	}
	return answer.TeamID, answer.UserID, nil
}

// mayRead reads one message of the channel, which only a member may.
func (c *client) mayRead(ctx context.Context, channel string) error {
	ctx, cancel := withTimeout(ctx, methodHistory)
	defer cancel()
	_, err := c.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: channel, Limit: 1})
	return failed(ctx, methodHistory, err)
}

// mayConnect asks for an address of Socket Mode and leaves it unused.
func (c *client) mayConnect(ctx context.Context, o Options) error {
	ctx, cancel := withTimeout(ctx, methodConnect)
	defer cancel()
	api := slack.New("", slack.OptionAppLevelToken(o.AppToken.Reveal()), slack.OptionAPIURL(o.APIURL), slack.OptionHTTPClient(o.HTTPClient))
	_, _, err := api.StartSocketModeContext(ctx)
	return failed(ctx, methodConnect, err)
}

// Remedy says what people can do about an error of Slack's.
func Remedy(err error) string {
	code := apiCode(err)
	if code == "" {
		return "look whether this machine reaches Slack: name resolution, proxy, firewall, slack.api_url"
	}
	if code == "not_allowed_token_type" {
		return "give the right kind of token: xoxb-… is the bot's, xapp-… the app's"
	}
	return remedy(code)
}

// heard notes what the headers of answers tell.
type heard struct {
	next http.RoundTripper
	now  func() time.Time

	mu     sync.Mutex
	scopes []string
	skew   time.Duration
	dated  bool
}

// RoundTrip implements http.RoundTripper.
func (h *heard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.next.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if scopes := resp.Header.Get("X-Oauth-Scopes"); scopes != "" {
		h.scopes = strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if at, perr := http.ParseTime(resp.Header.Get("Date")); perr == nil {
		h.skew, h.dated = at.Sub(h.now()), true
	}
	return resp, nil
}

// CloseIdleConnections lets an http.Client close those of the transport below.
func (h *heard) CloseIdleConnections() {
	if c, ok := h.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (h *heard) told() (scopes []string, skew time.Duration, dated bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scopes, h.skew, h.dated
}

// CheckTeam says whether the token is one of the configured team's.
func (e Examination) CheckTeam(team string) error {
	if e.Team != team {
		return fmt.Errorf("the token is of team %s, the configuration names %s", e.Team, team)
	}
	return nil
}
