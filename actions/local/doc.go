// Package local runs PostgreSQL servers as processes of this machine, without a supervisor: for the demo, the
// tests and plain virtual machines. It implements [actions.Machine] by [Machine].
//
// # Who is believed
//
// A [Server] is identified by its data folder, never by a process number that somebody remembers. The number in
// postmaster.pid is only a hint: it counts when that process runs a program called postgres whose working
// folder is this very data folder (where the system doesn't tell the working folder: whose start time is the
// recorded one). So a bot that was restarted recognizes servers that it didn't start, and neither a stale
// postmaster.pid nor a recycled number fools it. Signals go through a handle of the process on Linux (pidfd),
// opened before the check, so that they can't hit a later process of the same number.
//
// A postmaster that has ended may linger as a zombie until its parent looks; a zombie counts as ended. When the
// parent is this process it is reaped on the way. There is no goroutine that waits for a server.
//
// # What "off" means
//
// A killed postmaster may leave children that go on for some milliseconds, and one of them may be about to
// acknowledge a commit. So [Server.Kill] stops the postmaster first, that it can't fork, kills its children,
// then itself, and looks again until no process works in the data folder. Nothing starts a server here by
// itself: whoever runs one under a supervisor that restarts it puts a [Guard] before its command.
//
// # What may not be started
//
// A server whose pg_rewind didn't come to its end would come up read-write with diverged rows. A mark beside
// the data folder says so from before the rewind until after its success, and [Server.Start] refuses it, also
// after the bot was killed in between.
//
// # How it fails
//
// [Server.Running] returns an error when it can't tell; that never means "no". A wait that ends with its
// context's error leaves the outcome unknown: look again.
package local
