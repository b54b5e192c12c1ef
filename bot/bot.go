package bot

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"twokey/secret"
)

// Options are what a Bot works with. Fields without a remark are needed.
type Options struct {
	Team    string // the Slack team's id, T…
	Channel string // the operations channel's id, C… or G…
	AppID   string // A…; "" doesn't compare the app of deliveries
	Command string // "/pg" when ""

	APIURL        string      // "https://slack.com/api/" when ""
	UserGroup     string      // whose members are the approvers, S…; "" where they are a list
	Token         secret.Text // of the bot, xoxb-…
	SigningSecret secret.Text // of deliveries over HTTP; not needed with AppToken
	// AppToken (xapp-…) lets deliveries come over Socket Mode, and only so; without
	// it they come over HTTP to Handler.
	AppToken    secret.Text
	Connections int          // of Socket Mode, at most 10; 2 when 0
	HTTPClient  *http.Client // one of its own when nil
	People      People

	Alerts Alerts

	Desk   Desk
	Outbox Outbox
	Ready  []Readiness // further conditions of /readyz

	Now   func() time.Time // time.Now when nil
	NewID func() string    // ids of incidents; random when nil
	Log   *slog.Logger     // discards when nil
	Pace  Pace             // DefaultPace where zero
}

// Alerts are how alerts are told.
type Alerts struct {
	Mention string // id of the user group that is called when something severe begins, S…; "" calls nobody
	Runbook string // https address of the page that says what to do, without an anchor; "" names the docs
}

// Readiness is one condition under which the bot can do its work.
type Readiness struct {
	Name  string
	Check func(context.Context) error // its text is shown: no secrets
}

// Pace bounds how fast messages leave and how long one is tried.
type Pace struct {
	PostEvery   time.Duration // between new messages of the channel, after a burst of 2
	UpdateEvery time.Duration // between updates in the workspace, after a burst of 5
	StepEvery   time.Duration // between updates of one message that only show progress
	RetryFirst  time.Duration // pause after the first failure, growing up to RetryMost
	RetryMost   time.Duration
	GiveUp      time.Duration // from the first failure of one message alone to giving it up
	Settle      time.Duration // from a post whose outcome isn't known until a look for it counts
	Stale       time.Duration // age from which alerts and reports that wait are told together
	HomeEvery   time.Duration // between looks whether the Home shows the present state
	Silence     time.Duration // from the last sign of life of a Socket Mode connection until it counts as dead
}

// DefaultPace keeps Slack's documented rates.
func DefaultPace() Pace {
	return Pace{
		PostEvery: time.Second, UpdateEvery: 1200 * time.Millisecond, StepEvery: 900 * time.Millisecond,
		RetryFirst: 500 * time.Millisecond, RetryMost: 30 * time.Second, GiveUp: time.Hour,
		Settle: 3 * time.Second, Stale: 5 * time.Minute, HomeEvery: 5 * time.Second, Silence: 30 * time.Second,
	}
}

// Bot is the Slack adapter. Make one with New, serve Handler, and call Run once.
type Bot struct {
	opt     Options
	slack   *client
	sign    signature
	courier *courier
	homes   *homes
	seen    *inFlight
	sockets *sockets // nil over HTTP
	handler http.Handler
	forged  rate.Sometimes // so that a forger can't fill the log

	commands *crew // slash commands: they may wait for databases
	presses  *crew // presses, submissions, events: never behind a flood of commands

	mu      sync.Mutex
	running bool
	heard   time.Time     // when the last delivery came
	up      chan struct{} // closed when Run begins
}

const (
	// So many that 200 deliveries a second are worked on while Slack takes 2 s for
	// each call, of which some need two; what waits costs little.
	commandCrew  = 256
	pressCrew    = 1024
	workTimeout  = 2 * time.Minute  // of one delivery's work
	drainTimeout = 10 * time.Second // of all of it, when the bot stops
)

