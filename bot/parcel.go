package bot

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"twokey/approvals"
)

// parcel is one message that has to be sent or brought up to date.
type parcel struct {
	name   string
	seq    uint64 // of the first event that it delivers, 0 for none
	letter letterMaker

	progress time.Time // only progress to show: not before this
	next     time.Time // after a failure: not before this
	backoff  *backoff.ExponentialBackOff
	failedAt time.Time // first failure, zero for none
	level    int       // 0 as it is, 1 shorter, 2 plain text
	method   string    // that it needs next, as far as is known
	marked   bool      // this process stored that the post was begun
	begun    time.Time // when it was begun, as far as is known
	unsure   bool      // a post of this process may have arrived
	tried    time.Time // when such a post was last tried
	barred   string    // last code for which Slack refuses it, as logged

	news  *approvals.Event // that it tells alone; nil for another kind
	key   string           // of the place of such news
	alone bool             // it may be there already, so it isn't told together with others

	missed []approvals.Event // that it tells together
}

// letter is a parcel's content at this moment.
type letter struct {
	key       string // of its place in the outbox
	message   message
	once      bool // never updated
	onlyThere bool // updated where it was posted, not posted any more

	thread    string    // key of the message that it replies to; "" for none
	broadcast bool      // the reply stands in the channel, too
	again     time.Time // when its words will be others by themselves; zero for never
}

// letterMaker renders the present state. It returns false when there is nothing
// to send any more.
type letterMaker func(context.Context) (letter, bool, error)

// add makes a parcel, or adds an event to the one that waits under that name.
func (c *courier) add(name string, seq uint64, letter letterMaker) *parcel {
	if p, waiting := c.pending[name]; waiting {
		if p.seq == 0 {
			p.seq = seq
		}
		p.letter = letter
		return p
	}
	p := &parcel{name: name, seq: seq, letter: letter, progress: forever}
	c.pending[name] = p
	c.order = append(c.order, p)
	return p
}

var forever = time.Unix(1<<40, 0)

// now is for what people wait for.
func (p *parcel) now() { p.progress = time.Time{} }

// after lets progress wait, so that several steps become one update.
func (p *parcel) after(t time.Time) {
	if t.Before(p.progress) {
		p.progress = t
	}
}

// first puts a parcel before all others: people are called by it.
func (c *courier) first(p *parcel) {
	p.now()
	c.order = slices.DeleteFunc(c.order, func(o *parcel) bool { return o == p })
	c.order = slices.Insert(c.order, 0, p)
}

func (p *parcel) dueAt() time.Time {
	if p.progress.After(p.next) {
		return p.progress
	}
	return p.next
}

// due is the first parcel whose time has come, what people wait for before
// mere progress, or how long until one's has. News of one pair come in order.
func (c *courier) due() (*parcel, time.Duration) {
	now, wait := c.opt.Now(), c.opt.Pace.RetryMost
	var progress *parcel
	earlier := map[string]bool{} // subjects of which older news wait
	for _, p := range c.order {
		if p.news != nil && earlier[p.news.Subject] {
			continue
		}
		if p.news != nil && p.barred == "" {
			earlier[p.news.Subject] = true
		}
		left := max(p.dueAt().Sub(now), c.heldUntil[p.method].Sub(now))
		switch {
		case left > 0:
			wait = min(wait, left)
		case p.progress.IsZero():
			return p, 0
		case progress == nil:
			progress = p
		}
	}
	if progress != nil {
		return progress, 0
	}
	return nil, wait
}

func (c *courier) done(p *parcel) {
	delete(c.pending, p.name)
	c.order = slices.DeleteFunc(c.order, func(o *parcel) bool { return o == p })
}

func (c *courier) view(ctx context.Context, id string) (view, bool, error) {
	r, err := c.opt.Desk.Request(ctx, id)
	if approvals.Refused(err) == approvals.CodeUnknown { // purged meanwhile
		return view{}, false, nil
	}
	if err != nil {
		return view{}, false, err
	}
	journal, err := c.opt.Desk.Journal(ctx, id)
	return newView(r, journal, c.opt.Desk.Pairs(), c.opt.People, c.opt.Now()), err == nil, err
}

func (c *courier) requestLetter(id string) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		v, ok, err := c.view(ctx, id)
		if !ok {
			return letter{}, false, err
		}
		l := letter{key: requestKey(id), message: requestMessage(v), onlyThere: hasResult(v.request.State)}
		if v.request.State.Votable() {
			_, l.again = left(v.now, v.request.ExpiresAt)
		}
		return l, true, nil
	}
}

// hasResult says whether a message of its own tells how a request ended. One
// whose request was never shown then tells it alone.
func hasResult(s approvals.State) bool { return s.Ended() && s != approvals.Cancelled }

func (c *courier) resultLetter(id string, end auditHead) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		v, ok, err := c.view(ctx, id)
		if !ok {
			return letter{}, false, err
		}
		v.audit = end
		return letter{key: resultKey(id), message: resultMessage(v), once: true}, true, nil
	}
}

// heldLetter calls for a decision, and is updated when it was made.
func (c *courier) heldLetter(id string) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		v, ok, err := c.view(ctx, id)
		n := len(v.request.Pauses) - 1
		if !ok || n < 0 {
			return letter{}, false, err
		}
		held := v.request.State == approvals.Held
		return letter{key: heldKey(id, n), message: heldMessage(v), onlyThere: !held}, true, nil
	}
}

// reminderLetter calls those who have not voted, beside the request's message.
func (c *courier) reminderLetter(id string) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		v, ok, err := c.view(ctx, id)
		if !ok || (v.request.State != approvals.Pending && v.request.State != approvals.Partial) {
			return letter{}, false, err
		}
		return letter{key: reminderKey(id), message: reminderMessage(v), once: true, thread: requestKey(id), broadcast: true}, true, nil
	}
}

func newsLetter(e approvals.Event, people People) letterMaker {
	return func(context.Context) (letter, bool, error) {
		return letter{key: newsKey(e.Seq), message: newsMessage(e, people), once: true}, true, nil
	}
}
