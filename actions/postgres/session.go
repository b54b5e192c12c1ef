package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// session is a connection for looking, with what was found out about it.
type session struct {
	conn   *pgx.Conn
	reused bool
	spent  bool // must not be kept

	settings map[string]string // that the session sees; nil: not asked yet
	pending  []string          // settings that wait for a restart
	wal      *walAccess        // nil: not asked yet
}

// look runs ask on the kept session, or on a new one. Where the kept one turns
// out to be dead, ask runs once more on a new one; so ask must only read.
func (n *Node) look(ctx context.Context, ask func(*session) error) error {
	s, err := n.borrow(ctx)
	if err != nil {
		return err
	}
	err = ask(s)
	if err != nil && s.reused && s.conn.IsClosed() && ctx.Err() == nil {
		n.giveBack(s)
		if s, err = n.fresh(ctx); err != nil {
			return err
		}
		err = ask(s)
	}
	n.giveBack(s)
	return err
}

// borrow takes the kept session out, so two looks at once use two sessions.
func (n *Node) borrow(ctx context.Context) (*session, error) {
	n.mu.Lock()
	s := n.idle
	n.idle = nil
	n.mu.Unlock()
	if s != nil && !s.conn.IsClosed() {
		s.reused = true
		return s, nil
	}
	return n.fresh(ctx)
}

func (n *Node) fresh(ctx context.Context) (*session, error) {
	c, err := n.connect(ctx, n.opt.Database, n.opt.Timeouts.Observe)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", n.opt.Node.Name, err)
	}
	return &session{conn: c}, nil
}

// giveBack keeps a healthy session when none is kept yet, and ends any other.
func (n *Node) giveBack(s *session) {
	n.mu.Lock()
	keep := n.idle == nil && !n.closed && !s.spent && !s.conn.IsClosed() && s.conn.PgConn().TxStatus() == 'I'
	if keep {
		n.idle = s
	}
	n.mu.Unlock()
	if !keep {
		n.end(s.conn)
	}
}
