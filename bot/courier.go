package bot

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"twokey/approvals"
)

const (
	cursorName  = "slack"
	readAtOnce  = 500
	maxPending  = 1000 // parcels; beyond that the log is read on when there is room
	postBurst   = 2    // Slack allows a little more
	updateBurst = 5
)

// courier delivers what the audit log tells. One goroutine owns everything but
// the fields under mu, so the messages of a request leave in order.
type courier struct {
	opt   Options
	slack *client

	pending map[string]*parcel
	order   []*parcel // as they came; delivered ones are taken out
	read    uint64    // events up to here are delivered or pending
	settled uint64    // events up to here are delivered, as stored

	posts, updates *rate.Limiter        // of the channel; of the workspace
	heldUntil      map[string]time.Time // by method: to keep the pace, or because Slack said so
	shut           map[string]string    // by method: the code for which it works for no message
	search         search               // the last look for messages whose post may have arrived
	sent           map[string]string    // by key: what the message shows, as last sent
	shownAt        map[string]time.Time // by key: when it was last sent
	lastSuccess    time.Time
	unheard        int       // calls in a row that Slack didn't answer
	began          time.Time // when this process began to deliver

	nudge chan struct{}
	mu    sync.Mutex
	redo  []redo          // to deliver again
	worry string          // why messages don't leave
	links map[spot]string // a message's link never changes
}

func newCourier(o Options, slack *client) *courier {
	return &courier{
		opt: o, slack: slack, pending: map[string]*parcel{},
		posts: rate.NewLimiter(every(o.Pace.PostEvery), postBurst), updates: rate.NewLimiter(every(o.Pace.UpdateEvery), updateBurst),
		heldUntil: map[string]time.Time{}, shut: map[string]string{}, sent: map[string]string{}, shownAt: map[string]time.Time{},
		nudge: make(chan struct{}, 1), links: map[spot]string{},
	}
}

func every(d time.Duration) rate.Limit {
	if d <= 0 {
		return rate.Inf
	}
	return rate.Every(d)
}

// run delivers until ctx ends. What is pending then stays behind the cursor.
func (c *courier) run(ctx context.Context) {
	wake, cancel := c.opt.Outbox.Subscribe()
	defer cancel()
	for begun := false; ctx.Err() == nil; {
		if !begun {
			begun = c.begin(ctx) == nil
		}
		wait := c.opt.Pace.RetryMost
		if begun {
			wait = c.round(ctx)
		}
		c.sleep(ctx, wake, wait)
	}
}

// begin reads where the last run ended, and takes up the open requests: their
// messages may have been deleted, or be behind, while nobody ran.
func (c *courier) begin(ctx context.Context) error {
	at, err := c.opt.Outbox.Cursor(ctx, cursorName)
	if err != nil {
		c.opt.Log.Error("the delivery cursor can't be read", "error", err)
		return err
	}
	open, err := c.opt.Desk.Open(ctx)
	if err != nil {
		c.opt.Log.Error("open requests can't be read", "error", err)
		return err
	}
	c.read, c.settled, c.began = at, at, c.opt.Now()
	for _, r := range open {
		c.add(requestKey(r.ID), 0, c.requestLetter(r.ID)).now()
	}
	return nil
}

// round delivers all that is due and returns how long until more is.
func (c *courier) round(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		c.takeRedo()
		if err := c.collect(ctx); err != nil {
			c.opt.Log.Error("the audit log can't be read", "error", err)
			return c.opt.Pace.RetryMost
		}
		c.collapse(ctx)
		p, wait := c.due()
		if p == nil {
			c.settle(ctx)
			return wait
		}
		c.unhurried(ctx, func(ctx context.Context) { c.deliver(ctx, p) })
		c.settle(ctx)
	}
	return 0
}

// stopGrace is how long a call may go on when the bot stops.
const stopGrace = 5 * time.Second

// unhurried does not cut a call off at once when ctx ends: it may have arrived,
// and then the next process has to look for it.
func (c *courier) unhurried(ctx context.Context, do func(context.Context)) {
	calm, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errStopping)
		case <-calm.Done():
		}
	})()
	do(calm)
}

func (c *courier) sleep(ctx context.Context, wake <-chan struct{}, wait time.Duration) {
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-c.nudge:
	case <-timer.C:
	}
}

// collect turns new events into parcels.
func (c *courier) collect(ctx context.Context) error {
	for len(c.order) < maxPending {
		events, err := c.opt.Outbox.EventsAfter(ctx, c.read, readAtOnce)
		if err != nil {
			return err
		}
		for _, e := range events {
			c.take(e)
			c.read = e.Seq
		}
		if len(events) < readAtOnce {
			return nil
		}
	}
	return nil
}