// New checks the options. The Bot does nothing until Run.
func New(o Options) (*Bot, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	b := &Bot{
		opt: o, slack: newClient(o), sign: signature{secret: o.SigningSecret, now: o.Now}, seen: newInFlight(o.Now),
		forged:   rate.Sometimes{First: 10, Interval: 10 * time.Second},
		commands: newCrew(commandCrew), presses: newCrew(pressCrew), up: make(chan struct{}),
	}
	b.courier = newCourier(o, b.slack)
	b.homes = newHomes(o, b.slack, b.courier.link)
	if !o.AppToken.Empty() {
		b.sockets = newSockets(o, b.slack, b.take)
	}
	b.handler = b.routes()
	return b, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.APIURL == "" {
		o.APIURL = "https://slack.com/api/"
	}
	u, err := url.Parse(o.APIURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return o, fmt.Errorf("the Slack API's URL %q is no http or https address", o.APIURL)
	}
	o.APIURL = strings.TrimRight(o.APIURL, "/") + "/" // methods' names are appended as they are
	if o.Token.Empty() {
		return o, errors.New("the Slack bot token is missing")
	}
	if o.People.Team == "" {
		o.People.Team = o.Team
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Transport: ownTransport()}
	}
	return o.withHabits(), nil
}

// ownTransport is the default one with a pool of connections of its own, so that
// the bot can close them; a default that somebody replaced is shared.
func ownTransport() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return http.DefaultTransport
}

func (o Options) withHabits() Options {
	if o.Command == "" {
		o.Command = "/pg"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Connections == 0 {
		o.Connections = defaultSockets
	}
	if o.Pace == (Pace{}) {
		o.Pace = DefaultPace()
	}
	o.Pace.Settle = cmp.Or(o.Pace.Settle, DefaultPace().Settle)
	o.Pace.Stale = cmp.Or(o.Pace.Stale, DefaultPace().Stale)
	o.Pace.HomeEvery = cmp.Or(o.Pace.HomeEvery, DefaultPace().HomeEvery)
	o.Pace.Silence = cmp.Or(o.Pace.Silence, DefaultPace().Silence)
	return o
}

func (o Options) validate() error {
	switch {
	case o.Team == "" || o.Channel == "":
		return errors.New("the ids of the Slack team (T…) and of the operations channel (C…) are needed")
	case o.People.Team != o.Team:
		return fmt.Errorf("the people are of team %s, the bot of team %s", o.People.Team, o.Team)
	case o.SigningSecret.Empty() && o.AppToken.Empty():
		return errors.New("the Slack signing secret is missing; over Socket Mode the app-level token takes its place")
	case o.Connections < 1 || o.Connections > mostSockets:
		return fmt.Errorf("%d Socket Mode connections: Slack takes 1 to %d of one app", o.Connections, mostSockets)
	case o.Desk == nil || o.Outbox == nil:
		return errors.New("a desk and an outbox are needed")
	}
	return nil
}

func randomID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Handler serves /livez and /readyz, and over HTTP Slack's deliveries:
// /slack/commands, /slack/interactions, /slack/events. Until Run runs, these are
// answered with 503.
func (b *Bot) Handler() http.Handler { return b.handler }

// Run delivers messages and does the work of deliveries until ctx ends; then it
// takes no more, finishes what it has for up to ten seconds, and returns nil.
func (b *Bot) Run(ctx context.Context) error {
	if err := b.start(); err != nil {
		return err
	}
	out, stop := context.WithCancel(context.WithoutCancel(ctx))
	var courier sync.WaitGroup
	courier.Go(func() { b.courier.run(out) })
	courier.Go(func() { b.homes.run(out) })
	b.listen(ctx)
	b.setRunning(false)
	b.drain()
	stop()
	courier.Wait()
	b.opt.HTTPClient.CloseIdleConnections()
	return nil
}

// listen takes deliveries until ctx ends. Over HTTP that is Handler's business.
func (b *Bot) listen(ctx context.Context) {
	if b.sockets != nil {
		b.sockets.run(ctx)
	}
	<-ctx.Done()
}

// Up is closed once Run takes deliveries.
func (b *Bot) Up() <-chan struct{} { return b.up }

func (b *Bot) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running {
		return errors.New("the bot is running already")
	}
	b.running = true
	b.commands.open()
	b.presses.open()
	close(b.up)
	return nil
}

func (b *Bot) setRunning(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = yes
}

func (b *Bot) isRunning() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// hear notes that a delivery came, and says whether it can be taken.
func (b *Bot) hear() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = b.opt.Now()
	return b.running
}

func (b *Bot) drain() {
	var both sync.WaitGroup
	both.Go(func() { b.commands.close(drainTimeout) })
	both.Go(func() { b.presses.close(drainTimeout) })
	both.Wait()
}
