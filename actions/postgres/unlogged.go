package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

// unloggedAge is how old the count may be. Tables of this kind come and go
// rarely, and counting them takes a connection to another database.
// A count that failed is tried again sooner. At most unloggedNames are named.
const (
	unloggedAge   = 10 * time.Minute
	unloggedRetry = time.Minute
	unloggedNames = 20
)

// countUnlogged counts the application's unlogged tables, which a promotion
// leaves empty; -1 when that can't be found out. It may use half of the time
// that is left, so that it never costs the observation itself.
func (n *Node) countUnlogged(ctx context.Context) actions.Unlogged {
	now := n.opt.Now()
	if n.opt.AppDatabase == "" {
		return actions.Unlogged{Count: -1, At: now}
	}
	n.mu.Lock()
	known := n.unlogged
	n.mu.Unlock()
	lasts := unloggedAge
	if known.Count < 0 {
		lasts = unloggedRetry
	}
	if !known.At.IsZero() && now.Sub(known.At) < lasts {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, remaining(ctx, n.opt.Timeouts.Observe)/2)
	defer cancel()
	found := actions.Unlogged{At: now}
	err := n.work(ctx, n.opt.AppDatabase, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT count(*), coalesce((array_agg(c.oid::regclass::text ORDER BY s.nspname, c.relname))[1:$1], '{}')
			FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
			WHERE c.relpersistence = 'u' AND c.relkind = 'r'`, unloggedNames).Scan(&found.Count, &found.Names)
	})
	if err != nil {
		found = actions.Unlogged{Count: -1, At: now}
	}
	n.mu.Lock()
	n.unlogged = found
	n.mu.Unlock()
	return found
}

// countWaiting counts the WAL files that wait to be archived; -1 when that
// can't be found out.
func (n *Node) countWaiting(ctx context.Context, s *actions.Server) {
	if s.InRecovery || s.Settings["archive_mode"] == "off" {
		return
	}
	var oldest *time.Time
	err := n.look(ctx, func(in *session) error {
		return in.conn.QueryRow(ctx, `SELECT count(*), min(modification) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`).
			Scan(&s.Archiver.Waiting, &oldest)
	})
	if err != nil {
		s.Archiver.Waiting = -1
	} else if oldest != nil {
		s.Archiver.Oldest = *oldest
	}
}
