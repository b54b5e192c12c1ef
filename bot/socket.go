package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
)

const (
	linkDisabled   = "link_disabled" // why Slack ends connections when Socket Mode was switched off
	methodConnect  = "apps.connections.open"
	defaultSockets = 2  // one goes on while the other reconnects
	mostSockets    = 10 // Slack's limit for one app
	mostEnvelopes  = 128

	// Slack takes an acknowledgement only if it comes in one frame and is
	// shorter than 20 kB; a longer one vanishes without an error.
	maxAck      = 20_000
	frameBuffer = 32 << 10
	maxEnvelope = maxBody
)

// sockets keep the bot's Socket Mode connections open. The library's own client
// isn't used for that because it ends a connection at once when Slack asks for a
// new one, waits for up to five minutes after failures, goes wherever an answer
// leads, and leaves unacknowledged what it doesn't know.
type sockets struct {
	opt  Options
	take func(delivery) ack
	api  *slack.Client // with the app's token
	base *client       // knows where Slack is
	dial *websocket.Dialer
	busy chan struct{} // a slot for each envelope that is being worked on

	mu    sync.Mutex
	lines []line
}

// line is one connection that has to stand, as /readyz tells it.
type line struct {
	up      bool
	trouble string // why it doesn't stand
}

func newSockets(o Options, base *client, take func(delivery) ack) *sockets {
	return &sockets{
		opt: o, take: take, base: base,
		api:   slack.New("", slack.OptionAppLevelToken(o.AppToken.Reveal()), slack.OptionAPIURL(o.APIURL), slack.OptionHTTPClient(o.HTTPClient)),
		dial:  &websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: callTimeout, WriteBufferSize: frameBuffer},
		busy:  make(chan struct{}, mostEnvelopes),
		lines: make([]line, o.Connections),
	}
}

// run keeps all connections until ctx ends. It returns once what was received
// is acknowledged.
func (s *sockets) run(ctx context.Context) {
	var lines, talks sync.WaitGroup
	for i := range s.lines {
		lines.Go(func() { s.keep(ctx, i, &talks) })
	}
	lines.Wait()
	talks.Wait()
}

// keep connects a line, and again whenever its connection ended or Slack asked
// for another. In the second case the old one is read until the new one stands,
// and a moment longer: Slack may have sent something over it.
func (s *sockets) keep(ctx context.Context, i int, talks *sync.WaitGroup) {
	pause := s.newPause()
	leave := func() {} // of the connection before
	for ctx.Err() == nil {
		began := s.opt.Now()
		w, err := s.connect(ctx)
		if err == nil {
			s.set(i, line{up: true})
			leave()
			leave = func() { w.listenUntil(time.Now().Add(linger)) }
			talks.Go(func() { s.converse(ctx, w) })
			err = w.awaitEnd()
		}
		if ctx.Err() != nil {
			break
		}
		if s.opt.Now().Sub(began) > s.opt.Pace.RetryMost { // it stood for a while
			pause.Reset()
		}
		wait := pauseAfter(err, pause.NextBackOff())
		s.set(i, line{trouble: connectTrouble(err)})
		s.opt.Log.Log(ctx, levelOf(err), "a Socket Mode connection ended or can't be had; trying again", "line", i, "in", wait, "trouble", connectTrouble(err), "error", err)
		sleepFor(ctx, wait)
	}
	s.set(i, line{trouble: "the bot is stopping"})
}

// levelOf tells what is Slack's daily business from what isn't.
func levelOf(err error) slog.Level {
	if asked, ok := errors.AsType[*askedToGo](err); ok && asked.reason != linkDisabled {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (s *sockets) newPause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: s.opt.Pace.RetryFirst, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: s.opt.Pace.RetryMost,
	}
}

// pauseAfter obeys Slack where it says when to try again, with a jitter of its
// own so that several lines don't come together.
func pauseAfter(err error, wait time.Duration) time.Duration {
	if limited, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return limited.RetryAfter + time.Duration(rand.Int64N(int64(100*time.Millisecond)))
	}
	return wait
}

func sleepFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *sockets) set(i int, l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[i] = l
}

// standing counts the connections that are up, and says why others aren't.
func (s *sockets) standing() (up int, trouble string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if l.up {
			up++
		} else if l.trouble != "" {
			trouble = l.trouble
		}
	}
	return up, trouble
}

// connect asks Slack where to connect, does so, and waits for its greeting.
func (s *sockets) connect(ctx context.Context) (*wire, error) {
	ctx, cancel := withTimeout(ctx, methodConnect)
	defer cancel()
	_, address, err := s.api.StartSocketModeContext(ctx)
	if err != nil {
		return nil, failed(ctx, methodConnect, err)
	}
	if !s.leadsToSlack(address) {
		return nil, errForeignSocket
	}
	conn, resp, err := s.dial.DialContext(ctx, address, nil)
	if resp != nil {
		_ = resp.Body.Close() // of a refused handshake; there is nothing to read
	}
	if err != nil {
		return nil, failed(ctx, "socket", withoutURL(err))
	}
	w := newWire(conn, s.opt.Pace.Silence)
	if err := s.greeted(ctx, w); err != nil {
		return nil, errors.Join(failed(ctx, "socket", err), conn.Close())
	}
	return w, nil
}

var (
	errForeignSocket = errors.New("the address for Socket Mode doesn't lead to Slack")
	errNoHello       = errors.New("slack connected and sent no hello")
)

// leadsToSlack says whether a WebSocket's address is one of Slack's, and is
// encrypted where the Web API is.
func (s *sockets) leadsToSlack(address string) bool {
	rest, ok := strings.CutPrefix(address, "ws")
	return ok && s.base.answers("http"+rest)
}

// greeted waits for the hello. Without it Slack sends nothing to a connection.
func (s *sockets) greeted(ctx context.Context, w *wire) error {
	deadline, _ := ctx.Deadline() // connect's
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	_, raw, err := w.conn.ReadMessage()
	if err != nil {
		return err
	}
	e, ok := parseSocketEnvelope(raw)
	if !ok || e.Type != "hello" {
		return errNoHello
	}
	if app := e.ConnectionInfo.AppID; s.opt.AppID != "" && app != "" && app != s.opt.AppID {
		return fmt.Errorf("the app-level token is of app %s, the bot is configured for %s", app, s.opt.AppID)
	}
	s.opt.Log.Info("Socket Mode connected", "app", e.ConnectionInfo.AppID, "connections", e.Connections)
	return nil
}

// connectTrouble is an error for /readyz, with what people can do about it.
func connectTrouble(err error) string {
	code := apiCode(err)
	asked, toGo := errors.AsType[*askedToGo](err)
	if toGo && asked.reason == linkDisabled {
		code = linkDisabled
	}
	switch code {
	case "":
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "not_allowed_token_type", "account_inactive":
		return code + ": give the bot an app-level token (xapp-…) of the app, from Basic Information, App-Level Tokens"
	case "missing_scope":
		return code + ": the app-level token needs the scope connections:write"
	case "socket_mode_not_enabled", linkDisabled:
		return code + ": switch Socket Mode on in the app's settings"
	default:
		return code + ": " + remedy(code)
	}
	if toGo {
		return asked.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "no connection; see the log"
}
