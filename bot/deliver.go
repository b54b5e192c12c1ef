package bot

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/slack-go/slack"
	"golang.org/x/time/rate"
)

const (
	methodPost    = "chat.postMessage"
	methodUpdate  = "chat.update"
	methodHistory = "conversations.history"
	methodReplies = "conversations.replies"

	clockSkew   = 5 * time.Minute // between the bot and Slack, when searching
	maxRemember = 2000            // messages of which it is known what they show
)

// deliver makes one attempt at a parcel. Whatever comes of it, the next parcel
// has its turn.
func (c *courier) deliver(ctx context.Context, p *parcel) {
	l, ok, err := p.letter(ctx)
	if err != nil {
		c.later(p, "rendering", err)
		return
	}
	at := place{}
	if ok {
		if at, err = c.placeOf(ctx, l.key); err != nil {
			c.later(p, "looking up its place", err)
			return
		}
	}
	switch {
	case !ok, at.posted() && l.once, !at.posted() && !at.open() && l.onlyThere:
		c.done(p)
	case at.posted():
		c.update(ctx, p, l, at.spot)
	default:
		c.post(ctx, p, l, at)
	}
}

// update brings a message up to date, unless it shows just that already.
func (c *courier) update(ctx context.Context, p *parcel, l letter, at spot) {
	m := l.message.at(p.level)
	if c.sent[l.key] == m.fingerprint() {
		c.finished(p, l)
		return
	}
	if !c.may(p, methodUpdate, c.updates) {
		return
	}
	if err := c.slack.update(ctx, at.channel, at.ts, m, metadata(l.key, p.seq)); err != nil {
		c.failed(ctx, p, l, methodUpdate, err)
		return
	}
	c.succeeded(p, l, m)
}

// finished is done for a message that is as it should be. One whose words will
// be others by themselves, because time runs out, is looked at again then.
func (c *courier) finished(p *parcel, l letter) {
	c.done(p)
	if !l.again.IsZero() {
		c.add(p.name, 0, p.letter).after(l.again)
	}
}

// post sends a new message. That it was begun is stored first: if the bot ends
// before the answer is stored, or the answer never comes, the channel is
// searched for the message before it is posted again.
func (c *courier) post(ctx context.Context, p *parcel, l letter, at place) {
	if at.open() && (p.unsure || !p.marked) {
		if over := c.recover(ctx, p, l, at); over {
			return
		}
	}
	if l.onlyThere { // it was begun and isn't there
		c.forget(ctx, p, l)
		return
	}
	thread, ok := c.threadOf(ctx, p, l)
	if !ok || !c.may(p, methodPost, c.posts) {
		return
	}
	if !at.open() {
		at = place{spot: spot{channel: c.opt.Channel}, begun: c.opt.Now()}
		if err := c.opt.Outbox.SetPlace(ctx, l.key, at.String()); err != nil {
			c.later(p, "storing that it is about to be posted", err)
			return
		}
	}
	p.marked, p.begun = true, at.begun
	m := l.message.at(p.level)
	ts, err := c.slack.post(ctx, c.opt.Channel, m, append(thread, metadata(l.key, p.seq))...)
	if err != nil {
		c.failed(ctx, p, l, methodPost, err)
		return
	}
	c.placed(ctx, p, l, m, spot{channel: c.opt.Channel, ts: ts})
}

// placed stores where a message lies. Should that fail, it is found again by
// its metadata.
func (c *courier) placed(ctx context.Context, p *parcel, l letter, m message, at spot) {
	if err := c.opt.Outbox.SetPlace(context.WithoutCancel(ctx), l.key, place{spot: at}.String()); err != nil {
		p.unsure, p.tried = true, c.opt.Now()
		c.later(p, "storing where it lies", err)
		return
	}
	c.succeeded(p, l, m)
}

