package bot

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"twokey/actions"
	"twokey/approvals"
)

const (
	missedName = "missed"
	missedMost = 30 // lines; what came earlier is counted
)

func missedKey(first uint64) string { return missedName + "/" + strconv.FormatUint(first, 10) }

// old says whether the news of a parcel are over by the time they are told, and
// of a kind that many of can be told together.
func (c *courier) old(p *parcel) bool {
	switch p.news.Kind {
	case actions.NewsAlert, actions.NewsRecovered, actions.NewsReport:
		return c.opt.Now().Sub(p.news.At) >= c.opt.Pace.Stale
	}
	return false
}

// collapse makes one message of the news that couldn't be told in time, so that
// an outage isn't followed by a page of alerts that are over.
func (c *courier) collapse(ctx context.Context) {
	var old []*parcel
	for _, p := range c.order {
		if p.news != nil && !p.unsure && !p.alone && c.old(p) && c.surelyUnsent(ctx, p) {
			old = append(old, p)
		}
	}
	together, waiting := c.pending[missedName]
	if len(old) == 0 || (len(old) == 1 && !waiting) {
		return
	}
	if !waiting {
		together = c.before(old[0], missedName)
	}
	for _, p := range old {
		together.missed = append(together.missed, *p.news)
		c.forget(ctx, p, letter{key: p.key})
	}
	slices.SortFunc(together.missed, func(a, b approvals.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	together.letter = missedLetter(together.seq, slices.Clone(together.missed))
}

// before makes a parcel that has its turn in place of another.
func (c *courier) before(other *parcel, name string) *parcel {
	p := c.add(name, other.seq, nil)
	p.method = methodPost
	p.now()
	c.order = slices.DeleteFunc(c.order, func(o *parcel) bool { return o == p })
	c.order = slices.Insert(c.order, slices.Index(c.order, other), p)
	return p
}

// surelyUnsent says that nobody can have seen a message. One that an earlier
// process began has to be looked for by itself.
func (c *courier) surelyUnsent(ctx context.Context, p *parcel) bool {
	at, err := c.placeOf(ctx, p.key)
	if err != nil {
		return false
	}
	p.alone = at.posted() || (at.open() && !p.marked)
	return !p.alone
}

func missedLetter(first uint64, events []approvals.Event) letterMaker {
	return func(context.Context) (letter, bool, error) {
		return letter{key: missedKey(first), message: missedMessage(events)}, true, nil
	}
}

// missedMessage tells in one line each what couldn't be told when it happened.
func missedMessage(events []approvals.Event) message {
	first, last := events[0], events[len(events)-1]
	p := &page{}
	p.header("Told late: %d messages that Slack didn't take in time", len(events))
	p.must(say("From %s to %s. `status` shows how things are now.", when(first.At), when(last.At)))
	var lines []markup
	for _, e := range events[max(0, len(events)-missedMost):] {
		lines = append(lines, missedLine(e))
	}
	if more := len(events) - len(lines); more > 0 {
		lines = slices.Insert(lines, 0, say("• … and %d earlier ones", more))
	}
	p.lines("", lines)
	p.context(say("audit entries %d to %d", first.Seq, last.Seq))
	return p.message()
}

func missedLine(e approvals.Event) markup {
	var n news
	if json.Unmarshal(e.Data, &n) != nil {
		return say("• %s: news of kind %s", when(e.At), e.Kind)
	}
	switch e.Kind {
	case actions.NewsAlert:
		return say("• %s: %s *%s*: %s. %s", when(e.At), n.sign(), n.Pair, string(n.Health), n.Text)
	case actions.NewsRecovered:
		return say("• %s: ✅ *%s*: %s again, after %s", when(e.At), n.Pair, string(n.Health), apart(n.Since, e.At))
	}
	unwell := 0
	for _, r := range n.Rows {
		if r.Health.Severity() > 0 {
			unwell++
		}
	}
	return say("• %s: health report, %d of %d pairs were well", when(e.At), len(n.Rows)-unwell, len(n.Rows))
}
