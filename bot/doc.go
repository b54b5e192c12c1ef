// Package bot is the Slack adapter: it turns what Slack delivers into calls of
// a [Desk], and what the audit log says into messages.
//
// # Who decides
//
// Nothing is decided here. The desk and package approvals decide who may vote,
// whether a request is stale or expired, and what happens next; the bot proves
// who pressed (signature, team, user) and hands that on. A button carries only
// the request's id and the first characters of its digest, and nothing else in
// a payload is believed: team, channel and message are compared with what is
// stored.
//
// # Two directions, never mixed
//
// Inwards: over HTTP ([Bot.Handler]) a delivery is proven by its signature, over
// Socket Mode by the connection, which the bot opened to Slack with the app's
// token; from there on it is the same. It is acknowledged at once, and worked on
// by a bounded group of goroutines that [Bot.Run] owns. Only the
// person who asked sees errors. A delivery that comes twice is done once: by a
// key in the outbox for what changes something, and because every use case is
// idempotent besides. What wasn't taken isn't acknowledged, so that Slack
// delivers it again or tells the person.
//
// Outwards (the courier in [Bot.Run]): the outbox is a cursor over the audit
// log. An event says that something about its subject is new; what is sent is
// the subject's present state, so many events collapse into one update. The
// place of each message (channel and timestamp) is stored before and after it
// is posted. Nothing that Slack answers, or doesn't, changes a request.
//
// # How it fails
//
// A call that surely did not reach Slack is repeated with a growing pause; 429
// is obeyed. After a call whose effect is not known the channel's history is
// searched for the message's key before it is posted again, once for all that
// wait, and not before a late effect would show; also after a restart in
// between. A message that Slack refuses as too long is sent shorter, then as
// plain text. Where no message gets through until people do something (the bot
// is not in the channel, the token was revoked), that is logged with the remedy,
// /readyz and the answers to commands say so, and everything is kept until it
// does. A message that is refused alone is given up in the end; it never stops
// the delivery of anything else. After an outage requests show their present
// state, and the alerts and reports that are over become one message. The cursor
// only moves past what was delivered or given up, so a restart repeats nothing
// and forgets nothing.
//
// An error that is an *approvals.Refusal is shown to the person as it is. Any
// other is logged under an incident id, and the person sees the id.
package bot
