package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// unloggedCount is the last count of the application's unlogged tables.
type unloggedCount struct {
	at    time.Time
	count int
}

// unloggedAge is how old the count may be. Tables of this kind come and go
// rarely, and counting them takes a connection to another database.
// A count that failed is tried again sooner.
const (
	unloggedAge   = 10 * time.Minute
	unloggedRetry = time.Minute
)

// countUnlogged counts the application's unlogged tables, which a promotion
// leaves empty; -1 when that can't be found out. It may use half of the time
// that is left, so that it never costs the observation itself.
func (n *Node) countUnlogged(ctx context.Context) int {
	if n.opt.AppDatabase == "" {
		return -1
	}
	now := n.opt.Now()
	n.mu.Lock()
	known := n.unlogged
	n.mu.Unlock()
	if !known.at.IsZero() && now.Sub(known.at) < unloggedAge {
		return known.count
	}
	ctx, cancel := context.WithTimeout(ctx, remaining(ctx, n.opt.Timeouts.Observe)/2)
	defer cancel()
	count := -1
	err := n.work(ctx, n.opt.AppDatabase, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'").Scan(&count)
	})
	if err != nil {
		count, now = -1, now.Add(unloggedRetry-unloggedAge)
	}
	n.mu.Lock()
	n.unlogged = unloggedCount{now, count}
	n.mu.Unlock()
	return count
}
