// Package actions is the domain: what a pair is, what can be known of it, what
// may be done with it, and how that is carried out.
//
// # From looking to acting
//
// An observation is what one node said at one moment; both of them, with what
// is remembered and what the platform says, are the evidence. Judge turns
// evidence into a verdict and MakePlan turns a question and a verdict into a
// plan: pure functions, that read no clock, no network and no store, and that
// can say "unknown". A Desk owns the use cases around them. People approve a
// plan's text; an execution walks it.
//
// # Who has authority
//
// An execution runs only with a grant, which package approvals mints from a
// stored request that carries two votes for its digest. It promotes only with a
// clearance: the old primary's shutdown checkpoint stands on the candidate and
// it can't come back by itself, or it was read back as off, or in recovery, or
// a named person answered for it on top of a freeze. Both are derived again
// from the store and from looking after a restart. The pair's lock, taken on
// the servers themselves, keeps a second bot out.
//
// # How it fails
//
// What is refused (*approvals.Refusal) did not happen. Whatever else fails
// before a promotion was ordered is taken back: the old primary serves again,
// or the standby is thawed. Once it was ordered there is no way back; what
// fails afterwards leaves a working primary and a list of what is left to do. An
// effect that may have happened is *Uncertain and is looked at, never repeated
// blindly. Every effect is a labelled operation whose intent is journaled
// before it, so that a bot that was killed in the middle can look and go on.
//
// Nothing here knows a driver: databases, machines, fences, the journal and the
// memory are ports.
package actions
