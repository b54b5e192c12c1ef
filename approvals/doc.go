// Package approvals is the two-person rule as data and pure functions.
//
// A Request asks for one exact thing: its Subject, a readable text that was
// made from a plan. The SHA-256 of that text together with the persons, the
// nonce, the expiry and the policy version is the request's digest, and the
// digest is what people approve. Every change of a request goes through Next,
// which looks the move up in Transitions; there is no other way to set a
// state. The functions of Request read no clock and no store: the caller
// passes the time, commits what they return in one transaction, and only then
// tells anybody.
//
// What is trusted, and for how long: an approver's right to vote is looked up
// at the vote and again before execution (see Directory); the list of
// approvers and the policy are those that run now, and a request made under
// another policy version is stale. A Grant is minted here alone, from a stored
// request in state executing that carries its two votes; after a restart it is
// minted again from the store, never remembered.
//
// How it fails: a refusal (see Refusal) changes nothing, except that a request
// that is found to be expired or stale is moved to that state by whoever
// noticed it. Two people who act at the same instant are ordered by the store;
// the second sees what the first committed.
package approvals
