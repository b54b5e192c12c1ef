package bot

import (
	"cmp"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"twokey/actions"
	"twokey/approvals"
)

// The actions of the Home's buttons, and the callbacks of its forms. Their value
// is the pair's name.
const (
	homePrefix = "home-"

	homeStatus   = homePrefix + verbStatus
	homeVerify   = homePrefix + verbVerify
	homeLag      = homePrefix + verbLag
	homePlan     = homePrefix + "plan"
	homeHistory  = homePrefix + verbHistory
	homeFailover = homePrefix + verbFailover
	homeRejoin   = homePrefix + verbRejoin
	homeDrill    = homePrefix + verbDrill
	homePause    = homePrefix + verbPause
	homeResume   = homePrefix + verbResume
)

const homePairs = 25 // with buttons; a view takes 100 blocks. Further ones are listed

// homeScene is everything that the Home is made from.
type homeScene struct {
	states     []actions.PairState
	promotions map[string]*approvals.Request // by pair; nil for none
	links      map[string]string             // of open requests
	people     People
	command    string
}

// homePage is the app's Home tab: what needs somebody first.
func homePage(s homeScene) *page {
	p := &page{}
	states := slices.Clone(s.states)
	slices.SortStableFunc(states, func(a, b actions.PairState) int { return cmp.Compare(urgency(b), urgency(a)) })
	p.header("%s", homeHeadline(states))
	for _, st := range states {
		if st.Open != nil {
			p.must(openLine(*st.Open, s.links[st.Open.ID], s.people))
		}
	}
	var rest []markup
	for i, st := range states {
		if i >= homePairs {
			rest = append(rest, stateLine(st))
			continue
		}
		p.divider()
		s.pair(p, st)
	}
	p.lines("*Further pairs*", rest)
	return p
}

// urgency orders pairs: the sick first, then the paused, then the well.
func urgency(s actions.PairState) int {
	n := 2 * s.Memory.Health.Severity()
	if s.Memory.Health == "" {
		n = 1
	}
	if s.Memory.Paused != nil {
		n++
	}
	return n
}

func homeHeadline(states []actions.PairState) markup {
	well, open := 0, 0
	for _, s := range states {
		if s.Memory.Health == actions.HealthOK {
			well++
		}
		if s.Open != nil {
			open++
		}
	}
	m := say("%d of %d %s well", well, len(states), plural(len(states), "pair"))
	if open > 0 {
		m += say(", %d open %s", open, plural(open, "request"))
	}
	return m
}

func healthSign(h actions.Health) markup {
	switch {
	case h == "":
		return ":grey_question:"
	case h.Severity() == 0:
		return ":large_green_circle:"
	case h.Severity() == 1:
		return ":large_blue_circle:"
	case h.Severity() == 2:
		return ":large_yellow_circle:"
	}
	return ":red_circle:"
}

// stateLine is a pair at a glance.
func stateLine(s actions.PairState) markup {
	m := s.Memory
	if m.Health == "" {
		return say("%s *%s*: not looked at yet", healthSign(""), s.Pair.Name)
	}
	line := say("%s *%s*: %s since %s", healthSign(m.Health), s.Pair.Name, string(m.Health), when(m.HealthSince))
	if !m.Unprotected.IsZero() {
		line += say(" · :rotating_light: *zero-loss guarantee off* since %s", when(m.Unprotected))
	}
	return line
}

func (s homeScene) pair(p *page, st actions.PairState) {
	m := stateLine(st)
	nodes := [2]string{st.Pair.Nodes[0].Name, st.Pair.Nodes[1].Name}
	if name := st.Memory.Primary; name != "" {
		m += say("\n%s is the primary, %s its standby", nodeIn(st.Pair, nil, name), nodeIn(st.Pair, nil, st.Pair.Partner(name).Name))
	} else {
		m += say("\n%s and %s", nodeIn(st.Pair, nil, nodes[0]), nodeIn(st.Pair, nil, nodes[1]))
	}
	if i := st.Memory.Incident; i != nil && !i.Over() {
		for _, t := range i.Lasting() {
			m += say("\n%s %s since %s", levelSign(t.Level), troubleTitle(t.Code), when(t.Since))
		}
	}
	if st.Memory.Paused != nil {
		m += "\n" + pausedLine(*st.Memory.Paused)
	}
	p.must(m + "\n" + promotionLine(s.promotions[st.Pair.Name]))
	p.actions(homeButtons(st)...)
}

// promotionLine is the last time that another node became the primary.
func promotionLine(r *approvals.Request) markup {
	if r == nil {
		return "No failover so far."
	}
	v := newView(*r, nil, nil, People{}, r.EndedAt)
	m := say("Last failover: %s %s, asked by %s", strings.ToLower(kindTitle(v.kind())), when(r.EndedAt), person(r.Requester))
	if v.outcome.WritePause > 0 {
		m += say(", writes paused for %s", took(v.outcome.WritePause))
	}
	return m + "."
}

func homeButtons(st actions.PairState) []button {
	name := st.Pair.Name
	all := []button{
		{action: homeStatus, label: "Status"}, {action: homeVerify, label: "Checks"}, {action: homeLag, label: "Lag"},
		{action: homePlan, label: "Plan"}, {action: homeHistory, label: "History"},
	}
	switch {
	case st.Memory.Paused != nil:
		all = append(all, button{action: homeResume, label: "Resume …"})
	case st.Open != nil:
		all = append(all, button{action: homePause, label: "Pause …"})
	default:
		all = append(all, button{action: homeFailover, label: "Fail over …", style: slack.StyleDanger}, button{action: homeDrill, label: "Drill …"}, button{action: homePause, label: "Pause …"})
		if st.Memory.RejoinWanted != "" {
			all = append(all, button{action: homeRejoin, label: "Rejoin …"})
		}
	}
	for i := range all {
		all[i].value = name
	}
	return all
}

// homeForm asks for what a command takes behind the pair: the reason.
func homeForm(action, pair string) (view slack.ModalViewRequest, ok bool) {
	var title, submit, about string
	optional := true
	switch action {
	case homeFailover:
		title, submit, about = "Fail over", "Ask", "The bot decides from what it sees whether this is a planned switchover or a disaster failover, and asks two approvers. Nothing runs before both agree."
	case homeRejoin:
		title, submit, about = "Rejoin", "Ask", "Asks two approvers to make the old primary the new standby."
	case homeDrill:
		title, submit, about = "Drill", "Ask", "A rehearsal: two approvers decide, then there is a dry run with a report. Nothing is changed."
	case homePause:
		title, submit, about, optional = "Pause", "Pause", "Nothing is carried out on the pair until an approver resumes it. You must be an approver; everybody will read the reason.", false
	case homeResume:
		title, submit, about = "Resume", "Resume", "Ends the pause. You must be an approver."
	default:
		return view, false
	}
	p := &page{}
	p.must(say("*%s*\n", pair) + esc(about))
	p.ask(input{id: inputText, label: "Reason", multiline: true, optional: optional})
	return p.view(action, title, submit, homeSheet{Pair: pair}.String()), true
}

func strangerHome(channel string) *page {
	p := &page{}
	p.header("twokey")
	p.must(say("Two-person PostgreSQL failover. It works in %s.", channelLink(channel)))
	return p
}
