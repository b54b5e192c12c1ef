package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

// Intervals of polling.
const (
	confirmEvery = 10 * time.Millisecond
	promoteEvery = 2 * time.Millisecond
	freezeEvery  = 2 * time.Millisecond
)

var errGone = errors.New("the connection is gone")

// run executes statements one after the other, each in a transaction of its own.
func run(ctx context.Context, c *pgx.Conn, statements ...string) error {
	for _, s := range statements {
		if err := change(ctx, c, s); err != nil {
			return err
		}
	}
	return nil
}

// change executes a statement that changes something. The error is plain when
// nothing happened: the server refused it, or it was never sent.
func change(ctx context.Context, c *pgx.Conn, statement string, args ...any) error {
	if err := sendable(ctx, c); err != nil {
		return err
	}
	_, err := c.Exec(ctx, statement, append([]any{pgx.QueryExecModeExec}, args...)...)
	return effect(err)
}

func sendable(ctx context.Context, c *pgx.Conn) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.IsClosed() {
		return errGone
	}
	return nil
}

// script executes several statements in one round trip. Its error names the
// end of ctx, which the driver forgets here.
func script(ctx context.Context, c *pgx.Conn, statements string) error {
	if err := sendable(ctx, c); err != nil {
		return err
	}
	_, err := c.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return effect(err)
}

// uncertain marks an error after an effect was asked for and couldn't be
// confirmed.
func uncertain(err error) error {
	if u := (*actions.Uncertain)(nil); err == nil || errors.As(err, &u) {
		return err
	}
	return &actions.Uncertain{Err: err}
}

// every calls do until it is done, fails, or ctx ends; then the error is the
// context's.
func every(ctx context.Context, interval time.Duration, do func() (bool, error)) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		if done, err := do(); done || err != nil {
			return err
		}
		timer.Reset(interval)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// Checkpoint returns when a checkpoint, or on a standby a restartpoint, is
// done. Doing it once more is harmless, so no error of it is uncertain.
func (n *Node) Checkpoint(ctx context.Context) error {
	err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "CHECKPOINT", pgx.QueryExecModeExec)
		return err
	})
	if err != nil {
		return fmt.Errorf("checkpoint on %s: %w", n.opt.Node.Name, err)
	}
	return nil
}

// EnsureSlot makes a physical slot that keeps WAL from now on, unless one is
// there that does. The name must begin with twokey_.
func (n *Node) EnsureSlot(ctx context.Context, slot string) error {
	return n.helper(ctx, "make slot "+slot, "SELECT twokey.ensure_slot($1)", slot)
}

// DropSlot drops a physical slot; one that isn't there is no error, one in use is.
func (n *Node) DropSlot(ctx context.Context, slot string) error {
	return n.helper(ctx, "drop slot "+slot, "SELECT twokey.drop_slot($1)", slot)
}

func (n *Node) helper(ctx context.Context, what, statement string, args ...any) error {
	err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		return change(ctx, c, statement, args...)
	})
	if err != nil {
		return fmt.Errorf("%s on %s: %w", what, n.opt.Node.Name, err)
	}
	return nil
}
