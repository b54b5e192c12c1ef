package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"
)

// BackupProgress describes the base backup that runs from this node, "" when
// none runs. The total is known only after the server has estimated it.
func (n *Node) BackupProgress(ctx context.Context) (string, error) {
	var text string
	err := n.look(ctx, func(s *session) error {
		var phase string
		var streamed int64
		var total *int64
		err := s.conn.QueryRow(ctx, `SELECT coalesce(phase, ''), coalesce(backup_streamed, 0), backup_total
			FROM pg_stat_progress_basebackup ORDER BY backup_streamed DESC NULLS LAST LIMIT 1`).Scan(&phase, &streamed, &total)
		if errors.Is(err, pgx.ErrNoRows) {
			text = ""
			return nil
		}
		text = progressText(phase, streamed, total)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the base backup's progress on %s: %w", n.opt.Node.Name, err)
	}
	return text, nil
}

func progressText(phase string, streamed int64, total *int64) string {
	done := humanize.IBytes(uint64(max(0, streamed)))
	if total == nil || *total <= 0 {
		return fmt.Sprintf("%s, %s", phase, done)
	}
	// The estimate can be exceeded; a hundred per cent is where it ends.
	percent := min(100, streamed*100 / *total)
	return fmt.Sprintf("%s, %s of %s (%d %%)", phase, done, humanize.IBytes(uint64(*total)), percent)
}
