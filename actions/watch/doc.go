// Package watch looks at every pair on a schedule, keeps a sample of each look,
// and tells people of incidents: from the first trouble of a pair until none has
// been left for long enough (see Follow). It never acts on a pair: the one thing
// that a sweep may do is the CHECKPOINT that shows a pair to be synchronous (see
// actions.Desk.Verify).
//
// Whom it tells and how is not its business: it appends facts to the audit log,
// in the same transaction that remembers the incident, so that the same change is
// never told twice, not even by a bot that was killed in between. During the
// first minute of a failover nothing is told: its own message does that.
//
// How it fails: a pair that can't be looked at is logged and tried again at the
// next sweep. A pair that hangs takes one of a few places until its deadline, so
// it delays the others and stops none. A sweep that is still running when the
// next one is due makes that one be skipped.
package watch
