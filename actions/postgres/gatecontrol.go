package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
)

// Layout of WAL: pages with a header, a longer one at the start of a segment;
// records are continued after it.
const (
	pageSize         = 8192
	pageHeader       = 24
	segmentHeader    = 40
	shutdownCheckLen = 120 // a checkpoint record, aligned; the same from 15 to 18
)

// recordEnd is where a record of that aligned length ends that begins at start.
func recordEnd(start actions.LSN, length, segment uint64) actions.LSN {
	pos := uint64(start)
	for {
		space := pageSize - pos%pageSize
		if length <= space {
			return actions.LSN(pos + length)
		}
		length -= space
		pos += space
		pos += headerAt(pos, segment)
	}
}

// shutdownStart is where a shutdown checkpoint begins that ends at end.
func shutdownStart(end actions.LSN, segment uint64) actions.LSN {
	page := (uint64(end) - 1) / pageSize * pageSize
	here := uint64(end) - page - headerAt(page, segment) // of the record on the page where it ends
	if here >= shutdownCheckLen {
		return end - shutdownCheckLen
	}
	return actions.LSN(page - (shutdownCheckLen - here))
}

func headerAt(page, segment uint64) uint64 {
	if page%segment == 0 {
		return segmentHeader
	}
	return pageHeader
}

// position is how far a standby has replayed.
type position struct {
	lsn       actions.LSN
	streaming bool
}

func replayedTo(ctx context.Context, c *pgx.Conn) (position, error) {
	var p position
	err := c.QueryRow(ctx, `SELECT pg_last_wal_replay_lsn()::text,
		EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')`).Scan(lsnOf{&p.lsn}, &p.streaming)
	return p, err
}

// lastByControl goes by the control file. A shutdown checkpoint is told from
// one made while the server ran by its redo position, which is its own start:
// the other kind always has records between the two (running transactions, and
// from 17 on one that marks the redo position). It is the last record when it
// ends exactly where the replay stands.
func lastByControl(ctx context.Context, c *pgx.Conn, segment uint64) (actions.WALEnd, error) {
	p, err := replayedTo(ctx, c)
	if err != nil || p.streaming {
		return actions.WALEnd{End: p.lsn}, err
	}
	if _, err := c.Exec(ctx, "CHECKPOINT", pgx.QueryExecModeExec); err != nil {
		return actions.WALEnd{}, err
	}
	var end actions.WALEnd
	var start, redo actions.LSN
	var timeline uint32
	err = c.QueryRow(ctx, `SELECT pg_last_wal_replay_lsn()::text, checkpoint_lsn::text, redo_lsn::text, timeline_id::bigint
		FROM pg_control_checkpoint()`).Scan(lsnOf{&end.End}, lsnOf{&start}, lsnOf{&redo}, &timeline)
	if err != nil {
		return actions.WALEnd{}, err
	}
	if start == redo && recordEnd(start, shutdownCheckLen, segment) == end.End {
		end.LSN, end.Shutdown, end.Timeline = start, true, timeline
	}
	return end, nil
}
