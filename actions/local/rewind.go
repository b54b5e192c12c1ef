package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"twokey/actions"
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
// transactions may have been seen by somebody, and will be gone. The file has no rows in it. nil when the two
// histories don't part on the server's own timeline. Where the log can't be read that is said in the file.
func (m *Machine) listDiverged(ctx context.Context, f finding, progress func(string)) (*actions.Diverged, error) {
	from := f.fork
	if from == 0 {
		var err error
		if from, err = m.Server.beganAt(f.timeline); err != nil {
			progress(fmt.Sprintf("what it committed alone can't be listed: %v", err))
			return &actions.Diverged{Count: -1, To: f.end}, nil
		}
	}
	found := actions.Diverged{From: from, To: f.end, File: m.divergedFile(f.timeline, from)}
	if err := m.writeDiverged(ctx, f.timeline, &found); err != nil {
		return nil, fmt.Errorf("list what was never acknowledged: %w", err)
	}
	progress(fmt.Sprintf("%d transactions of its own are taken back; they are listed in %s", found.Count, found.File))
	return &found, nil
}

// beganAt is where the server's own timeline left the one before.
func (s Server) beganAt(timeline uint32) (actions.LSN, error) {
	own, err := s.ownHistory(timeline)
	if err != nil || len(own) == 0 {
		return 0, errors.Join(fmt.Errorf("where its timeline %d began is not known", timeline), err)
	}
	return own[len(own)-1].at, nil
}

func (m *Machine) divergedFile(timeline uint32, from actions.LSN) string {
	return fmt.Sprintf("%s.diverged-%d-%s.txt", m.Server.DataDir, timeline, strings.ReplaceAll(from.String(), "/", "-"))
}

// divergedMark begins the line of the file from which a later attempt reads the report.
const divergedMark = "# report: "

func (m *Machine) writeDiverged(ctx context.Context, timeline uint32, found *actions.Diverged) error {
	file, err := os.OpenFile(found.File, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	list := divergedList{out: bufio.NewWriter(file)}
	list.printf("# What this server logged on timeline %d after %s, where its partner left it.\n", timeline, found.From)
	err = m.Server.walk(ctx, timeline, found.From, list.add)
	list.printf("# %d transactions committed here: %v\n", len(list.commits), list.commits)
	found.Count, found.XIDs = len(list.commits), list.commits[:min(len(list.commits), actions.DivergedXIDs)]
	report, jerr := json.Marshal(found)
	list.printf("%s%s\n", divergedMark, report)
	return errors.Join(err, jerr, list.out.Flush(), file.Chmod(0o600), file.Sync(), file.Close(), m.Server.User.Own(found.File), syncFolder(filepath.Dir(found.File)))
}

// divergedBefore reads the report of an earlier attempt at the same fork, nil when there is none: what was
// rewound or copied since then shows nothing any more.
func (m *Machine) divergedBefore(src source) *actions.Diverged {
	if len(src.history) == 0 {
		return nil
	}
	last := src.history[len(src.history)-1]
	text, err := os.ReadFile(m.divergedFile(last.timeline, last.at))
	if err != nil {
		return nil
	}
	_, report, found := strings.Cut(string(text), "\n"+divergedMark)
	var d actions.Diverged
	if !found || json.Unmarshal([]byte(report), &d) != nil {
		return nil
	}
	return &d
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
		line = withoutPayload(line)
		l.bytes += len(line)
		l.printf("%s", line)
	}
	return nil
}

// withoutPayload leaves out the one thing of an application's data that pg_waldump prints: the content of
// logical messages.
func withoutPayload(line string) string {
	if strings.HasPrefix(line, "rmgr: LogicalMessage") {
		if head, _, found := strings.Cut(line, "; payload"); found {
			return head + "; payload left out\n"
		}
	}
	return line
}
