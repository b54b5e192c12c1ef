package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"twokey/actions"
	"twokey/actions/postgres"
	"twokey/actions/watch"
	"twokey/approvals"
	"twokey/bot"
	"twokey/config"
	"twokey/store"
	"twokey/totp"
)

// service is a running bot: everything that `bot serve` and the demo have in
// common. What is opened later is closed earlier.
type service struct {
	log       *slog.Logger
	cfg       config.Config
	store     *store.Store
	directory *bot.Directory
	roster    approvals.Roster         // nil where the approvers are a list
	codes     *totp.Codes              // nil without a key
	hands     map[string]actions.Hands // by pair
	desk      *actions.Desk
	bot       *bot.Bot
	watch     *watch.Watch
	public    net.Listener
	admin     net.Listener
	closers   []func() error
}

// seams let tests into an execution: at before and after every effect, wrap
// between it and the servers, journal between it and the store, dial into every
// node's connections. The program itself leaves all of them nil.
type seams struct {
	at      func(context.Context, actions.Point) error
	wrap    func(map[string]actions.Hands)
	journal func(actions.Journal) actions.Journal
	dial    func(node string) postgres.DialFunc
}

// newService opens and wires everything; nothing runs yet. On an error nothing
// stays open.
func newService(cfg config.Config, secrets config.Secrets, log *slog.Logger, test seams) (*service, error) {
	s := &service{log: log, cfg: cfg}
	for _, open := range []func() error{
		s.openStore,
		func() error { return s.openDirectory(secrets) },
		func() error { return s.openDesk(secrets, test) },
		func() error { return s.openBot(secrets) },
		s.openWatch,
		s.openListeners,
	} {
		if err := open(); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *service) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *service) close() error {
	var errs []error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		errs = append(errs, s.closers[last]())
		s.closers = s.closers[:last]
	}
	return errors.Join(errs...)
}

func (s *service) openStore() (err error) {
	s.store, err = store.Open(s.cfg.Store, store.Options{Log: s.log, SampleAge: s.cfg.Schedule.KeepSamples.Std()})
	if err == nil {
		s.onClose(s.store.Close)
	}
	return err
}

func (s *service) openDesk(secrets config.Secrets, test seams) error {
	hands, closeHands, err := handsOf(s.cfg, secrets, test.dial)
	if err != nil {
		return err
	}
	s.onClose(func() error { closeHands(); return nil })
	s.hands = hands
	if test.wrap != nil {
		test.wrap(hands)
	}
	if err := s.openCodes(secrets); err != nil {
		return err
	}
	journal := actions.Journal(s.store)
	if test.journal != nil {
		journal = test.journal(journal)
	}
	o := actions.Options{
		Pairs: s.cfg.DomainPairs(), Hands: hands, Policy: s.cfg.Policy.Domain(),
		Directory: s.directory, Roster: s.roster, Store: s.store, Journal: journal, Memory: s.store, Archive: s.store,
		Timeouts: s.cfg.Timeouts.Domain(), Thresholds: s.cfg.Thresholds.Domain(),
		Now: time.Now, NewID: func() string { return ulid.Make().String() }, NewNonce: rand.Text,
		Log: s.log, At: test.at,
	}
	if s.codes != nil { // a nil *Codes is no nil approvals.Codes
		o.Factors, o.Codes = s.store, s.codes
	}
	s.desk, err = actions.NewDesk(o)
	return err
}

func (s *service) openCodes(secrets config.Secrets) (err error) {
	var former *totp.Codes
	if s.codes, former, err = codesOf(secrets); err != nil {
		return err
	}
	return errors.Join(rekey(context.Background(), s.store, s.codes, former, s.log), s.warnOfFew())
}

// warnOfFew says that nothing can be approved until more people are enrolled.
func (s *service) warnOfFew() error {
	factors, err := s.store.Factors(context.Background())
	if rule := s.cfg.Policy.Domain().Factor; rule == approvals.FactorRequired && len(factors) < approvals.Required {
		s.log.Warn("one-time codes are required, and too few people have them: nothing can be approved; enrol them with `bot otp enroll`", "enrolled", len(factors))
	}
	return err
}

// openBot comes after the desk, which it serves; the directory of accounts, which
// the desk asks, comes before.
func (s *service) openBot(secrets config.Secrets) (err error) {
	o := s.slackOptions(secrets)
	o.Desk, o.Outbox = s.desk, s.store
	o.Ready = []bot.Readiness{{Name: "store", Check: s.store.Writable}}
	s.bot, err = bot.New(o)
	return err
}

