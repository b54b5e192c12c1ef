package bot

import (
	"encoding/json"

	"twokey/actions"
	"twokey/approvals"
)

// factorMessage tells of somebody's second factor; everybody learns of it, and
// the person is called: if it was not them, they are the ones who know.
func factorMessage(e approvals.Event, people People) (message, bool) {
	var change actions.FactorChange
	var lock approvals.FactorData
	p := &page{}
	switch e.Kind {
	case actions.NewsEnrolled, actions.NewsRemoved:
		if json.Unmarshal(e.Data, &change) != nil {
			return rawNews(e), true
		}
		factorChanged(p, e.Kind, change, people)
	case approvals.EventCodeLocked:
		if json.Unmarshal(e.Data, &lock) != nil {
			return rawNews(e), true
		}
		p.header("🚨 Too many wrong codes: %s", shortName(e.Actor))
		p.must(say("%d wrong one-time codes were typed as %s. No code of theirs is taken until %s.", lock.Tries, people.call(e.Actor), when(lock.Until)))
		p.section("If that was not you, somebody uses your Slack account: sign out everywhere, and tell the others.")
	default:
		return message{}, false
	}
	p.context(when(e.At) + " · " + headOf(e).markup())
	return p.message(), true
}

func factorChanged(p *page, kind string, c actions.FactorChange, people People) {
	switch {
	case kind == actions.NewsRemoved:
		p.header("A second factor was removed: %s", shortName(c.Person))
		p.must(say("%s has no second factor any more.", people.call(c.Person)))
	case c.Replaced:
		p.header("A second factor was replaced: %s", shortName(c.Person))
		p.must(say("%s has a new second factor; codes of the former one are taken no more.", people.call(c.Person)))
	default:
		p.header("A second factor was set up: %s", shortName(c.Person))
		p.must(say("%s has a second factor now, and is asked for a one-time code.", people.call(c.Person)))
	}
	p.section(say("Done on the bot's machine by %s. If you don't know of it, look into it before you approve anything.", c.By))
}
