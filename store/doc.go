// Package store keeps everything that must outlive the bot in one bbolt file:
// requests with their votes, the executor's journal, what is remembered of each
// pair, the samples of the sweeps, the audit log, and how far the messages made
// from it have been delivered. It implements approvals.Store, actions.Journal,
// actions.Memory and actions.Samples; nothing outside of it knows bbolt.
//
// Who has authority: whoever holds the file's lock, and that is one process at
// a time. Open takes the lock before it reads the first byte.
//
// Every method that changes something is one transaction. It reads, compares,
// then writes all or nothing, and has reached the disk (fsync) when it returns
// nil. A request and the audit events that tell of its change are always in the
// same transaction, so there is no vote without its fact and no fact without
// its vote. Each change of a request raises its Version by one.
//
// The audit log numbers its events without gaps (Event.Seq) and chains them:
// Hash is the SHA-256, in hex, of Prev, a line feed, and the event's JSON as it
// was first written, without Prev and Hash. Audit walks the chain; a Verifier does
// so with entries that come from anywhere, AuditFile reads them from a file that
// nobody needs to open. The messages
// to people are made from the same log: a Cursor remembers how far somebody has
// delivered it, and Subscribe wakes him when there is more.
//
// How it fails:
//   - Open refuses a file that it doesn't fully understand, and leaves it as it
//     is: ErrLocked, ErrNewer, ErrDamaged, ErrForeign, or the system's own error
//     (errors.Is with os.ErrPermission, os.ErrNotExist). The whole file is
//     checked by plain reads before bbolt maps it into memory; each value
//     carries a checksum of its own. A new file appears under its name only
//     when it is complete.
//   - A kill at any moment leaves the last committed transaction.
//   - A write that the disk refuses (full, read-only) returns an error and
//     changes nothing. If the disk fails in the very last write, after which
//     the transaction might or might not be there, the store refuses everything
//     from then on (ErrFailed) until it is opened again and has looked.
//
// A function that is passed to Update runs inside of the transaction and must
// not call the store.
package store