func (s *service) openDirectory(secrets config.Secrets) (err error) {
	if s.directory, err = bot.NewDirectory(s.slackOptions(secrets)); err != nil || s.cfg.Policy.ApproverGroup == "" {
		return err
	}
	group, err := bot.NewRoster(s.slackOptions(secrets))
	s.roster = roster{group, s}
	return err
}

func (s *service) slackOptions(secrets config.Secrets) bot.Options {
	return bot.Options{
		Team: s.cfg.Slack.Team, Channel: s.cfg.Slack.Channel, UserGroup: s.cfg.Policy.ApproverGroup, APIURL: s.cfg.Slack.APIURL,
		Token: secrets.SlackToken, SigningSecret: secrets.SigningSecret, AppToken: secrets.AppToken,
		People: s.people(), Log: s.log, Alerts: bot.Alerts{Mention: s.cfg.Alerts.Mention, Runbook: s.cfg.Alerts.Runbook},
	}
}

func (s *service) asking() asking {
	return asking{desk: s.desk, bot: s.bot, slack: s.cfg.Slack, approvers: s.cfg.Policy.Accounts(), people: s.people(),
		listed: s.cfg.Policy.Domain().Approvers, rule: s.cfg.Policy.Domain().Factor}
}

// people maps the Slack team's accounts to persons.
func (s *service) people() bot.People {
	byUser := map[string]approvals.Person{}
	for who, account := range s.cfg.Policy.Accounts() {
		byUser[account] = who
	}
	return bot.People{Team: s.cfg.Slack.Team, ByUser: byUser}
}

func (s *service) openWatch() (err error) {
	s.watch, err = watch.New(watch.Options{
		Desk: s.desk, Memory: s.store, Samples: s.store, Log: s.store,
		Check: s.cfg.Schedule.LagCheck, Report: s.cfg.Schedule.Report, Location: s.cfg.Schedule.Location(),
		Rules: s.rules(), Now: time.Now, Logger: s.log,
	})
	return err
}

// rules are those of the alerts.
func (s *service) rules() watch.Rules {
	t := s.cfg.Thresholds
	from, to := s.cfg.Alerts.QuietHours()
	return watch.Rules{
		For: t.LagFor.Std(), CriticalBytes: uint64(t.CriticalBytes), CriticalTime: t.CriticalTime.Std(), SlotBytes: uint64(t.SlotBytes),
		Quiet: watch.Quiet{From: from, To: to},
	}
}

func (s *service) openListeners() (err error) {
	if s.public, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("listen: %w; is another program on %s?", err, s.cfg.Listen)
	}
	s.onClose(func() error { return ignoreClosed(s.public.Close()) })
	if s.admin, err = listenAdmin(s.cfg.AdminSocket); err != nil {
		return err
	}
	s.onClose(func() error { return ignoreClosed(s.admin.Close()) })
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// run serves until ctx ends, then lets everything come to rest: first nothing
// new comes in and executions reach a place where they may stop, then the bot
// ends. What it could not deliver any more stays behind the delivery cursor for
// the next run.
func (s *service) run(ctx context.Context) error {
	if err := s.announcePolicy(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	delivery, stopDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivery()
	var outward errgroup.Group
	outward.Go(func() error { return s.bot.Run(delivery) })
	<-s.bot.Up()
	s.log.Info("ready", "listen", s.public.Addr().String(), "transport", s.cfg.Slack.Transport, "admin_socket", s.cfg.AdminSocket, "pairs", len(s.cfg.Pairs))
	inward, ictx := errgroup.WithContext(ctx)
	inward.Go(func() error { return serveHTTP(ictx, s.public, s.bot.Handler()) })
	inward.Go(func() error {
		return serveHTTP(ictx, s.admin, adminHandler(s.desk, s.asking(), otpKeeper{s.store, s.codes, s.asking()}, s.store))
	})
	inward.Go(func() error { return s.desk.Run(ictx) })
	inward.Go(func() error { return s.watch.Run(ictx) })
	inward.Go(func() error { return s.watchRoster(ictx) })
	inward.Go(func() error { return s.refreshEndpoints(ictx) })
	err := inward.Wait()
	stopDelivery()
	return errors.Join(err, outward.Wait())
}

// serveHTTP serves until ctx ends and gives open requests a moment to finish;
// those that take longer, a look at a server that hangs say, are cut off.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, ConnContext: withPeer}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(calm)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	})()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return <-stopped
}

func newLogger(cmdErr *os.File, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(cmdErr, &slog.HandlerOptions{Level: level}))
}