// threadOf is how a message is posted as a reply. It waits for the message that
// it replies to; where that one isn't to be had, it is posted by itself.
func (c *courier) threadOf(ctx context.Context, p *parcel, l letter) (how []slack.MsgOption, ok bool) {
	if l.thread == "" {
		return nil, true
	}
	parent, err := c.placeOf(ctx, l.thread)
	switch _, waits := c.pending[l.thread]; {
	case err != nil:
		c.later(p, "looking up the message that it replies to", err)
		return nil, false
	case parent.posted():
		how = []slack.MsgOption{slack.MsgOptionTS(parent.spot.ts)}
		if l.broadcast {
			how = append(how, slack.MsgOptionBroadcast())
		}
	case waits:
		p.next = c.opt.Now().Add(c.opt.Pace.RetryFirst)
		return nil, false
	}
	return how, true
}

// recover searches the channel for a message whose post may have arrived, and
// says whether this attempt is over: it was found, or the search must wait.
func (c *courier) recover(ctx context.Context, p *parcel, l letter, at place) bool {
	p.begun, p.alone = at.begun, true
	ts, waits, err := c.lookFor(ctx, p, l, at)
	if waits {
		return true
	}
	if err != nil && c.waitToLook(ctx, p, l, err) {
		return true
	}
	if err != nil { // a double is better than silence
		c.opt.Log.Error("the channel can't be searched, so a message may be posted twice", "key", l.key,
			"code", apiCode(err), "remedy", remedy(apiCode(err)), "error", err)
		return false
	}
	if ts == "" {
		p.unsure, p.marked, p.alone = false, true, false
		return p.news != nil && c.old(p) // it may be told together with others
	}
	found := place{spot: spot{channel: at.spot.channel, ts: ts}}
	if err := c.opt.Outbox.SetPlace(ctx, l.key, found.String()); err != nil {
		c.later(p, "storing where it lies", err)
		return true
	}
	if l.once {
		c.done(p)
	}
	return true // the next turn updates it
}

// waitToLook lets a message wait until the channel can be searched, and says so.
// What keeps the bot from reading alone, such as a scope, doesn't go away by
// itself; neither does what nobody knows, after a while.
func (c *courier) waitToLook(ctx context.Context, p *parcel, l letter, err error) bool {
	f, _ := fateOf(err)
	switch {
	case readsAlone(apiCode(err)):
		return false
	case f == fateTooBig, f == fateGone, f == fateBarred:
		if !p.failedAt.IsZero() && c.opt.Now().Sub(p.failedAt) >= c.opt.Pace.GiveUp {
			return false
		}
		c.later(p, methodHistory, err)
	default:
		c.failed(ctx, p, l, methodHistory, err)
	}
	return true
}

// forget gives up a message that is not worth posting any more. Should that
// fail, its place is looked at again after a restart, and found empty.
func (c *courier) forget(ctx context.Context, p *parcel, l letter) {
	c.done(p)
	if err := c.opt.Outbox.SetPlace(ctx, l.key, ""); err != nil {
		c.opt.Log.Warn("the place of a message that isn't posted can't be forgotten", "key", l.key, "error", err)
	}
}

// search is what one look through the channel found: where each message lies,
// by its key.
type search struct {
	at, since time.Time
	found     map[string]string
}

const searchAge = 30 * time.Second // how long one counts for messages that were tried before it

// lookFor searches the channel for a message, once for all that wait. With
// waits set the search can't be made now.
func (c *courier) lookFor(ctx context.Context, p *parcel, l letter, at place) (ts string, waits bool, err error) {
	if l.thread != "" && !l.broadcast { // the channel's history doesn't have it
		return c.lookInThread(ctx, p, l, at)
	}
	key := l.key
	now, since := c.opt.Now(), at.begun.Add(-clockSkew)
	if s := c.search; !s.at.Before(c.settledAt(p)) && now.Sub(s.at) < searchAge && !since.Before(s.since) {
		return s.found[key], false, nil
	}
	if settled := c.settledAt(p); now.Before(settled) {
		p.next = settled
		return "", true, nil
	}
	if !c.may(p, methodHistory, nil) {
		return "", true, nil
	}
	for _, o := range c.order {
		if begun := o.begun.Add(-clockSkew); o.unsure && begun.Before(since) {
			since = begun
		}
	}
	found, err := c.slack.deliveries(ctx, at.spot.channel, since)
	if err != nil {
		return "", false, err
	}
	c.search = search{at: now, since: since, found: found}
	return found[key], false, nil
}

