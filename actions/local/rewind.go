package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// rewind takes the server's own changes since the fork back. pg_rewind brings the source's configuration along
// with everything else, frozen conninfo and all, so the own files are put back. Until then the mark stands.
func (m *Machine) rewind(ctx context.Context, progress func(string)) error {
	own, err := m.Server.ownConfiguration()
	if err != nil {
		return err
	}
	if err := m.Server.User.WriteFile(m.Server.rewindMark(), nil, 0o600); err != nil {
		return err
	}
	// A crashed server is recovered by pg_rewind first, and that can't be done in standby mode.
	if err := m.Server.removeSignals(); err != nil {
		return err
	}
	progress("rewinding it to its partner's history with pg_rewind")
	args := []string{"--target-pgdata=" + m.Server.DataDir, "--source-server=" + m.Upstream.conninfo("twokey_rewind")}
	if m.Server.ConfigFile != "" {
		args = append(args, "--config-file="+m.Server.ConfigFile)
	}
	if err := m.Server.Run(ctx, "pg_rewind", args...); err != nil {
		return err
	}
	return m.clearMark(own)
}

// clearMark makes the data folder startable: its own configuration, in recovery, and only then without mark.
func (m *Machine) clearMark(own map[string][]byte) error {
	if err := m.Server.restoreConfiguration(m.Server.DataDir, own); err != nil {
		return err
	}
	if err := m.Server.signalStandby(); err != nil {
		return err
	}
	if err := syncFolder(m.Server.DataDir); err != nil {
		return err
	}
	return os.Remove(m.Server.rewindMark())
}

// ownConfiguration reads the configuration files in the data folder. Not every server has all of them there.
func (s Server) ownConfiguration() (map[string][]byte, error) {
	own := map[string][]byte{}
	for _, name := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf", "postgresql.auto.conf"} {
		text, err := os.ReadFile(s.file(name))
		if err == nil {
			own[name] = text
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return own, nil
}

func (s Server) restoreConfiguration(dataDir string, own map[string][]byte) error {
	for name, text := range own {
		if err := s.User.WriteFile(dataDir+"/"+name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s Server) removeSignals() error {
	for _, name := range []string{"standby.signal", "recovery.signal"} {
		if err := os.Remove(s.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// mostListed bounds the list of diverged records.
const mostListed = 64 << 20

// listDiverged writes what the server logged past the fork to a file beside the data folder, for people: those
// transactions may have been seen by somebody, and will be gone. It returns the file, "" when there is nothing
// to list. Where the log can't be read that is said in the file instead.
func (m *Machine) listDiverged(ctx context.Context, f finding, progress func(string)) (string, error) {
	if f.fork == 0 {
		return "", nil
	}
	path := fmt.Sprintf("%s.diverged-%d-%s.txt", m.Server.DataDir, f.timeline, strings.ReplaceAll(f.fork.String(), "/", "-"))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("list what was never acknowledged: %w", err)
	}
	list := divergedList{out: bufio.NewWriter(file)}
	list.printf("# What this server logged on timeline %d after %s, where its partner left it.\n", f.timeline, f.fork)
	err = m.Server.walk(ctx, f.timeline, f.fork, list.add)
	list.printf("# %d transactions committed here: %v\n", len(list.commits), list.commits)
	if err = errors.Join(err, list.out.Flush(), file.Sync(), file.Close(), m.Server.User.Own(path)); err != nil {
		return "", fmt.Errorf("list what was never acknowledged: %w", err)
	}
	progress(fmt.Sprintf("%d transactions of its own are taken back; they are listed in %s", len(list.commits), path))
	return path, nil
}

// divergedList collects in one pass.
type divergedList struct {
	out     *bufio.Writer
	bytes   int
	commits []uint64
}

func (l *divergedList) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(l.out, format, args...) // the writer keeps its first error for Flush
}

func (l *divergedList) add(line string) error {
	if strings.Contains(line, "desc: COMMIT") { // most records are none and needn't be taken apart
		if r, ok := parseRecord(line); ok && r.commit {
			l.commits = append(l.commits, r.xid)
		}
	}
	if l.bytes < mostListed {
		l.bytes += len(line)
		l.printf("%s", line)
	}
	return nil
}
