package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"twokey/actions"
)

// rejoinSuffix marks the name under which a node streams until it was seen to follow. It is never one that the
// partner waits for.
const rejoinSuffix = "_rejoin"

// Rejoin implements [actions.Machine]. The order is what makes it safe:
//
//  1. The partner is reached with the node's own login before anything is touched.
//  2. The stopped server's log is read and compared with the partner's history. If it ends where that left it,
//     or before, the server may follow as it is.
//  3. If not, what was never acknowledged is listed in a file beside the data folder, and pg_rewind takes it
//     back, with a mark that keeps the server from starting until that has succeeded.
//  4. If that can't be done or fails, the partner is copied into a new folder, and the old one is kept until
//     the copy streams.
//  5. The server streams under a name that nobody waits for, and only then under its own.
//
// A server that follows already is left alone. Errors: [ErrNotReached], before anything was touched;
// [ErrStillPrimary]; others, after which the server is stopped or a standby under the name that nobody waits
// for. It can be called again after all of them, also after the bot was killed in between.
func (m *Machine) Rejoin(ctx context.Context, order actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	report, err := m.rejoin(ctx, order, progress)
	if err != nil {
		return report, fmt.Errorf("rejoin the server in %s: %w", m.Server.DataDir, err)
	}
	return report, nil
}

func (m *Machine) rejoin(ctx context.Context, order actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	if err := m.mendSwap(); err != nil {
		return actions.RejoinReport{}, err
	}
	if m.Upstream.Slot == "" {
		return actions.RejoinReport{}, errors.New("no slot on the partner is named for it")
	}
	follows, err := m.followsAlready(ctx, order)
	if err != nil {
		return actions.RejoinReport{How: actions.RejoinedAsIs}, err
	}
	src, err := m.Upstream.reach(ctx, order)
	if follows { // what an earlier attempt found is told all the same, where it can be
		return actions.RejoinReport{How: actions.RejoinedAsIs, Diverged: m.divergedBefore(src)}, nil
	}
	if err != nil {
		return actions.RejoinReport{}, err
	}
	if err := m.quiesce(ctx, progress); err != nil {
		return actions.RejoinReport{}, err
	}
	report, err := m.makeFit(ctx, src, progress)
	if report.Diverged == nil {
		report.Diverged = m.divergedBefore(src)
	}
	if err != nil {
		return report, err
	}
	if err := m.comeBack(ctx, order.Name, progress); err != nil {
		return report, err
	}
	report.Kept = m.dropKept()
	return report, nil
}

// followsAlready tells whether the server runs as a standby that has replayed something of the partner's
// timeline, by its control file, and streams under its name. Streaming alone would prove nothing: a diverged server does that, too. A
// partner that can't be asked is no error here: the next step names it.
func (m *Machine) followsAlready(ctx context.Context, order actions.RejoinOrder) (bool, error) {
	_, running, err := m.Server.Running(ctx)
	if err != nil || !running {
		return false, err
	}
	standby, err := m.Server.exists("standby.signal")
	if err != nil {
		return false, err
	}
	if !standby {
		return false, ErrStillPrimary
	}
	have, err := os.ReadFile(m.include())
	if err != nil || string(have) != m.Upstream.Config(order.Name) {
		return false, nil
	}
	c, err := m.Upstream.connect(ctx, false)
	if err != nil {
		return false, nil
	}
	defer c.close(ctx)
	return m.seenFollowing(ctx, c, order)
}

// followPatience is how long a standby gets to be seen following before it is stopped for not doing so: its
// partner hears a moment later what it has flushed, and its own control file lags.
const followPatience = 2 * time.Second

func (m *Machine) seenFollowing(ctx context.Context, c upstreamConn, order actions.RejoinOrder) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, followPatience)
	defer cancel()
	for {
		control, err := m.Server.Control(ctx)
		if err != nil && ctx.Err() == nil {
			return false, err
		}
		if err == nil && control.replayed() == order.Timeline {
			streams, err := c.streams(ctx, order.Name, m.Upstream.Slot, control.MinRecovery.String())
			if streams && err == nil {
				return true, nil
			}
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return false, nil
		}
	}
}