// lookInThread is lookFor for a reply that stands in its thread alone.
func (c *courier) lookInThread(ctx context.Context, p *parcel, l letter, at place) (ts string, waits bool, err error) {
	if settled := c.settledAt(p); c.opt.Now().Before(settled) {
		p.next = settled
		return "", true, nil
	}
	parent, err := c.placeOf(ctx, l.thread)
	if err != nil || !parent.posted() {
		return "", false, err
	}
	if !c.may(p, methodReplies, nil) {
		return "", true, nil
	}
	found, err := c.slack.replies(ctx, parent.spot, at.begun.Add(-clockSkew))
	return found[l.key], false, err
}

// settledAt is when a post that may have been sent has arrived, or never will.
func (c *courier) settledAt(p *parcel) time.Time {
	if !p.marked { // begun by an earlier process, who knows when it ended
		return c.began.Add(c.opt.Pace.Settle)
	}
	return p.tried.Add(c.opt.Pace.Settle)
}

// may says whether a method may be called now; if not, the parcel waits, and
// with it all that need the same, so that the first goes first.
func (c *courier) may(p *parcel, method string, limit *rate.Limiter) bool {
	now := c.opt.Now()
	p.method = method
	if now.Before(c.heldUntil[method]) {
		return false
	}
	if limit == nil {
		return true
	}
	if r := limit.ReserveN(now, 1); r.DelayFrom(now) > 0 {
		c.heldUntil[method] = now.Add(r.DelayFrom(now))
		r.CancelAt(now)
		return false
	}
	return true
}

func (c *courier) succeeded(p *parcel, l letter, m message) {
	if len(c.sent) > maxRemember {
		clear(c.sent)
		clear(c.shownAt)
	}
	now := c.opt.Now()
	c.sent[l.key], c.shownAt[l.key], c.lastSuccess = m.fingerprint(), now, now
	clear(c.shut)
	c.setWorry("")
	c.heard()
	c.finished(p, l)
}

// outage is how many calls in a row without an answer are one.
const outage = 3

// heard lets what waited out an outage go at once: each had its own pause, and
// some of them are long by then.
func (c *courier) heard() {
	if c.unheard >= outage {
		for _, p := range c.pending {
			if p.backoff != nil && p.barred == "" {
				p.next = time.Time{}
			}
		}
	}
	c.unheard = 0
}

// failed decides what becomes of a parcel after a call of Slack failed.
func (c *courier) failed(ctx context.Context, p *parcel, l letter, method string, err error) {
	f, after := fateOf(err)
	switch f {
	case fateLimited:
		wait := after + time.Duration(rand.Int64N(int64(100*time.Millisecond)))
		c.heldUntil[method] = c.opt.Now().Add(wait)
		c.opt.Log.Info("slack limits the rate", "method", method, "retry_after", after)
	case fateTooBig:
		c.shrink(p, l, method, err)
	case fateGone:
		c.repost(ctx, p, l, method, err)
	case fateShut:
		c.shutBy(method, err)
	case fateBarred:
		c.barredBy(p, l, method, err)
	case fateUncertain, fateNotSent:
		if method == methodPost && f == fateUncertain {
			p.unsure, p.tried = true, c.opt.Now()
		}
		c.unheard++
		c.later(p, method, err)
	}
}

