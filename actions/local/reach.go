package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
	"twokey/sql"
)

// ErrNotReached means that the partner could not be reached, or isn't what it should be, before anything on
// this node was touched.
var ErrNotReached = errors.New("the partner can't be used as a source")

// upstreamConn is a connection to the partner with the very login that the node will use.
type upstreamConn struct{ *pgconn.PgConn }

func (u Upstream) connect(ctx context.Context, replication bool) (upstreamConn, error) {
	config, err := pgconn.ParseConfig(u.conninfo("twokey"))
	if err != nil {
		return upstreamConn{}, fmt.Errorf("%w: its connection settings can't be read", ErrNotReached) // they may hold secrets
	}
	if replication {
		config.RuntimeParams["replication"] = "true"
	}
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return upstreamConn{}, fmt.Errorf("%w: log in at %s:%d as %s: %w", ErrNotReached, u.Host, u.Port, u.User, err)
	}
	return upstreamConn{c}, nil
}

func (c upstreamConn) close(ctx context.Context) { _ = c.Close(context.WithoutCancel(ctx)) }

// row asks for exactly one row and returns its columns as text.
func (c upstreamConn) row(ctx context.Context, query string, columns int) ([]string, error) {
	results, err := c.Exec(ctx, query).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < columns {
		return nil, fmt.Errorf("%s: an answer of another shape was expected", query)
	}
	var row []string
	for _, value := range results[0].Rows[0] {
		row = append(row, string(value))
	}
	return row, nil
}

// reach logs in at the partner in both ways that a rejoin needs, and learns its history. The partner must be a
// primary on the expected timeline whose control file says so too: before its first checkpoint there
// pg_rewind would take it for what it was.
func (u Upstream) reach(ctx context.Context, order actions.RejoinOrder) (source, error) {
	src, err := u.identify(ctx)
	if err != nil {
		return source{}, err
	}
	if src.timeline != order.Timeline {
		return source{}, fmt.Errorf("%w: it is on timeline %d, not %d", ErrNotReached, src.timeline, order.Timeline)
	}
	if n := len(src.history); n > 0 && order.Fork != 0 && src.history[n-1].at != order.Fork {
		return source{}, fmt.Errorf("%w: its timeline %d began at %s, not at %s",
			ErrNotReached, src.timeline, src.history[n-1].at, order.Fork)
	}
	c, err := u.connect(ctx, false)
	if err != nil {
		return source{}, err
	}
	defer c.close(ctx)
	row, err := c.row(ctx, "SELECT pg_is_in_recovery(), timeline_id FROM pg_control_checkpoint()", 2)
	if err != nil {
		return source{}, fmt.Errorf("%w: ask for its state: %w", ErrNotReached, err)
	}
	if row[0] != "f" {
		return source{}, fmt.Errorf("%w: it is in recovery, no primary", ErrNotReached)
	}
	if row[1] != strconv.FormatUint(uint64(src.timeline), 10) {
		return source{}, fmt.Errorf("%w: it has made no checkpoint on timeline %d yet", ErrNotReached, src.timeline)
	}
	return src, nil
}

// identify asks over the replication protocol, as the node's WAL receiver will.
func (u Upstream) identify(ctx context.Context) (source, error) {
	c, err := u.connect(ctx, true)
	if err != nil {
		return source{}, err
	}
	defer c.close(ctx)
	row, err := c.row(ctx, "IDENTIFY_SYSTEM", 3)
	if err != nil {
		return source{}, fmt.Errorf("%w: identify it: %w", ErrNotReached, err)
	}
	timeline, err := strconv.ParseUint(row[1], 10, 32)
	if err != nil {
		return source{}, fmt.Errorf("%w: identify it: %w", ErrNotReached, err)
	}
	src := source{systemID: row[0], timeline: uint32(timeline)}
	if timeline == 1 {
		return src, nil // the first timeline has no history
	}
	if row, err = c.row(ctx, "TIMELINE_HISTORY "+row[1], 2); err == nil {
		src.history, err = parseHistory(row[1])
	}
	if err != nil {
		return source{}, fmt.Errorf("%w: read its timeline history: %w", ErrNotReached, err)
	}
	return src, nil
}

// flushed is how far the partner's own log is on its disk.
func (c upstreamConn) flushed(ctx context.Context) (string, error) {
	row, err := c.row(ctx, "SELECT pg_current_wal_flush_lsn()", 1)
	if err != nil {
		return "", fmt.Errorf("ask the partner how far it is: %w", err)
	}
	return row[0], nil
}

