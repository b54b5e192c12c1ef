// Package sandbox makes real pairs for the demo and the tests: a primary and its synchronous standby as
// processes of this machine, set up as the project's documentation asks for, quickly and without traces.
//
// A pair takes well under a second because its cluster is copied from a template: made once per version of
// PostgreSQL and of the SQL scripts, and kept in the user's cache. Each copy gets a system identifier of its
// own, so that two pairs are as strange to each other as real ones, and passwords of its own.
//
// Everything of a pair lies in one folder:
//
//	<dir>/dc1/data              the data folder
//	<dir>/dc1/postgresql.conf   the configuration, outside of the data folder: a rewind can't replace it
//	<dir>/dc1/replication.conf  included by it: where this node streams from when it is the standby
//	<dir>/dc1/pg_hba.conf       who may log in
//	<dir>/dc1/passfile          the replication password for the partner
//	<dir>/dc1/log               the server's output
//	<dir>/dc2/…
//
// Servers listen on 127.0.0.1 only and have no Unix socket. Their ports lie below the range from which the
// system gives ports to outgoing connections, so a server that is stopped for a while finds its port free
// again; within the sandbox's own kin a port is held by a UDP socket of the same number for the pair's life.
//
// [Pair.Close] stops the servers and removes the folder. A program that may be killed gives a janitor.
package sandbox
