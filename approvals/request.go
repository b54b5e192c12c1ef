package approvals

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Digest is the SHA-256 of a request's canonical text, in hex.
type Digest string

// Short is the part of the digest that stands in messages and buttons.
func (d Digest) Short() string {
	if len(d) < shortDigest {
		return string(d)
	}
	return string(d[:shortDigest])
}

const shortDigest = 12

// Subject is what is asked for. Approvals doesn't look into it: Text is the
// plan as people read and approve it, Data the same plan for the executor,
// which refuses Data that doesn't read as Text.
type Subject struct {
	Kind string          `json:"kind"`
	Pair string          `json:"pair"`
	Text string          `json:"text"`
	Data json.RawMessage `json:"data"`
}

// Vote is one approver's yes to one digest. Via names the channel of proof
// ("slack"), Proof what that channel can show for it later.
type Vote struct {
	Person Person    `json:"person"`
	At     time.Time `json:"at"`
	Via    string    `json:"via"`
	Proof  string    `json:"proof"`
	Digest Digest    `json:"digest"`
	Factor string    `json:"factor,omitempty"` // "otp" where a one-time code was given
}

// Pause is a question that an execution in state held puts to the approvers,
// and its answer.
type Pause struct {
	Question  string    `json:"question"`
	Statement string    `json:"statement"` // what must be typed, word for word
	Until     time.Time `json:"until"`
	Answer    Cause     `json:"answer,omitempty"` // Accept, Refuse or Lapse
	By        Person    `json:"by,omitempty"`
	At        time.Time `json:"at,omitzero"`
	Factor    string    `json:"factor,omitempty"` // "otp" where a one-time code was given
}

// Request is one question to the approvers with everything that was decided
// about it. It is a value: methods return changed copies.
type Request struct {
	ID        string   `json:"id"`
	Version   uint64   `json:"version"` // set by the store at every commit
	State     State    `json:"state"`
	Subject   Subject  `json:"subject"`
	Requester Person   `json:"requester"`
	Reason    string   `json:"reason"`
	Approvers []Person `json:"approvers"`
	Group     string   `json:"group,omitempty"` // that the approvers were members of when it was asked
	Policy    string   `json:"policy"`          // version
	// AllowRequester is the policy's, as of asking: the requester's own approval counts.
	AllowRequester bool       `json:"allow_requester,omitempty"`
	Factor         FactorRule `json:"factor,omitempty"` // as of asking; "" for off
	Nonce          string     `json:"nonce"`
	Place          string     `json:"place"` // where it was asked; votes must come from there
	CreatedAt      time.Time  `json:"created_at"`
	ExpiresAt      time.Time  `json:"expires_at"`

	RemindedAt time.Time `json:"reminded_at,omitzero"` // when those who have not voted were reminded

	Votes   []Vote          `json:"votes,omitempty"`
	Attempt string          `json:"attempt,omitempty"` // of the executor that claimed it
	Pauses  []Pause         `json:"pauses,omitempty"`
	EndedAt time.Time       `json:"ended_at,omitzero"`
	EndedBy Person          `json:"ended_by,omitempty"`
	Why     string          `json:"why,omitempty"`     // reason of a denial, differing fields, cause of a failure
	Outcome json.RawMessage `json:"outcome,omitempty"` // the executor's report
}

// Text is the canonical text whose SHA-256 is the digest. It holds everything
// that a vote agrees to, and nothing about where the request was delivered.
func (r Request) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "twokey request, format 1\n")
	fmt.Fprintf(&b, "request: %s\nkind: %s\npair: %s\n", r.ID, r.Subject.Kind, r.Subject.Pair)
	fmt.Fprintf(&b, "requester: %s (may approve: %t)\napprovers: %s\napprovals needed: %d\n", r.Requester, r.AllowRequester, join(r.Approvers), Required)
	if r.Group != "" {
		fmt.Fprintf(&b, "approvers are members of: %s\n", r.Group)
	}
	if r.Factor.On() {
		fmt.Fprintf(&b, "one-time code: %s\n", r.Factor)
	}
	fmt.Fprintf(&b, "policy: %s\nnonce: %s\n", r.Policy, r.Nonce)
	fmt.Fprintf(&b, "asked: %s\nexpires: %s\n", stamp(r.CreatedAt), stamp(r.ExpiresAt))
	fmt.Fprintf(&b, "reason: %s\n\n%s", oneLine(r.Reason), r.Subject.Text)
	return b.String()
}

// Digest is the SHA-256 of Text.
func (r Request) Digest() Digest {
	sum := sha256.Sum256([]byte(r.Text()))
	return Digest(hex.EncodeToString(sum[:]))
}

// OpenPause is the question that a held request waits for; the zero Pause when
// it waits for none.
func (r Request) OpenPause() Pause {
	if r.State != Held || len(r.Pauses) == 0 {
		return Pause{}
	}
	return r.Pauses[len(r.Pauses)-1]
}

// VoteOf gives who's vote, and whether there is one.
func (r Request) VoteOf(who Person) (Vote, bool) {
	for _, v := range r.Votes {
		if v.Person == who {
			return v, true
		}
	}
	return Vote{}, false
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
