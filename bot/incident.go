package bot

import (
	"context"
	"encoding/json"
	"slices"

	"twokey/actions"
	"twokey/approvals"
)

// An incident has one message, which shows how things are, and a thread in which
// each change that people should hear of is a reply. Many incidents at once
// share a message without a thread.

func incidentKey(i actions.Incident) string {
	if i.Group != "" {
		return i.Group
	}
	return "incident/" + i.ID
}

// incidentOf reads the change of an incident. An alert of an older version has
// none, and is news like any other.
func incidentOf(e approvals.Event) (actions.Alert, bool) {
	var a actions.Alert
	if e.Kind != actions.NewsAlert && e.Kind != actions.NewsRecovered {
		return a, false
	}
	err := json.Unmarshal(e.Data, &a)
	return a, err == nil && a.Incident.ID != ""
}

// takeIncident makes the parcels that a change asks for.
func (c *courier) takeIncident(e approvals.Event, a actions.Alert) {
	key := incidentKey(a.Incident)
	switch {
	case a.Quiet:
	case a.Incident.Group != "":
		c.add(key, e.Seq, c.groupLetter(key)).now()
		if a.Incident.Over() {
			c.add(key+"/over", e.Seq, c.groupOverLetter(key)).now()
		}
	default:
		p := c.add(key, e.Seq, c.incidentLetter(e, a))
		p.now()
		p.news, p.key = nil, key
		if a.Incident.Over() { // then it may be told with others, where it wasn't told in time
			p.news = &e
		}
		if a.Loud && !a.Opened {
			c.add(newsKey(e.Seq), e.Seq, c.changeLetter(e, a)).now()
		}
	}
}

func (c *courier) incidentLetter(e approvals.Event, a actions.Alert) letterMaker {
	return func(context.Context) (letter, bool, error) {
		return letter{key: incidentKey(a.Incident), message: incidentMessage(e, a, c.opt.Alerts)}, true, nil
	}
}

// changeLetter is a reply in the incident's thread. One that comes too late says
// nothing that the incident's own message doesn't show.
func (c *courier) changeLetter(e approvals.Event, a actions.Alert) letterMaker {
	return func(context.Context) (letter, bool, error) {
		if c.opt.Now().Sub(e.At) >= c.opt.Pace.Stale {
			return letter{}, false, nil
		}
		loud := a.Call || a.Incident.Over() && a.Incident.Worst == actions.LevelCritical
		return letter{key: newsKey(e.Seq), message: changeMessage(e, a, c.opt.Alerts), once: true, thread: incidentKey(a.Incident), broadcast: loud}, true, nil
	}
}

// members are the pairs of a message that tells of several incidents, as they
// are now. One that has had another incident since is not among them any more.
func (c *courier) members(ctx context.Context, group string) ([]actions.PairState, error) {
	all, err := c.opt.Desk.Overview(ctx)
	return slices.DeleteFunc(all, func(s actions.PairState) bool {
		return s.Memory.Incident == nil || s.Memory.Incident.Group != group
	}), err
}

func (c *courier) groupLetter(group string) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		members, err := c.members(ctx, group)
		if err != nil || len(members) == 0 {
			return letter{}, false, err
		}
		return letter{key: group, message: groupMessage(members, c.opt.Alerts)}, true, nil
	}
}

// groupOverLetter tells once that all of them are over.
func (c *courier) groupOverLetter(group string) letterMaker {
	return func(ctx context.Context) (letter, bool, error) {
		members, err := c.members(ctx, group)
		lasts := slices.ContainsFunc(members, func(s actions.PairState) bool { return !s.Memory.Incident.Over() })
		if err != nil || lasts || len(members) == 0 {
			return letter{}, false, err
		}
		return letter{key: group + "/over", message: groupOverMessage(members), once: true, thread: group, broadcast: true}, true, nil
	}
}
