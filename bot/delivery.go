package bot

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// deliveryKind is what Slack delivers: by path over HTTP, by the envelope's type
// over Socket Mode.
type deliveryKind int

const (
	kindCommand deliveryKind = iota
	kindInteraction
	kindEvent
)

// delivery is what was shown to come from Slack, by whichever transport.
type delivery struct {
	kind    deliveryKind
	key     string     // of this very delivery: timestamp and signature, or the envelope's id
	form    url.Values // of a command
	payload []byte     // of the others, JSON
}

// keyOf identifies what was delivered, so that it is worked on once: Slack's
// own id where there is one. It is part of what was authenticated, so a copy of
// the same delivery has the same one.
func (d delivery) keyOf(kind, id string) string {
	if id == "" {
		return "slack/request/" + d.key
	}
	return "slack/" + kind + "/" + id
}

// ack is the answer that Slack waits for, three seconds at most.
type ack struct {
	status int // HTTP's; all but 200 mean that the delivery was not taken
	body   any // as JSON; nil for nothing

	// For a transport on which body is too large: small goes in its place, nil
	// for nothing, and then rest sends body some other way. A body that can't
	// get large has no rest.
	small any
	rest  func(context.Context)
}

var (
	acknowledged = ack{status: http.StatusOK}
	malformed    = ack{status: http.StatusBadRequest}
	unavailable  = ack{status: http.StatusServiceUnavailable}
)

// withinAck is how long a decision's work may take before the acknowledgement
// goes out without its result.
const withinAck = 1500 * time.Millisecond

// take does what a delivery asks for, or gives it to those who will.
func (b *Bot) take(d delivery) ack {
	if !b.hear() {
		return unavailable
	}
	switch d.kind {
	case kindCommand:
		return b.command(d)
	case kindInteraction:
		return b.interaction(d)
	case kindEvent:
	}
	return b.event(d)
}
