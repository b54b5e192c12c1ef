package bot

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// troubleTitle is a trouble in a headline's words.
func troubleTitle(code string) string {
	switch code {
	case actions.TroubleTwoPrimaries:
		return "two primaries"
	case actions.TroubleUnprotected:
		return "zero-loss guarantee off"
	case actions.TroubleNoPrimary:
		return "no primary"
	case actions.TroublePrimaryGone:
		return "the primary does not answer"
	case actions.TroubleUnseen:
		return "neither node answers"
	case actions.TroubleBlocked:
		return "writes block"
	case actions.TroubleSlotLost:
		return "the standby's slot is cut off"
	case actions.TroubleMismatch:
		return "not two nodes of one system"
	case actions.TroubleLagging:
		return "the standby lags"
	case actions.TroubleSlotGrowing:
		return "a replication slot keeps too much"
	case actions.TroubleStandbyUnseen:
		return "the standby does not answer the bot"
	}
	return code
}

// levelSign is in letters of its own: a header knows no markup.
func levelSign(l actions.Level) markup {
	switch l {
	case actions.LevelCritical:
		return "🚨"
	case actions.LevelWarning:
		return "⚠️"
	}
	return "✅"
}

// incidentMessage shows an incident as it is after its newest change.
func incidentMessage(e approvals.Event, a actions.Alert, how Alerts) message {
	p := &page{}
	i, lasting := a.Incident, a.Incident.Lasting()
	switch {
	case i.Over():
		p.header("✅ %s: over after %s", a.Pair, apart(i.Since, i.Ended))
		p.must(say("Now: *%s*. %s", string(a.Health), sentence(a.Text)))
	case len(lasting) == 0:
		p.header("%s %s: over for now, waiting", levelSign(actions.LevelWarning), a.Pair)
		p.must(say("%s", a.Text))
	default:
		p.header("%s %s: %s", levelSign(lasting[0].Level), a.Pair, troubleTitle(lasting[0].Code))
		p.must(say("%s", sentence(lasting[0].Text)) + call(i, how))
	}
	p.lines("", troubleLines(i))
	if i.Returns > 0 && !i.Over() {
		p.section(say("It came back %d %s. It counts as over only after a longer time without trouble.", i.Returns, plural(i.Returns, "time")))
	}
	pausedPart(p, a.Paused)
	if len(lasting) > 0 {
		p.section(runbookLine(lasting[0].Code, how))
	}
	p.context(when(e.At) + " · " + newsHead(e).markup())
	return p.message()
}

// call names the group that is called for what is severe.
func call(i actions.Incident, how Alerts) markup {
	if i.Worst < actions.LevelCritical || how.Mention == "" {
		return ""
	}
	return " " + mentionGroup(how.Mention)
}

// mentionGroup is only made of ids as Slack gives them.
func mentionGroup(id string) markup {
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return esc(id)
	}
	return markup("<!subteam^" + id + ">")
}

// troubleLines lists what was and is wrong, with its times.
func troubleLines(i actions.Incident) []markup {
	var lines []markup
	for _, t := range i.Troubles {
		if t.Until.IsZero() {
			lines = append(lines, say("%s *%s*, since %s", levelSign(t.Level), troubleTitle(t.Code), when(t.Since)))
			continue
		}
		lines = append(lines, say("✓ %s: from %s on, for %s", troubleTitle(t.Code), when(t.Since), apart(t.Since, t.Until)))
	}
	return lines
}

// runbookLine leads to what is to be done.
func runbookLine(trouble string, how Alerts) markup {
	if how.Runbook == "" {
		return say("What to do: `docs/alerts.md#%s`", trouble)
	}
	return say("<%s#%s|What to do>", markup(strings.NewReplacer("|", "%7C", " ", "%20", "<", "%3C", ">", "%3E").Replace(how.Runbook)), trouble)
}