// shutBy handles what keeps every message out until people remove it: logged
// with the remedy once, tried again slowly with one message, never given up.
func (c *courier) shutBy(method string, err error) {
	code := apiCode(err)
	c.setWorry(method + " fails: " + worryText(err)) // who reads the line may look at /readyz at once
	if c.shut[method] != code {
		c.shut[method] = code
		c.opt.Log.Error("slack takes no messages; they are kept until it does", "method", method, "code", code, "remedy", remedy(code), "channel", c.opt.Channel)
	}
	c.heldUntil[method] = c.opt.Now().Add(c.opt.Pace.RetryMost)
}

// shrink tries a simpler form of the message, and in the end leaves it.
func (c *courier) shrink(p *parcel, l letter, method string, err error) {
	p.level++
	c.opt.Log.Error("slack refuses a message's form; trying a simpler one", "key", l.key, "method", method, "code", apiCode(err), "level", p.level, "error", err)
	if p.level > levelPlain {
		c.opt.Log.Error("a message can't be delivered in any form and is left out", "key", l.key, "code", apiCode(err))
		c.done(p)
	}
}

// repost forgets where a message lay that isn't there any more.
func (c *courier) repost(ctx context.Context, p *parcel, l letter, method string, err error) {
	if method != methodUpdate {
		c.barredBy(p, l, method, err)
		return
	}
	c.opt.Log.Warn("a message is gone or can't be changed; it is posted again", "key", l.key, "code", apiCode(err))
	p.marked, p.unsure = false, false
	if err := c.opt.Outbox.SetPlace(ctx, l.key, ""); err != nil {
		c.later(p, "forgetting its place", err)
	}
}

// barredBy handles a refusal of this message alone: logged, tried again slowly,
// given up in the end.
func (c *courier) barredBy(p *parcel, l letter, method string, err error) {
	code := apiCode(err)
	if p.barred != code {
		p.barred = code
		c.opt.Log.Error("slack refuses a message", "key", l.key, "method", method, "code", code, "remedy", remedy(code), "channel", c.opt.Channel)
	}
	c.later(p, method, err)
	p.next = c.opt.Now().Add(max(c.opt.Pace.RetryMost, p.next.Sub(c.opt.Now())))
	if c.opt.Now().Sub(p.failedAt) >= c.opt.Pace.GiveUp {
		c.opt.Log.Error("a message is given up", "key", l.key, "code", code, "remedy", remedy(code))
		c.done(p)
	}
}

// later lets a parcel wait, longer each time. One that fails on and on while
// others get through is given up.
func (c *courier) later(p *parcel, doing string, err error) {
	now := c.opt.Now()
	if p.backoff == nil {
		p.failedAt = now
		p.backoff = &backoff.ExponentialBackOff{
			InitialInterval: c.opt.Pace.RetryFirst, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: c.opt.Pace.RetryMost,
		}
	}
	p.next = now.Add(p.backoff.NextBackOff())
	c.setWorry(doing + " fails: " + worryText(err))
	c.opt.Log.Warn("a message waits", "name", p.name, "doing", doing, "until", p.next, "error", err)
	if deadline := p.failedAt.Add(c.opt.Pace.GiveUp); now.After(deadline) && c.lastSuccess.After(deadline) {
		c.opt.Log.Error("a message fails on and on while others get through; it is given up", "name", p.name, "error", err)
		c.done(p)
	}
}

// worryText is an error for /readyz: Slack's code, or its class alone.
func worryText(err error) string {
	if code := apiCode(err); code != "" {
		return code + ": " + remedy(code)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "see the log"
}

const levelPlain = 2

// at is the message in a form that is simpler with each level.
func (m message) at(level int) message {
	switch level {
	case 0:
		return m
	case 1:
		return message{text: m.text, blocks: m.short}
	}
	return message{text: m.text}
}

// fingerprint tells messages apart by all that is shown.
func (m message) fingerprint() string {
	raw, err := json.Marshal(m.blocks)
	if err != nil { // blocks are plain data
		panic(err)
	}
	sum := sha256.Sum256(append(raw, m.text...))
	return string(sum[:])
}
