package approvals

import (
	"encoding/json"
	"fmt"
	"strings"
)

// History follows every request through the audit log and finds a log that the
// two-person rule could not have written: a request that ran without two
// approvals of two people for its digest, say, because somebody changed the
// store behind the bot's back. The zero value begins with the log's first event.
type History struct {
	late     bool
	requests map[string]*progress // by id
}

// progress is what the log has told of one request.
type progress struct {
	state  State
	digest Digest
	yes    map[Person]bool
}

// NewLateHistory is for a log whose first part isn't there: it says nothing of
// requests that were asked before.
func NewLateHistory() History { return History{late: true} }

// Add takes the next event; its error names what can't be, without a full stop.
// Events of other subjects, and kinds that are no Cause, always fit.
func (h *History) Add(e Event) error {
	id, ok := strings.CutPrefix(e.Subject, RequestSubject(""))
	if !ok || !isCause(e.Kind) {
		return nil
	}
	if Cause(e.Kind) == Ask {
		return h.ask(id, e)
	}
	p := h.requests[id]
	if p == nil && h.late {
		return nil
	}
	if p == nil {
		return fmt.Errorf("it is about request %s, which nobody had asked for", id)
	}
	return p.move(id, e)
}

func isCause(kind string) bool {
	for _, t := range Transitions() {
		if string(t.Cause) == kind {
			return true
		}
	}
	return false
}

func (h *History) ask(id string, e Event) error {
	var d MoveData
	if h.requests[id] != nil {
		return fmt.Errorf("request %s is asked for a second time", id)
	}
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return fmt.Errorf("what it tells of request %s can't be read (%w)", id, err)
	}
	if h.requests == nil {
		h.requests = map[string]*progress{}
	}
	h.requests[id] = &progress{state: Pending, digest: d.Digest, yes: map[Person]bool{}}
	return nil
}

func (p *progress) move(id string, e Event) error {
	cause := Cause(e.Kind)
	to, err := Next(p.state, cause)
	if err != nil {
		return fmt.Errorf("it tells of a %s, but request %s was %s with %d of %d approvals", cause, id, p.state, len(p.yes), Required)
	}
	if cause == Approve {
		err = p.approve(id, e)
	} else {
		err = p.told(id, e, to)
	}
	if err != nil {
		return err
	}
	p.state = to
	return nil
}

func (p *progress) approve(id string, e Event) error {
	var v VoteData
	switch err := json.Unmarshal(e.Data, &v); {
	case err != nil:
		return fmt.Errorf("the vote on request %s can't be read (%w)", id, err)
	case v.Digest != p.digest:
		return fmt.Errorf("the vote of %s on request %s is for another plan than was asked for", e.Actor, id)
	case e.Actor == "" || p.yes[e.Actor]:
		return fmt.Errorf("the second approval of request %s is by no second person (%q)", id, e.Actor)
	}
	p.yes[e.Actor] = true
	return nil
}

// told compares a move's own words with where the request was and went.
func (p *progress) told(id string, e Event, to State) error {
	var d MoveData
	switch err := json.Unmarshal(e.Data, &d); {
	case err != nil:
		return fmt.Errorf("what it tells of request %s can't be read (%w)", id, err)
	case d.From != p.state || d.To != to:
		return fmt.Errorf("it tells that request %s went from %s to %s, but it went from %s to %s", id, d.From, d.To, p.state, to)
	}
	return nil
}
