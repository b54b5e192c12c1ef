package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

var errNotPromoted = errors.New("the server could not be told to promote itself")

// Promote asks for promotion without waiting, as the server's own waiting goes
// in steps of a tenth of a second, then polls until it is out of recovery. A
// server that is out of it already is done. From the moment of the request
// every error is an *actions.Uncertain: a promotion that answers late still
// happens.
func (l *lock) Promote(ctx context.Context) error {
	recovering, err := l.recovering(ctx)
	if err != nil {
		return fmt.Errorf("promote %s: %w", l.node.opt.Node.Name, err)
	}
	if !recovering {
		return nil
	}
	if err := l.requestPromotion(ctx); err != nil {
		return fmt.Errorf("promote %s: %w", l.node.opt.Node.Name, err)
	}
	err = every(ctx, promoteEvery, func() (bool, error) {
		recovering, err := l.recovering(ctx)
		return err == nil && !recovering, err
	})
	if err != nil {
		return &actions.Uncertain{Err: fmt.Errorf("promote %s: asked for, but not seen to be done: %w", l.node.opt.Node.Name, err)}
	}
	return nil
}

func (l *lock) recovering(ctx context.Context) (bool, error) {
	var recovering bool
	err := l.query(ctx, "SELECT pg_is_in_recovery()", &recovering)
	return recovering, err
}

// requestPromotion is uncertain in every error but one that comes before the
// request could be sent, or in which the server refuses it.
func (l *lock) requestPromotion(ctx context.Context) error {
	return l.do(ctx, func(ctx context.Context) error {
		if err := sendable(ctx, l.conn); err != nil {
			return err
		}
		var asked bool
		err := l.conn.QueryRow(ctx, "SELECT pg_promote(wait => false)", pgx.QueryExecModeExec).Scan(&asked)
		if err == nil && !asked {
			return uncertain(errNotPromoted)
		}
		return effect(err)
	})
}
