package bot

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"twokey/actions"
	"twokey/approvals"
)

const (
	mostViewers  = 200              // whose Home is kept current; who opened it longest ago goes first
	viewerFor    = 24 * time.Hour   // after opening it
	promotionAge = 10 * time.Minute // how long the last failovers are remembered without being read again
	publishBurst = 5
	publishEvery = time.Second // Slack takes about 100 a minute
)

// homes keeps the Home of those current who have opened it. What is shown is
// what was last seen: it looks at no pair.
type homes struct {
	opt   Options
	slack *client
	link  func(context.Context, string) string

	sending sync.Mutex // held while something is published, so that the newest is last
	budget  *rate.Limiter
	known   promotions // under sending

	mu      sync.Mutex
	viewers map[string]*viewer // by user
}

type viewer struct {
	opened time.Time
	shown  string // fingerprint
}

// promotions are the pairs' last failovers, and when they were read.
type promotions struct {
	at     time.Time
	open   string // ids of the requests that were open then
	byPair map[string]*approvals.Request
}

func newHomes(o Options, c *client, link func(context.Context, string) string) *homes {
	return &homes{opt: o, slack: c, link: link, budget: rate.NewLimiter(every(publishEvery), publishBurst), viewers: map[string]*viewer{}}
}

// opened shows the Home to somebody who has just opened it. Hosts and plans are
// nobody's business but that of the people of the directory.
func (h *homes) opened(ctx context.Context, user string) error {
	if _, listed := h.opt.People.ByUser[user]; !listed {
		return h.slack.publish(ctx, user, strangerHome(h.opt.Channel).home())
	}
	h.mu.Lock()
	h.viewers[user] = &viewer{opened: h.opt.Now()}
	h.forgetOld()
	h.mu.Unlock()
	return h.refresh(ctx, user)
}

func (h *homes) forgetOld() {
	oldest, at := "", time.Time{}
	for user, v := range h.viewers {
		if h.opt.Now().Sub(v.opened) > viewerFor {
			delete(h.viewers, user)
		} else if oldest == "" || v.opened.Before(at) {
			oldest, at = user, v.opened
		}
	}
	if len(h.viewers) > mostViewers {
		delete(h.viewers, oldest)
	}
}

// run publishes again what has changed, until ctx ends.
func (h *homes) run(ctx context.Context) {
	wake, cancel := h.opt.Outbox.Subscribe()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if users := h.watching(); len(users) > 0 {
			if err := h.refresh(ctx, users...); err != nil && ctx.Err() == nil {
				h.opt.Log.Info("the app's Home is behind", "code", apiCode(err), "error", err)
			}
			sleepFor(ctx, h.opt.Pace.HomeEvery) // what changes meanwhile becomes one
		}
	}
}

func (h *homes) watching() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetOld()
	users := make([]string, 0, len(h.viewers))
	for user := range h.viewers {
		users = append(users, user)
	}
	slices.Sort(users)
	return users
}

// refresh shows the present state to those who don't see it yet.
func (h *homes) refresh(ctx context.Context, users ...string) error {
	h.sending.Lock()
	defer h.sending.Unlock()
	p, err := h.render(ctx)
	if err != nil {
		return err
	}
	shows := p.message().fingerprint()
	p.context(say("Shown at %s, and again when something changes. `%s help` lists the commands.", when(h.opt.Now()), h.opt.Command))
	view := p.home()
	var errs []error
	for _, user := range users {
		if h.shows(user) == shows {
			continue
		}
		if err := h.publish(ctx, user, view); err != nil {
			errs = append(errs, err)
			continue
		}
		h.setShown(user, shows)
	}
	return errors.Join(errs...)
}

// publish keeps to the budget, and waits once when Slack says so.
func (h *homes) publish(ctx context.Context, user string, view slack.HomeTabViewRequest) error {
	if err := h.budget.Wait(ctx); err != nil {
		return err
	}
	err := h.slack.publish(ctx, user, view)
	if f, after := fateOf(err); err != nil && f == fateLimited {
		sleepFor(ctx, min(after, h.opt.Pace.RetryMost))
		err = h.slack.publish(ctx, user, view)
	}
	if code := apiCode(err); code == "user_not_found" || code == "not_enabled" {
		h.mu.Lock()
		delete(h.viewers, user)
		h.mu.Unlock()
	}
	return err
}

func (h *homes) shows(user string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.viewers[user]; ok {
		return v.shown
	}
	return ""
}

func (h *homes) setShown(user, fingerprint string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.viewers[user]; ok {
		v.shown = fingerprint
	}
}

func (h *homes) render(ctx context.Context) (*page, error) {
	states, err := h.opt.Desk.Overview(ctx)
	if err != nil {
		return nil, err
	}
	s := homeScene{states: states, links: map[string]string{}, people: h.opt.People, command: h.opt.Command}
	for _, st := range states {
		if st.Open != nil {
			s.links[st.Open.ID] = h.link(ctx, requestKey(st.Open.ID))
		}
	}
	s.promotions, err = h.promotions(ctx, states)
	return homePage(s), err
}

// promotions are read again when a request was opened or has ended.
func (h *homes) promotions(ctx context.Context, states []actions.PairState) (map[string]*approvals.Request, error) {
	var open []string
	for _, st := range states {
		if st.Open != nil {
			open = append(open, st.Open.ID)
		}
	}
	ids, now := strings.Join(open, " "), h.opt.Now()
	if h.known.byPair != nil && h.known.open == ids && now.Sub(h.known.at) < promotionAge {
		return h.known.byPair, nil
	}
	byPair := map[string]*approvals.Request{}
	for _, st := range states {
		r, err := h.opt.Desk.LastPromotion(ctx, st.Pair.Name)
		if err != nil {
			return nil, err
		}
		byPair[st.Pair.Name] = r
	}
	h.known = promotions{at: now, open: ids, byPair: byPair}
	return byPair, nil
}
