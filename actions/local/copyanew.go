package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// copyAnew replaces the server's data by a base backup of the partner. The copy is made beside the old folder
// and takes its place when it is complete; the old one is kept until [Machine.dropKept].
func (m *Machine) copyAnew(ctx context.Context, progress func(string)) error {
	own, err := m.Server.ownConfiguration()
	if err != nil {
		return err
	}
	fresh := m.fresh()
	if err := os.RemoveAll(fresh); err != nil { // of a copy that was broken off
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the folder for the copy: %w", err)
	}
	if err := m.Server.User.Own(fresh); err != nil {
		return err
	}
	progress("copying the partner with pg_basebackup into " + fresh)
	err = m.Server.Run(ctx, "pg_basebackup", "--pgdata="+fresh, "--dbname="+m.Upstream.conninfo("twokey_copy"),
		"--checkpoint=fast", "--wal-method=stream", "--no-password")
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := m.Server.restoreConfiguration(fresh, own); err != nil {
		return err
	}
	// Before it takes its place: from then on nobody may be able to start it as a primary.
	copied := m.Server
	copied.DataDir = fresh
	if err := errors.Join(copied.signalStandby(), syncFolder(fresh)); err != nil {
		return err
	}
	return m.swap()
}

func (m *Machine) fresh() string { return m.Server.DataDir + ".new" }
func (m *Machine) kept() string  { return m.Server.DataDir + ".old" }

// swap puts the complete copy into the old folder's place. Dying in between leaves either the old folder, or
// none and both others: see mendSwap. An older kept folder stays: what would replace it is only a copy that
// never streamed.
func (m *Machine) swap() error {
	if err := m.putAside(); err != nil {
		return fmt.Errorf("put the old data folder aside: %w", err)
	}
	if err := os.Rename(m.fresh(), m.Server.DataDir); err != nil {
		return fmt.Errorf("put the copy in place: %w", err)
	}
	if err := syncFolder(filepath.Dir(m.Server.DataDir)); err != nil {
		return err
	}
	if err := os.Remove(m.Server.rewindMark()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// putAside keeps the old folder, unless one is kept already or there is none.
func (m *Machine) putAside() error {
	kept, err := exists(m.kept())
	if err != nil {
		return err
	}
	if kept {
		return os.RemoveAll(m.Server.DataDir)
	}
	if err := os.Rename(m.Server.DataDir, m.kept()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// mendSwap undoes half a swap: the old folder goes back to its place.
func (m *Machine) mendSwap() error {
	there, err := exists(m.Server.DataDir)
	if err != nil || there {
		return err
	}
	kept, err := exists(m.kept())
	if err != nil || !kept {
		return err
	}
	return os.Rename(m.kept(), m.Server.DataDir)
}

// dropKept removes the old data once the new standby streams. It gives the folder where that failed, else "".
func (m *Machine) dropKept() string {
	if err := os.RemoveAll(m.kept()); err != nil {
		m.log().Warn("the old data folder could not be removed", "folder", m.kept(), "error", err)
		return m.kept()
	}
	return ""
}
