package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

// lock is the session that holds a pair's advisory lock on one node. The lock
// lives and dies with the connection: whatever breaks that, also a statement
// cut off half-way, frees the lock, and every later call fails.
type lock struct {
	node *Node
	turn chan struct{} // one statement at a time: Alive may be asked while Promote polls
	conn *pgx.Conn

	close  sync.Once
	closed chan struct{}
}

// Lock takes the pair's lock in a session of its own, in the bot's database:
// locks are per database, and nobody else may connect to that one. ErrLocked
// when another bot holds it. It never waits for the lock.
func (n *Node) Lock(ctx context.Context, key int64) (actions.Session, error) {
	c, err := n.connect(ctx, n.opt.Database, n.opt.Timeouts.Effect)
	if err != nil {
		return nil, fmt.Errorf("connect to %s for the lock: %w", n.opt.Node.Name, err)
	}
	var got bool
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
		n.end(c)
		return nil, fmt.Errorf("take the lock on %s: %w", n.opt.Node.Name, err)
	}
	if !got {
		n.end(c)
		return nil, fmt.Errorf("%s: %w", n.opt.Node.Name, actions.ErrLocked)
	}
	return &lock{node: n, turn: make(chan struct{}, 1), conn: c, closed: make(chan struct{})}, nil
}

// statementGrace is what a statement may take when the caller's own deadline
// is near or past: cutting it off would cost the connection, and the lock.
const statementGrace = 500 * time.Millisecond

// do runs one statement when it is its turn. It doesn't start one after ctx has
// ended, but lets a started one end, within limits.
func (l *lock) do(ctx context.Context, ask func(context.Context) error) error {
	select {
	case l.turn <- struct{}{}:
	case <-l.closed:
		return errLockLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	limit := min(max(remaining(ctx, l.node.opt.Timeouts.Effect), statementGrace), l.node.opt.Timeouts.Effect+statementGrace)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return ask(sctx)
}

func (l *lock) query(ctx context.Context, statement string, into ...any) error {
	return l.do(ctx, func(ctx context.Context) error { return l.conn.QueryRow(ctx, statement).Scan(into...) })
}

func (l *lock) exec(ctx context.Context, statements ...string) error {
	return l.do(ctx, func(ctx context.Context) error { return run(ctx, l.conn, statements...) })
}

var errLockLost = errors.New("the session with the pair's lock is gone")

// Alive fails when the connection, and with it the lock, is lost.
func (l *lock) Alive(ctx context.Context) error {
	var held bool
	err := l.query(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid())", &held)
	if err != nil {
		return fmt.Errorf("lock on %s: %w", l.node.opt.Node.Name, err)
	}
	if !held {
		return fmt.Errorf("lock on %s: %w", l.node.opt.Node.Name, errLockLost)
	}
	return nil
}

// Close ends the session, which frees the lock. It waits for a statement that
// is under way, which has its limit; calls that come later fail.
func (l *lock) Close() {
	l.close.Do(func() {
		l.turn <- struct{}{} // never given back
		close(l.closed)
		l.node.end(l.conn)
	})
}