// quiesce stops a standby that runs but doesn't follow, and clears away what a killed server left.
func (m *Machine) quiesce(ctx context.Context, progress func(string)) error {
	_, running, err := m.Server.Running(ctx)
	if err != nil {
		return err
	}
	if running {
		progress("stopping the server: it is in recovery but doesn't follow its partner")
	}
	if err := m.Server.StopFast(ctx); err != nil {
		return err
	}
	return m.Server.clearStale(ctx)
}

// makeFit brings the stopped server's data to a point in the source's history.
func (m *Machine) makeFit(ctx context.Context, src source, progress func(string)) (actions.RejoinReport, error) {
	there, err := m.Server.exists("PG_VERSION")
	if err != nil {
		return actions.RejoinReport{}, err
	}
	if !there {
		progress("there is no cluster in its data folder: copying the partner")
		return actions.RejoinReport{How: actions.RejoinedFromCopy}, m.copyAnew(ctx, progress)
	}
	unfit, err := exists(m.Server.rewindMark())
	if err != nil {
		return actions.RejoinReport{}, err
	}
	if unfit {
		progress("an earlier pg_rewind was not finished: copying the partner anew")
		return actions.RejoinReport{How: actions.RejoinedFromCopy}, m.copyAnew(ctx, progress)
	}
	f, err := m.Server.compare(ctx, src)
	if err != nil {
		return actions.RejoinReport{}, err
	}
	report := actions.RejoinReport{How: actions.RejoinedAsIs, EndOfWA: f.end}
	if f.diverged == "" {
		progress(fmt.Sprintf("its log ends at %s, within its partner's history: nothing to take back", f.end))
	} else {
		progress("it can't simply follow: " + f.diverged)
		if report.Diverged, err = m.listDiverged(ctx, f, progress); err != nil {
			return report, err
		}
		if report.How, err = m.rewindOrCopy(ctx, f, src, progress); err != nil {
			return report, err
		}
	}
	report.How, err = m.unlessTooOld(ctx, f, src, report.How, progress)
	return report, err
}

func (m *Machine) rewindOrCopy(ctx context.Context, f finding, src source, progress func(string)) (string, error) {
	if why := notForRewind(f, src); why != "" {
		progress(why + ": copying the partner anew")
		return actions.RejoinedFromCopy, m.copyAnew(ctx, progress)
	}
	err := m.rewind(ctx, progress)
	if err == nil {
		return actions.RejoinedRewound, nil
	}
	if ctx.Err() != nil {
		return "", err
	}
	progress(fmt.Sprintf("pg_rewind failed, copying the partner anew: %v", err))
	return actions.RejoinedFromCopy, m.copyAnew(ctx, progress)
}

// notForRewind says why pg_rewind is no way back, "" when it may be one. On the source's own timeline it finds
// nothing to take back and calls that success, however far the two have diverged.
func notForRewind(f finding, src source) string {
	switch {
	case !f.control.Rewindable:
		return "pg_rewind can't work on it (neither checksums nor wal_log_hints)"
	case f.timeline == src.timeline:
		return fmt.Sprintf("pg_rewind sees no difference between two servers on timeline %d", f.timeline)
	}
	return ""
}

// unlessTooOld copies the partner anew where it has removed the log that the server would have to begin with:
// such a standby would ask for it for ever.
func (m *Machine) unlessTooOld(
	ctx context.Context, f finding, src source, how string, progress func(string),
) (string, error) {
	if how == actions.RejoinedFromCopy {
		return how, nil
	}
	from, err := m.Server.streamsFrom(f)
	if err != nil {
		return how, err
	}
	kept, err := m.Upstream.keeps(ctx, src, from, f.control.SegmentBytes)
	if err != nil {
		// Only the listing may be forbidden; whether it streams is seen in any case.
		progress(fmt.Sprintf("can't tell whether its partner still has the log from %s on: %v", from, err))
		return how, ctx.Err()
	}
	if kept {
		return how, nil
	}
	progress(fmt.Sprintf("its partner no longer has the log from %s on: copying the partner anew", from))
	return actions.RejoinedFromCopy, m.copyAnew(ctx, progress)
}

