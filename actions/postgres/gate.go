package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/sql"
)

// LastRecord says how this standby's WAL ends as far as it was replayed. It is
// made for polling every few milliseconds while writers wait.
//
// Shutdown means: the last replayed record is a shutdown checkpoint, and
// nothing comes after it. Whether it belongs to the stop in question is the
// caller's to judge: its LSN must not lie before what the primary had flushed
// when the stop was ordered, for a primary that has been idle since a clean
// restart leaves an old one as the last record.
//
// With pg_walinspect the record itself is read, in one round trip. Without, or
// where that can't find it, a standby whose receiver no longer streams is told
// to make a restartpoint, after which its control file shows the last
// checkpoint; LSN stays 0 where that one isn't the last record.
func (n *Node) LastRecord(ctx context.Context) (actions.WALEnd, error) {
	var end actions.WALEnd
	err := n.look(ctx, func(s *session) (err error) {
		end, err = s.lastRecord(ctx)
		return err
	})
	if err != nil {
		return actions.WALEnd{}, fmt.Errorf("read the last record on %s: %w", n.opt.Node.Name, err)
	}
	return end, nil
}

func (s *session) lastRecord(ctx context.Context) (actions.WALEnd, error) {
	w, err := s.walAccess(ctx)
	if err != nil {
		return actions.WALEnd{}, err
	}
	if w.records != "" {
		end, err := lastByWAL(ctx, s.conn, w)
		if !notReadable(err) {
			return end, err
		}
	}
	return lastByControl(ctx, s.conn, w.segment)
}

// walAccess is how a session can look at the server's WAL.
type walAccess struct {
	records string // function of pg_walinspect that lists records, "" where the bot has none
	segment uint64 // bytes of a WAL segment
}

// walAccess finds the function wherever it was installed.
func (s *session) walAccess(ctx context.Context) (walAccess, error) {
	if s.wal != nil {
		return *s.wal, nil
	}
	var schema string
	var segment int64
	err := s.conn.QueryRow(ctx, `
		SELECT coalesce(max(n.nspname), ''), (SELECT bytes_per_wal_segment::bigint FROM pg_control_init())
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'pg_walinspect' AND p.proname = 'pg_get_wal_records_info'
			AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')`).Scan(&schema, &segment)
	if err != nil {
		return walAccess{}, err
	}
	if segment <= 0 || segment%pageSize != 0 {
		return walAccess{}, fmt.Errorf("%w: WAL segments of %d bytes", errGarbled, segment)
	}
	w := walAccess{segment: uint64(segment)}
	if schema != "" {
		w.records = sql.Identifier(schema) + ".pg_get_wal_records_info"
	}
	s.wal = &w
	return w, nil
}

// notReadable says that pg_walinspect found no record where it was told to
// look: none begins there, or the segment is gone already.
func notReadable(err error) bool {
	switch stateOf(err) {
	case stateInternal, stateNoFile, stateBadParameter:
		return true
	}
	return false
}

// lastByWAL reads the last record, from the page before the end. Where that
// finds none (the record is larger, or begins in an earlier segment) it looks
// exactly where a shutdown checkpoint would begin.
func lastByWAL(ctx context.Context, c *pgx.Conn, w walAccess) (actions.WALEnd, error) {
	// Not before the segment in which the WAL ends: an earlier one may end in
	// nothing, after a switch, or be gone.
	end, err := lastSince(ctx, c, w, fmt.Sprintf(
		"greatest(replay.lsn - %d, replay.lsn - 1 - mod(replay.lsn - 1 - '0/0', %d))", pageSize, w.segment))
	if !notReadable(err) {
		return end, err
	}
	at, err := replayedTo(ctx, c)
	if err != nil {
		return actions.WALEnd{}, err
	}
	return lastSince(ctx, c, w, sql.Literal(shutdownStart(at.lsn, w.segment).String())+"::pg_lsn")
}

// lastSince gives the record that ends where the replay does, if it begins at
// or after from. One snapshot of the replay position is used throughout.
func lastSince(ctx context.Context, c *pgx.Conn, w walAccess, from string) (actions.WALEnd, error) {
	var e actions.WALEnd
	err := c.QueryRow(ctx, `
		WITH replay AS MATERIALIZED (SELECT pg_last_wal_replay_lsn() AS lsn)
		SELECT replay.lsn::text, r.start_lsn::text,
			coalesce(r.resource_manager = 'XLOG' AND r.record_type = 'CHECKPOINT_SHUTDOWN', false),
			coalesce(substring(r.description FROM 'tli ([0-9]+)')::bigint, 0)
		FROM replay LEFT JOIN LATERAL (
			SELECT * FROM `+w.records+`(`+from+`, replay.lsn)) r ON r.end_lsn = replay.lsn`).
		Scan(lsnOf{&e.End}, lsnOf{&e.LSN}, &e.Shutdown, &e.Timeline)
	if err != nil {
		return actions.WALEnd{}, err
	}
	if !e.Shutdown {
		e.Timeline = 0
	}
	return e, nil
}

// lsnOf scans a WAL position from its text; NULL is 0.
type lsnOf struct{ to *actions.LSN }

func (l lsnOf) Scan(src any) error {
	*l.to = 0
	if src == nil {
		return nil
	}
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("%w: a WAL position of type %T", errGarbled, src)
	}
	v, err := actions.ParseLSN(text)
	if err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	*l.to = v
	return nil
}
