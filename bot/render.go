package bot

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// view is everything that the messages about one request are made from. The
// functions that render it read nothing else: no clock, no store.
type view struct {
	request approvals.Request
	plan    actions.Plan // zero when it couldn't be read
	planned bool
	outcome actions.Outcome // zero until the execution ended
	journal []actions.Entry
	pair    actions.Pair // zero when it isn't configured any more
	audit   auditHead    // of the event that ended it; zero for not known
	people  People
	now     time.Time
}

// auditHead is a place in the audit log and the hash of its chain there, "" for
// not known. Whoever posts it where the store's owner can't change it makes
// tampering with the log visible: see `bot audit verify --head`.
type auditHead struct {
	seq  uint64
	hash string
}

func headOf(e approvals.Event) auditHead { return auditHead{seq: e.Seq, hash: e.Hash} }

func (h auditHead) markup() markup {
	m := say("audit entry %d", h.seq)
	if h.hash != "" {
		m += say(", chain %s", code(fmt.Sprintf("%d:%s", h.seq, h.hash)))
	}
	return m
}

// newView decodes what the request carries. Data that doesn't decode, or that
// doesn't read as the approved text, is no error: the text itself is what
// people approve, so it is shown instead.
func newView(r approvals.Request, journal []actions.Entry, pairs []actions.Pair, people People, now time.Time) view {
	v := view{request: r, journal: journal, people: people, now: now}
	v.planned = json.Unmarshal(r.Subject.Data, &v.plan) == nil && v.plan.Text() == r.Subject.Text
	if !v.planned {
		v.plan = actions.Plan{}
	}
	if len(r.Outcome) > 0 && json.Unmarshal(r.Outcome, &v.outcome) != nil {
		v.outcome = actions.Outcome{}
	}
	for _, p := range pairs {
		if p.Name == r.Subject.Pair {
			v.pair = p
		}
	}
	return v
}

// what names the request in a headline: "Switchover of orders". A drill is told
// apart at first sight.
func (v view) what() markup {
	if v.drill() && v.planned {
		return say("🧪 DRILL, nothing is changed: %s of %s", strings.ToLower(kindTitle(v.plan.Rehearses)), v.request.Subject.Pair)
	}
	return say("%s of %s", kindTitle(v.kind()), v.request.Subject.Pair)
}

func (v view) kind() actions.Kind { return actions.Kind(v.request.Subject.Kind) }

func (v view) drill() bool { return v.kind() == actions.KindDrill }

func kindTitle(k actions.Kind) string {
	switch k {
	case actions.KindSwitchover:
		return "Switchover"
	case actions.KindFailover:
		return "Disaster failover"
	case actions.KindRejoin:
		return "Rejoin"
	case actions.KindDrill:
		return "🧪 DRILL"
	}
	return "Request"
}

// node is a node with its address: as approved if the plan holds it, else as
// configured.
func (v view) node(name string) markup {
	return nodeIn(v.pair, v.plan.Facts, name)
}

func nodeIn(pair actions.Pair, facts actions.Facts, name string) markup {
	if name == "" {
		return "unknown"
	}
	for _, f := range facts {
		if f.Name == name+" address" && f.Value != "" {
			return say("*%s* (%s)", name, f.Value)
		}
	}
	if n, ok := pair.Node(name); ok {
		return say("*%s* (%s)", name, n.Addr())
	}
	return say("*%s*", name)
}

// bare is node for places without markup.
func (v view) bare(name string) string { return string(plain(v.node(name))) }

// move is the plan in one line.
func move(kind actions.Kind, from, to markup) markup {
	if kind == actions.KindRejoin {
		return say("%s becomes the standby of %s.", from, to)
	}
	return say("%s → %s", from, to)
}

// after is the policy in one sentence.
func after(p actions.Plan) markup {
	if p.Kind == actions.KindDrill { // what comes after it is none of its business
		return ""
	}
	switch p.After {
	case actions.Block:
		return say("Afterwards `block`: %s acknowledges a write only when its standby has it.", p.To)
	case actions.Degrade:
		return say("Afterwards `degrade`: %s takes writes alone; the guarantee is off until %s is its synchronous standby.", p.To, p.From)
	}
	return ""
}

// lossMark is the verdict at a glance.
func lossMark(l actions.Loss) markup {
	switch l {
	case actions.LossNone:
		return ":white_check_mark:"
	case actions.LossCertain:
		return ":rotating_light:"
	}
	return ":warning:"
}

// verdict is one line on what is lost, and how old that knowledge is.
func verdict(l actions.Loss, headline string, asOf time.Time) markup {
	m := say("%s *%s*", lossMark(l), headline)
	if !asOf.IsZero() {
		m += say(" As of %s.", when(asOf))
	}
	return m
}

// person names somebody; without calling on them where they have a name of
// ours. An account without one shows the name that Slack has for it.
func person(p approvals.Person) markup {
	if p == "" {
		return "twokey"
	}
	if _, user, nameless := parseStranger(p); nameless {
		return mention(user)
	}
	return say("*%s*", string(p))
}

// shortName is person for places that know no markup.
func shortName(p approvals.Person) string {
	if _, user, nameless := parseStranger(p); nameless {
		return user
	}
	return string(p)
}

var namelessPerson = regexp.MustCompile(`\b` + strangerPrefix + `[TE][A-Z0-9]+/([UW][A-Z0-9]+)\b`)

// named lets accounts without a name of ours, in a text made elsewhere, be shown
// with the name that Slack has for them.
func named(m markup) markup { return markup(namelessPerson.ReplaceAllString(string(m), "<@$1>")) }

// call names somebody so that Slack notifies them.
func (p People) call(who approvals.Person) markup {
	m := person(who)
	if _, _, nameless := parseStranger(who); nameless {
		return m
	}
	for _, user := range p.Accounts(who) {
		m += say(" %s", mention(user))
	}
	return m
}

// mention is only made of ids as Slack gives them: capitals and digits.
func mention(user string) markup {
	for _, r := range user {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return esc(user)
		}
	}
	return markup(fmt.Sprintf("<@%s>", user))
}

// checkLines shows what isn't fine with its reason, and names what is.
func checkLines(checks []actions.Check) []markup {
	var lines []markup
	var fine markup
	for _, c := range checks {
		if c.Status == actions.OK {
			if fine != "" {
				fine += " · "
			}
			fine += say("✓ %s", c.Title)
			continue
		}
		lines = append(lines, checkLine(c))
	}
	if fine != "" {
		lines = append(lines, fine)
	}
	return lines
}

// checkLine is one check with all that is known of it.
func checkLine(c actions.Check) markup {
	var m markup
	switch c.Status {
	case actions.OK:
		m = say("✓ %s", c.Title)
	case actions.Bad:
		m = say("✗ *%s*", c.Title)
	case actions.Warn:
		m = say("! %s", c.Title)
	default:
		why := strings.TrimPrefix(orElse(c.Detail, "nothing could be read"), "because ")
		return say("? %s: unknown, because %s", c.Title, why) + fix(c)
	}
	if c.Detail != "" {
		m += say(": %s", c.Detail)
	}
	return m + fix(c)
}

func fix(c actions.Check) markup {
	if c.Fix == "" || c.Status == actions.OK {
		return ""
	}
	return say("\n      → %s", c.Fix)
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// sentence ends a text with a full stop, where it has no end of its own.
func sentence(s string) string {
	s = oneLine(s)
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?:") {
		return s
	}
	return s + "."
}