// take makes or refreshes the parcels that an event asks for.
func (c *courier) take(e approvals.Event) {
	if a, ok := incidentOf(e); ok {
		c.takeIncident(e, a)
		return
	}
	if posted(e.Kind) {
		p := c.add(newsKey(e.Seq), e.Seq, newsLetter(e, c.opt.People))
		p.news, p.key, p.method = &e, newsKey(e.Seq), methodPost // known before it is tried, so that the first goes first
		p.now()
		return
	}
	id, ok := requestOf(e.Subject)
	if !ok {
		return
	}
	if e.Kind == approvals.Reminder {
		c.first(c.add(reminderKey(id), e.Seq, c.reminderLetter(id)))
		return
	}
	cause := approvals.Cause(e.Kind)
	if !known(cause) { // a step
		c.add(requestKey(id), e.Seq, c.requestLetter(id)).after(c.shownAt[requestKey(id)].Add(c.opt.Pace.StepEvery))
		return
	}
	c.add(requestKey(id), e.Seq, c.requestLetter(id)).now()
	switch cause {
	case approvals.Hold, approvals.Accept, approvals.Refuse, approvals.Lapse:
		c.first(c.add(requestKey(id)+"/held", e.Seq, c.heldLetter(id)))
	case approvals.Succeed, approvals.Abort, approvals.Fail, approvals.Lose, approvals.Deny, approvals.Expire, approvals.Outdate:
		c.first(c.add(resultKey(id), e.Seq, c.resultLetter(id, headOf(e))))
	}
}

func known(cause approvals.Cause) bool {
	for _, t := range approvals.Transitions() {
		if t.Cause == cause {
			return true
		}
	}
	return false
}

// settle moves the stored cursor past what is delivered or given up.
func (c *courier) settle(ctx context.Context) {
	upTo := c.read
	for _, p := range c.order {
		if p.seq > 0 {
			upTo = min(upTo, p.seq-1)
		}
	}
	if upTo <= c.settled {
		return
	}
	if err := c.opt.Outbox.Advance(ctx, cursorName, upTo); err != nil {
		c.opt.Log.Error("the delivery cursor can't be stored; after a restart some updates are sent again", "error", err)
		return
	}
	c.settled = upTo
}

// deleted posts the message of an open request again that somebody deleted.
func (c *courier) deleted(ctx context.Context, s spot) error {
	open, err := c.opt.Desk.Open(ctx)
	if err != nil {
		return err
	}
	for _, r := range open {
		keys := []string{requestKey(r.ID)}
		if r.State == approvals.Held { // its question calls people, too
			keys = append(keys, heldKey(r.ID, len(r.Pauses)-1))
		}
		for _, key := range keys {
			if err := c.repostAt(ctx, r.ID, key, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// repostAt posts a message of a request again, if it is the one that lay there.
func (c *courier) repostAt(ctx context.Context, id, key string, s spot) error {
	at, err := c.placeOf(ctx, key)
	if err != nil || !at.posted() || at.spot != s {
		return err
	}
	c.opt.Log.Warn("a message of an open request was deleted; it is posted again", "request", id, "key", key)
	if err := c.opt.Outbox.SetPlace(ctx, key, ""); err != nil {
		return err
	}
	c.again(redo{id, key})
	return nil
}

// redo is a message of a request that is to be delivered again.
type redo struct{ id, key string }

func (c *courier) again(r redo) {
	c.mu.Lock()
	c.redo = append(c.redo, r)
	c.mu.Unlock()
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

func (c *courier) takeRedo() {
	c.mu.Lock()
	all := c.redo
	c.redo = nil
	c.mu.Unlock()
	for _, r := range all {
		delete(c.sent, r.key)
		if r.key == requestKey(r.id) {
			c.add(r.key, 0, c.requestLetter(r.id)).now()
		} else {
			c.first(c.add(requestKey(r.id)+"/held", 0, c.heldLetter(r.id)))
		}
	}
}

func (c *courier) placeOf(ctx context.Context, key string) (place, error) {
	text, _, err := c.opt.Outbox.Place(ctx, key)
	return parsePlace(text), err
}

// places are those of several messages, without those that were never begun.
func (c *courier) places(ctx context.Context, keys []string) ([]place, error) {
	var out []place
	for _, k := range keys {
		p, err := c.placeOf(ctx, k)
		if err != nil {
			return nil, err
		}
		if p.posted() || p.open() {
			out = append(out, p)
		}
	}
	return out, nil
}

// link leads to a delivered message, "" when it can't be had.
func (c *courier) link(ctx context.Context, key string) string {
	at, err := c.placeOf(ctx, key)
	if err != nil || !at.posted() {
		return ""
	}
	if link, known := c.linkAt(at.spot); known {
		return link
	}
	link, err := c.slack.permalink(ctx, at.spot)
	if err != nil {
		c.opt.Log.Info("no link to a message", "key", key, "error", err)
		return ""
	}
	c.keepLink(at.spot, link)
	return link
}

func (c *courier) linkAt(s spot) (link string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	link, known = c.links[s]
	return link, known
}

func (c *courier) keepLink(s spot, link string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.links) >= maxRemember {
		clear(c.links)
	}
	c.links[s] = link
}

// linksTo leads to the messages of several requests, each looked up beside the
// others: Slack may be slow.
func (c *courier) linksTo(ctx context.Context, all []approvals.Request) map[string]string {
	found := make([]string, len(all))
	var looking sync.WaitGroup
	for i, r := range all {
		looking.Go(func() { found[i] = c.link(ctx, requestKey(r.ID)) })
	}
	looking.Wait()
	links := map[string]string{}
	for i, r := range all {
		links[r.ID] = found[i]
	}
	return links
}

func (c *courier) trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worry
}

func (c *courier) setWorry(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worry = text
}