// streams tells whether a standby streams from the partner under that name, through the slot, and has flushed
// at least up to a position. A role sees the names of its own sessions, and everybody sees slots, whose
// position is what the standby has confirmed: no further right is needed.
func (c upstreamConn) streams(ctx context.Context, name, slot, position string) (bool, error) {
	result := c.ExecParams(ctx, `SELECT FROM pg_stat_activity a JOIN pg_replication_slots s ON s.active_pid = a.pid
		WHERE a.application_name = $1 AND s.slot_name = $2 AND s.restart_lsn >= $3::pg_lsn`,
		[][]byte{[]byte(name), []byte(slot), []byte(position)}, nil, nil, nil).Read()
	return len(result.Rows) > 0, result.Err
}

// keeps tells whether the partner still has the WAL file that a standby would ask for first, or has yet to
// write it. Files are removed oldest first, so those after it are there, too. It calls the form of pg_ls_dir
// that pg_rewind uses, which the role may therefore call.
func (u Upstream) keeps(ctx context.Context, src source, from actions.LSN, segment uint64) (bool, error) {
	c, err := u.connect(ctx, false)
	if err != nil {
		return false, err
	}
	defer c.close(ctx)
	start := segmentOf(from, segment)
	file := segmentFile(src.timelineOf(start, segment), uint64(start), segment)
	result := c.ExecParams(ctx, "SELECT FROM pg_ls_dir('pg_wal', true, false) f WHERE f = $1 OR pg_current_wal_flush_lsn() <= $2::pg_lsn",
		[][]byte{[]byte(file), []byte(start.String())}, nil, nil, nil).Read()
	if result.Err != nil {
		return false, fmt.Errorf("list the partner's WAL files: %w", result.Err)
	}
	return len(result.Rows) > 0, nil
}

// answerPatience bounds what a partner may take to say what it is; one that takes longer gives no answer.
const answerPatience = 3 * time.Second

// answer asks the partner what it is, whatever that is. Nothing that goes wrong is an error: it is silence, with
// the reason.
func (u Upstream) answer(ctx context.Context) actions.PartnerAnswer {
	ctx, cancel := context.WithTimeoutCause(ctx, answerPatience, fmt.Errorf("no answer within %s", answerPatience))
	defer cancel()
	a, err := u.state(ctx)
	if err != nil {
		return actions.PartnerAnswer{Silence: errors.Join(err, context.Cause(ctx)).Error()}
	}
	return a
}

func (u Upstream) state(ctx context.Context) (actions.PartnerAnswer, error) {
	c, err := u.connect(ctx, false)
	if err != nil {
		return actions.PartnerAnswer{}, err
	}
	defer c.close(ctx)
	row, err := c.row(ctx, "SELECT in_recovery, system, timeline, frozen, receives_from FROM twokey.partner_state()", 5)
	if err != nil {
		return actions.PartnerAnswer{}, fmt.Errorf("ask for its state: %w", err)
	}
	timeline, err := strconv.ParseUint(row[2], 10, 32)
	if err != nil {
		return actions.PartnerAnswer{}, fmt.Errorf("ask for its state: timeline %q: %w", row[2], err)
	}
	return actions.PartnerAnswer{
		SystemID: row[1], InRecovery: row[0] == "t", Frozen: row[3] == "t", Timeline: uint32(timeline), ReceivesFrom: row[4],
	}, nil
}

// ensureSlot makes the node's slot on the partner, unless it is there: a login for replication may.
func (u Upstream) ensureSlot(ctx context.Context) error {
	c, err := u.connect(ctx, true)
	if err != nil {
		return err
	}
	defer c.close(ctx)
	_, err = c.Exec(ctx, "CREATE_REPLICATION_SLOT "+sql.Identifier(u.Slot)+" PHYSICAL RESERVE_WAL").ReadAll()
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42710" { // it is there
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the slot %s on the partner: %w", u.Slot, err)
	}
	return nil
}

// rejoinOrder is what a rejoin that nobody ordered has to know, by the partner's own word.
func (u Upstream) rejoinOrder(ctx context.Context, name string) (actions.RejoinOrder, error) {
	src, err := u.identify(ctx)
	order := actions.RejoinOrder{Name: name, Timeline: src.timeline}
	if n := len(src.history); n > 0 {
		order.Fork = src.history[n-1].at
	}
	return order, err
}
