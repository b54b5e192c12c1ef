package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

// probeSQL is one round trip. The setting is the transaction's own, so that
// the session still sees the server's when it is used for looking.
const probeSQL = `BEGIN; SET LOCAL synchronous_commit = local;
INSERT INTO twokey.probe AS p (at, writes) VALUES (clock_timestamp(), 1)
ON CONFLICT (id) DO UPDATE SET at = excluded.at, writes = p.writes + 1; COMMIT`

// ProbeWrite commits one row on this server's own disk. It never waits for a
// standby: where names are set and nobody streams, a commit at the server's own
// level would hang. It uses the kept session, for it is made while clients wait.
func (n *Node) ProbeWrite(ctx context.Context) error {
	s, err := n.borrow(ctx)
	if err != nil {
		return fmt.Errorf("probe write: %w", err)
	}
	err = script(ctx, s.conn, probeSQL)
	if err != nil && s.reused && s.conn.IsClosed() && ctx.Err() == nil {
		n.giveBack(s) // it may have died since its last use; writing twice is harmless
		if s, err = n.fresh(ctx); err != nil {
			return fmt.Errorf("probe write: %w", err)
		}
		err = script(ctx, s.conn, probeSQL)
	}
	s.spent = s.spent || err != nil // it may be in a failed transaction
	n.giveBack(s)
	if err != nil {
		return fmt.Errorf("probe write on %s: %w", n.opt.Node.Name, err)
	}
	return nil
}

var (
	errNoAppDatabase = errors.New("no application database is configured for this node")
	errNotReplicated = errors.New("the row is on this server alone: the wait for the standby was canceled, so it does not count as acknowledged")
)

const maxBy = 200 // characters, the table's own check

// InsertTest commits one test row in the application's database with the
// server's own synchronous_commit, as any client would. A commit whose wait for
// the standby was cut off reports success with a warning; that, a deadline and
// a lost connection are *actions.Uncertain: the row may be there, and may be
// on one node alone.
func (n *Node) InsertTest(ctx context.Context, by string) (actions.TestRow, error) {
	if n.opt.AppDatabase == "" {
		return actions.TestRow{}, errNoAppDatabase
	}
	var row actions.TestRow
	var warned atomic.Bool
	err := n.work(ctx, n.opt.AppDatabase, func(c *pgx.Conn) error {
		if err := sendable(ctx, c); err != nil {
			return err
		}
		began := n.opt.Now()
		err := c.QueryRow(ctx, "INSERT INTO twokey.insert_test (by) VALUES ($1) RETURNING id, at",
			pgx.QueryExecModeExec, clip(by, maxBy)).Scan(&row.ID, &row.At)
		row.Took = n.opt.Now().Sub(began)
		if err == nil && warned.Load() {
			return uncertain(errNotReplicated)
		}
		return effect(err)
	}, &warned)
	if err != nil {
		return actions.TestRow{}, fmt.Errorf("test row on %s: %w", n.opt.Node.Name, err)
	}
	return row, nil
}

// clip cuts to so many characters, never within one.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most])
}
