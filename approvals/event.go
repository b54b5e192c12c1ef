package approvals

import (
	"encoding/json"
	"time"
)

// Event is one fact of the audit log. Seq is given by the store and grows by
// one with each event; Prev and Hash chain each event to the one before.
type Event struct {
	Seq     uint64          `json:"seq"`
	At      time.Time       `json:"at"`
	Actor   Person          `json:"actor,omitempty"` // empty: the bot itself
	Subject string          `json:"subject"`         // "request/ID", "pair/NAME" or "bot"
	Kind    string          `json:"kind"`            // a Cause for requests; others are named where they are made
	Data    json.RawMessage `json:"data,omitempty"`
	Prev    string          `json:"prev,omitempty"`
	Hash    string          `json:"hash,omitempty"`
}

// RequestSubject is the Event.Subject of a request.
func RequestSubject(id string) string { return "request/" + id }

// PairSubject is the Event.Subject of a pair.
func PairSubject(pair string) string { return "pair/" + pair }

// VoteData is the Data of an approve event.
type VoteData struct {
	Digest Digest `json:"digest"`
	Via    string `json:"via"`
	Proof  string `json:"proof"`
	Factor string `json:"factor,omitempty"` // "otp" where a one-time code was given
}

// Reminder is the kind of the event by which those who have not voted are
// reminded. It moves no request to another state, so it is no Cause.
const Reminder = "remind"

// MoveData is the Data of every other event of a request.
type MoveData struct {
	From   State  `json:"from,omitempty"`
	To     State  `json:"to"`
	Why    string `json:"why,omitempty"`
	Digest Digest `json:"digest,omitempty"`
	Factor string `json:"factor,omitempty"` // of a statement: as in VoteData
}

func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil { // only plain structs of strings and times are passed here
		panic(err)
	}
	return raw
}