// changeMessage is one change of an incident, as a reply.
func changeMessage(e approvals.Event, a actions.Alert, how Alerts) message {
	p := &page{}
	i, lasting := a.Incident, a.Incident.Lasting()
	switch {
	case i.Over():
		p.must(say("✅ *%s*: over after %s. %s", a.Pair, apart(i.Since, i.Ended), sentence(a.Text)))
	case len(lasting) == 0:
		p.must(say("%s", sentence(a.Text)))
	default:
		m := say("%s *%s*: %s", levelSign(lasting[0].Level), a.Pair, sentence(a.Text))
		if a.Call {
			m += call(i, how)
		}
		p.must(m)
	}
	p.context(when(e.At) + " · " + newsHead(e).markup())
	return p.message()
}

// groupMessage tells of several incidents that began at once.
func groupMessage(members []actions.PairState, how Alerts) message {
	p := &page{}
	var lasting, over []markup
	worst, codes := actions.LevelNone, map[string]bool{}
	first := members[0].Memory.Incident.Since
	for _, s := range members {
		i := *s.Memory.Incident
		worst = max(worst, i.Worst)
		if i.Since.Before(first) {
			first = i.Since
		}
		if t := i.Lasting(); len(t) > 0 {
			codes[t[0].Code] = true
			lasting = append(lasting, say("%s *%s*: %s, since %s", levelSign(t[0].Level), s.Pair.Name, troubleTitle(t[0].Code), when(t[0].Since)))
			continue
		}
		over = append(over, groupOverLine(s))
	}
	if len(lasting) == 0 {
		p.header("✅ %d pairs that had trouble at once: over", len(members))
	} else {
		p.header("%s Trouble with %d pairs at once, %d of them still", levelSign(worst), len(members), len(lasting))
	}
	m := say("Since %s. What they have in common is the first thing to look at: a site, a network, the bot's own connection.", when(first))
	p.must(m + call(actions.Incident{Worst: worst}, how))
	p.lines("*Still*", lasting)
	p.lines("*Over*", over)
	for _, code := range actions.TroubleCodes() {
		if codes[code] {
			p.section(runbookLine(code, how))
			break
		}
	}
	p.context("`status` shows how each of them is now.")
	return p.message()
}

func groupOverLine(s actions.PairState) markup {
	i := *s.Memory.Incident
	if !i.Over() {
		return say("✓ %s: over for now", s.Pair.Name)
	}
	return say("✓ %s: over after %s", s.Pair.Name, apart(i.Since, i.Ended))
}

func groupOverMessage(members []actions.PairState) message {
	p := &page{}
	first, last := members[0].Memory.Incident.Since, time.Time{}
	for _, s := range members {
		if s.Memory.Incident.Since.Before(first) {
			first = s.Memory.Incident.Since
		}
		if s.Memory.Incident.Ended.After(last) {
			last = s.Memory.Incident.Ended
		}
	}
	p.must(say("✅ *All %d pairs are well again*, after %s.", len(members), apart(first, last)))
	return p.message()
}

// sparkline is a day of lags, hour by hour; a dot stands for what is not known.
func sparkline(lag []*uint64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var most uint64
	for _, v := range lag {
		if v != nil {
			most = max(most, *v)
		}
	}
	var b strings.Builder
	for _, v := range lag {
		switch {
		case v == nil:
			b.WriteRune('·')
		case most == 0:
			b.WriteRune(bars[0])
		default:
			b.WriteRune(bars[int(float64(*v)/float64(most)*float64(len(bars)-1)+0.5)])
		}
	}
	return b.String()
}

// mostOf is the highest known lag, unknown where none is.
func mostOf(lag []*uint64) string {
	known := slices.DeleteFunc(slices.Clone(lag), func(v *uint64) bool { return v == nil })
	if len(known) == 0 {
		return unknown
	}
	return string(bytesOf(*slices.MaxFunc(known, func(a, b *uint64) int { return cmp.Compare(*a, *b) })))
}