// streamsFrom is where the server will begin to ask for its partner's log: at the end of its own, or where
// pg_rewind says that recovery has to begin.
func (s Server) streamsFrom(f finding) (actions.LSN, error) {
	label, err := os.ReadFile(s.file("backup_label"))
	if errors.Is(err, os.ErrNotExist) {
		return max(f.end, f.control.MinRecovery), nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(label)) {
		if rest, ok := strings.CutPrefix(line, "START WAL LOCATION: "); ok {
			at, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return actions.ParseLSN(at)
		}
	}
	return 0, errors.New("backup_label doesn't say where recovery begins")
}

// comeBack starts the server under the name that nobody waits for, and renames it once it streams.
func (m *Machine) comeBack(ctx context.Context, name string, progress func(string)) error {
	if err := m.startStandby(ctx, name+rejoinSuffix); err != nil {
		return err
	}
	if err := m.checkIncluded(ctx, name+rejoinSuffix); err != nil {
		return err
	}
	progress("started as a standby, waiting until it streams")
	if err := m.awaitStreaming(ctx, name+rejoinSuffix); err != nil {
		return err
	}
	if _, err := m.writeUpstream(name); err != nil {
		return err
	}
	if err := m.Server.Reload(ctx); err != nil {
		return err
	}
	return m.awaitStreaming(ctx, name)
}

// checkIncluded catches a configuration that doesn't include what Machine writes.
func (m *Machine) checkIncluded(ctx context.Context, name string) error {
	conninfo, err := m.Server.setting(ctx, "primary_conninfo")
	if err != nil {
		return err
	}
	if conninfo != m.Upstream.conninfo(name) {
		return fmt.Errorf("the server's configuration doesn't take primary_conninfo from %s: add the line include '%s' at its end, and take it out of postgresql.auto.conf",
			m.include(), m.include())
	}
	return nil
}

// checkStreams is [Machine.checkIncluded] for a server that may be frozen, which streams under no name.
func (m *Machine) checkStreams(ctx context.Context, name string) error {
	conninfo, err := m.Server.setting(ctx, "primary_conninfo")
	if err != nil || conninfo == "" {
		return err
	}
	return m.checkIncluded(ctx, name)
}

// setting is what the server's configuration files give a setting, whether the server runs or not.
func (s Server) setting(ctx context.Context, name string) (string, error) {
	args := []string{"-C", name, "-D", s.DataDir}
	if s.ConfigFile != "" {
		args = append(args, "-c", "config_file="+s.ConfigFile)
	}
	out, err := s.command(ctx, "postgres", args...).Output()
	if err != nil {
		if told, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, tail(told.Stderr))
		}
		return "", fmt.Errorf("read %s from the configuration of %s: %w", name, s.DataDir, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// awaitStreaming waits until the partner sees the server stream under the name and have all that the partner
// had flushed when the wait began. The server's own end ends the wait with a [*StartError].
func (m *Machine) awaitStreaming(ctx context.Context, name string) error {
	c, err := m.Upstream.connect(ctx, false)
	if err != nil {
		return err
	}
	defer c.close(ctx)
	position, err := c.flushed(ctx)
	if err != nil {
		return err
	}
	for {
		streams, err := c.streams(ctx, name, m.Upstream.Slot, position)
		if err == nil && !streams {
			err = m.stillRuns(ctx)
		}
		if err != nil && ctx.Err() == nil || streams {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait until the server streams as %s: %w; its log ends with:\n%s",
				name, context.Cause(ctx), m.Server.logTail())
		}
	}
}

func (m *Machine) stillRuns(ctx context.Context) error {
	_, running, err := m.Server.Running(ctx)
	if err == nil && !running {
		err = &StartError{DataDir: m.Server.DataDir, Log: m.Server.logTail()}
	}
	return err
}
