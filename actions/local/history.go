package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"twokey/actions"
)

// fork is where a timeline was left by the next one.
type fork struct {
	timeline uint32
	at       actions.LSN
}

// parseHistory reads a timeline's history file: one line per former timeline, oldest first.
func parseHistory(text string) ([]fork, error) {
	var forks []fork
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("timeline history has the line %q", line)
		}
		timeline, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("timeline history has the line %q: %w", line, err)
		}
		at, err := actions.ParseLSN(fields[1])
		if err != nil {
			return nil, fmt.Errorf("timeline history has the line %q: %w", line, err)
		}
		forks = append(forks, fork{uint32(timeline), at})
	}
	return forks, nil
}

// source is the new primary as a rejoining node has to know it.
type source struct {
	systemID string
	timeline uint32
	history  []fork // of that timeline
}

// left tells where the source's history left a timeline; false when it never was on it, or still is.
func (src source) left(timeline uint32) (actions.LSN, bool) {
	for _, f := range src.history {
		if f.timeline == timeline {
			return f.at, true
		}
	}
	return 0, false
}

// timelineOf is the timeline under whose name the source has the WAL file that begins at start: one in which a
// timeline was left belongs to the next.
func (src source) timelineOf(start actions.LSN, segment uint64) uint32 {
	for _, f := range src.history {
		if f.at >= start+actions.LSN(segment) {
			return f.timeline
		}
	}
	return src.timeline
}

// finding is what the files of a stopped server say about its history, compared with the source's.
type finding struct {
	control Control
	// timeline is the newest that the server wrote or received by itself, before it knew the source's.
	timeline uint32
	// end is where its history on that timeline ends, 0 where that can't be shown.
	end actions.LSN
	// fork is where the source left the timeline, 0 if it didn't.
	fork actions.LSN
	// diverged says, for a person, why the server can't simply follow; empty when it can.
	diverged string
}

// compare finds out whether a stopped server's history is a part of the source's. It never says so on a guess:
// what can't be shown counts as diverged. The error says that the two are no pair, or that reading failed.
//
// The position that a server reports itself is no proof, and neither are WAL files of the source's timeline: a
// diverged server that was started as a standby receives those beside its own. What it wrote itself shows on
// the timelines before.
func (s Server) compare(ctx context.Context, src source) (finding, error) {
	c, err := s.Control(ctx)
	if err != nil {
		return finding{}, err
	}
	f := finding{control: c, timeline: c.Timeline}
	if c.SystemID != src.systemID {
		return f, fmt.Errorf("the server in %s is of system %s, its partner of system %s: they are no pair",
			s.DataDir, c.SystemID, src.systemID)
	}
	files, err := s.walFiles(c)
	if err != nil {
		return f, err
	}
	switch newest := files.newest(); {
	case newest > src.timeline || c.Timeline > src.timeline:
		f.timeline = max(newest, c.Timeline)
		f.diverged = fmt.Sprintf("its partner never was on its timeline %d", f.timeline)
	case newest == src.timeline && !c.State.recovering():
		f.timeline = newest
		f.diverged = fmt.Sprintf("it was a primary on its partner's timeline %d itself (%s)", newest, c.State)
	case c.Timeline == src.timeline:
		err = s.compareOnSame(ctx, &f, src, files)
	default:
		err = s.compareOnOlder(ctx, &f, src, files)
	}
	return f, err
}

// compareOnOlder looks at a server whose last checkpoint is on a timeline before the source's: its log on the
// newest timeline of its own must end where the source left that, or earlier.
func (s Server) compareOnOlder(ctx context.Context, f *finding, src source, files walFiles) error {
	from := f.control.Redo
	if own := files.newestBelow(src.timeline); own > f.control.Timeline {
		// It was promoted and died before its first checkpoint there.
		f.timeline, from = own, files.first(own)
	}
	at, left := src.left(f.timeline)
	if !left {
		f.diverged = fmt.Sprintf("its partner never was on its timeline %d", f.timeline)
		return nil
	}
	f.fork = at
	return s.judgeEnd(ctx, f, from)
}

// compareOnSame looks at a standby that has replayed a checkpoint of the source's timeline, and so has followed
// it before. What it still has of the timeline before must agree.
func (s Server) compareOnSame(ctx context.Context, f *finding, src source, files walFiles) error {
	own, err := s.ownHistory(f.timeline)
	if err != nil {
		f.diverged = fmt.Sprintf("the history of its timeline %d can't be read: %v", f.timeline, err)
		return nil
	}
	if !slices.Equal(own, src.history) {
		f.diverged = fmt.Sprintf("its timeline %d is another one than its partner's of that number", f.timeline)
		return nil
	}
	if err := s.seekEnd(ctx, f); err != nil || len(own) == 0 {
		return err
	}
	before := finding{control: f.control, timeline: own[len(own)-1].timeline, fork: own[len(own)-1].at}
	from := segmentOf(before.fork, f.control.SegmentBytes)
	if !files.has(before.timeline, from) {
		return nil
	}
	err = s.judgeEnd(ctx, &before, from)
	f.diverged = before.diverged
	return err
}

// seekEnd sets the finding's end for a standby, for which an end that is too low does no harm: it is only where
// its WAL receiver will begin to ask.
func (s Server) seekEnd(ctx context.Context, f *finding) error {
	f.end = max(f.control.MinRecovery, f.control.Checkpoint)
	last, err := s.lastRecord(ctx, f.control, f.timeline, f.control.Redo)
	if err != nil && !errors.Is(err, errEndUnclear) {
		return err
	}
	if last.start != 0 {
		f.end = last.end(f.control.SegmentBytes)
	}
	return nil
}

// judgeEnd reads the log on the finding's timeline and compares its end with the fork.
func (s Server) judgeEnd(ctx context.Context, f *finding, from actions.LSN) error {
	last, err := s.lastRecord(ctx, f.control, f.timeline, from)
	if errors.Is(err, errEndUnclear) {
		f.diverged = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	f.end = last.end(f.control.SegmentBytes)
	if last.start >= f.fork {
		f.diverged = fmt.Sprintf("its log goes on to %s, past %s where its partner left timeline %d", f.end, f.fork, f.timeline)
	}
	return nil
}

// ownHistory reads the history file of the server's timeline. The first one has none.
func (s Server) ownHistory(timeline uint32) ([]fork, error) {
	if timeline == 1 {
		return nil, nil
	}
	text, err := os.ReadFile(s.file(fmt.Sprintf("pg_wal/%08X.history", timeline)))
	if err != nil {
		return nil, err
	}
	return parseHistory(string(text))
}

func (s State) recovering() bool { return s == ShutDownInRecovery || s == InArchiveRecovery }
