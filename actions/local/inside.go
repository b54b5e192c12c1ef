package local

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"twokey/actions"
)

var _ actions.Insider = (*Machine)(nil)

// Inside implements [actions.Insider]: a server here runs on this machine, so what is tried from here with its
// own login is tried from within the node. A standby doesn't try: it shows that by streaming, and for a moment
// it would be one walsender more on a primary that is just being looked at.
func (m *Machine) Inside(ctx context.Context) actions.Inside {
	in := actions.Inside{DiskFree: m.Server.diskFree()}
	standby, err := m.Server.exists("standby.signal")
	if err == nil && !standby {
		err = m.Upstream.try(ctx)
	}
	if err != nil {
		in.Login = err.Error()
	}
	return in
}

// try logs in at the partner in both ways that a rejoin needs, whether that one is a primary now or a standby.
func (u Upstream) try(ctx context.Context) error {
	return errors.Join(
		u.tryOne(ctx, true, "IDENTIFY_SYSTEM", "for replication"),
		u.tryOne(ctx, false, "SELECT FROM pg_control_checkpoint()", "for pg_rewind"),
	)
}

func (u Upstream) tryOne(ctx context.Context, replication bool, question, purpose string) error {
	c, err := u.connect(ctx, replication)
	if err != nil {
		return fmt.Errorf("%s: %w", purpose, err)
	}
	defer c.close(ctx)
	if _, err := c.Exec(ctx, question).ReadAll(); err != nil {
		return fmt.Errorf("%s: %w", purpose, err)
	}
	return nil
}

// diskFree is what the server's user may still write, in bytes, where its data and its log lie, whichever is
// less; -1 when that can't be told.
func (s Server) diskFree() int64 {
	least := int64(-1)
	for _, folder := range []string{s.DataDir, s.file("pg_wal")} {
		var stat unix.Statfs_t
		if err := unix.Statfs(folder, &stat); err != nil {
			return -1
		}
		free := int64(stat.Bavail) * int64(stat.Bsize) //nolint:unconvert // of another type elsewhere than on Linux
		if least < 0 || free < least {
			least = free
		}
	}
	return least
}
