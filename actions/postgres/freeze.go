package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/actions"
)

var (
	errNoStandby  = errors.New("the server is not in recovery: there is nothing to freeze")
	errNoConninfo = errors.New("primary_conninfo is empty after its reset: it must stand in an included configuration file, not in postgresql.auto.conf alone; write it there and reload")
)

// receiverState is what decides whether a standby is frozen.
type receiverState struct {
	recovering bool
	conninfo   bool // primary_conninfo is set
	receivers  int  // walreceiver processes, connecting ones included
	received   actions.LSN
	paused     bool // replay is, or shall be
	conflict   bool // replay waits for a session
	retry      time.Duration
}

// stopped is that nothing receives and nothing will start to.
func (r receiverState) stopped() bool { return r.recovering && !r.conninfo && r.receivers == 0 }

// A connecting receiver isn't shown by pg_stat_wal_receiver, so processes are
// counted. The receive position falls back to the replay position, as a
// standby that was restarted without its primary reports it too low.
const receiverStateSQL = `
	WITH activity AS MATERIALIZED (
		SELECT backend_type, wait_event_type, wait_event FROM pg_stat_get_activity(NULL)
	), here AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby)
	SELECT standby, current_setting('primary_conninfo') <> '',
		(SELECT count(*) FROM activity WHERE backend_type = 'walreceiver'),
		greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text,
		CASE WHEN standby THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END,
		EXISTS (SELECT FROM activity WHERE backend_type = 'startup' AND (wait_event_type IN ('Lock', 'BufferPin')
			OR wait_event IN ('RecoveryConflictSnapshot', 'RecoveryConflictTablespace'))),
		(SELECT setting::bigint FROM pg_settings WHERE name = 'wal_retrieve_retry_interval')
	FROM here`

func (l *lock) receiver(ctx context.Context) (receiverState, error) {
	var r receiverState
	var retry int64
	err := l.query(ctx, receiverStateSQL, &r.recovering, &r.conninfo, &r.receivers, lsnOf{&r.received}, &r.paused, &r.conflict, &retry)
	r.retry = time.Duration(retry) * time.Millisecond
	return r, err
}

// Freeze stops the standby's WAL receiver for good: until Thaw, over restarts
// too. It empties primary_conninfo, and as it is the startup process that stops
// the receiver, it lets paused replay go on and ends the standby sessions that
// hold it up, for as long as they do. It returns nil only when it was read
// twice, one retry interval apart, that no receiver runs and nothing was
// received in between; ErrNotFrozen when ctx ends before that: the freeze may
// then still take effect. primary_slot_name is left alone.
func (l *lock) Freeze(ctx context.Context) error {
	if err := l.freeze(ctx); err != nil {
		return fmt.Errorf("freeze %s: %w", l.node.opt.Node.Name, err)
	}
	return nil
}

func (l *lock) freeze(ctx context.Context) error {
	before, err := l.receiver(ctx)
	if err != nil {
		return err
	}
	if !before.recovering {
		return errNoStandby
	}
	if err := l.exec(ctx, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	for {
		first, err := l.awaitStopped(ctx)
		if err != nil {
			return notFrozen(err)
		}
		// Longer than a startup process sleeps before it starts a receiver, had
		// it not yet seen the new setting.
		if err := pause(ctx, first.retry+retryMargin); err != nil {
			return notFrozen(err)
		}
		second, err := l.receiver(ctx)
		if err != nil {
			return notFrozen(err)
		}
		if second.stopped() && second.received == first.received {
			return nil
		}
	}
}

const retryMargin = 20 * time.Millisecond

// awaitStopped clears the way for the startup process until no receiver is left.
func (l *lock) awaitStopped(ctx context.Context) (receiverState, error) {
	var r receiverState
	err := every(ctx, freezeEvery, func() (bool, error) {
		var err error
		if r, err = l.receiver(ctx); err != nil || r.stopped() && !r.paused && !r.conflict {
			return err == nil, err
		}
		if !r.recovering {
			return false, errNoStandby
		}
		return false, l.clearReplay(ctx, r)
	})
	return r, err
}

func (l *lock) clearReplay(ctx context.Context, r receiverState) error {
	if r.paused {
		return l.exec(ctx, "SELECT twokey.resume_replay()")
	}
	if r.conflict {
		return l.exec(ctx, "SELECT twokey.end_standby_sessions()")
	}
	return nil
}

func notFrozen(err error) error {
	return &actions.Uncertain{Err: fmt.Errorf("%w: %w", actions.ErrNotFrozen, err)}
}

// Frozen reads whether the receiver is stopped and stays so.
func (l *lock) Frozen(ctx context.Context) (bool, error) {
	r, err := l.receiver(ctx)
	if err != nil {
		return false, fmt.Errorf("read whether %s is frozen: %w", l.node.opt.Node.Name, err)
	}
	return r.stopped(), nil
}

// Thaw takes the freeze back: the configuration file's own primary_conninfo
// counts again. On a server that was promoted meanwhile it tidies up the same.
func (l *lock) Thaw(ctx context.Context) error {
	if err := l.thaw(ctx); err != nil {
		return fmt.Errorf("thaw %s: %w", l.node.opt.Node.Name, err)
	}
	return nil
}

func (l *lock) thaw(ctx context.Context) error {
	if err := l.exec(ctx, "ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	var r receiverState
	err := every(ctx, confirmEvery, func() (done bool, err error) {
		r, err = l.receiver(ctx)
		return err == nil && (r.conninfo || !r.recovering), err
	})
	if ctx.Err() != nil && r.recovering && !r.conninfo {
		return errors.Join(errNoConninfo, err)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
