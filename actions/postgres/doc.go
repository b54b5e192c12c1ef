// Package postgres speaks to one PostgreSQL server of a pair with the bot's own,
// least-privilege role. It implements actions.Database and actions.Session; it
// judges nothing.
//
// Connections. A Node keeps at most one idle session for looking (Observe,
// LastRecord and the like), so that a look costs one round trip and a fleet
// costs one session per server. What changes something opens a connection of
// its own, except ProbeWrite, which has to be quick. The pair's lock lives on a
// dedicated connection with TCP keepalives on both ends, and freeze and
// promote run in it: who has lost the lock can't do either.
//
// What is trusted. A kept session applies a reload only when its next command
// arrives, and then reports that moment as the time of the reload. So a look
// counts only while its session is younger than the reload that it reports;
// otherwise the session is replaced and the look repeated. A session never sets
// synchronous_commit for looking, for it would then see its own value.
//
// How it fails. Every call ends with its context. A failed observation is
// classified by SQLSTATE and error type, never by text. An effect whose answer
// didn't come is an *actions.Uncertain: it may have happened. An effect that the
// server refused, or that was never sent, is a plain error. Texts name the
// server and what was tried; they hold no password, for none ever enters a
// connection string.
package postgres
