package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"twokey/actions"
)

// State is the state of a cluster in its control file. It is what the server wrote last: after a crash it
// still says that the server runs.
type State string

// The states that decide what may be done with a data folder.
const (
	ShutDown           State = "shut down"
	ShutDownInRecovery State = "shut down in recovery"
	InProduction       State = "in production"
	InArchiveRecovery  State = "in archive recovery"
)

// Clean tells whether the server's last run ended in good order.
func (s State) Clean() bool { return s == ShutDown || s == ShutDownInRecovery }

// Control is what matters of a data folder's control file.
type Control struct {
	State      State
	SystemID   string
	Checkpoint actions.LSN // start of the latest checkpoint's record
	Redo       actions.LSN // where recovery would begin
	Timeline   uint32      // of the latest checkpoint
	// MinRecovery is how far a standby must replay to be consistent, with its timeline; 0 on a primary.
	MinRecovery         actions.LSN
	MinRecoveryTimeline uint32
	SegmentBytes        uint64 // size of a WAL file
	// Rewindable tells whether pg_rewind can work on the folder: it has checksums or was written with wal_log_hints.
	Rewindable bool
}

// replayed is the newest timeline of which the server has replayed a record for certain.
func (c Control) replayed() uint32 { return max(c.Timeline, c.MinRecoveryTimeline) }

// Control reads the control file with pg_controldata, running or not.
func (s Server) Control(ctx context.Context) (Control, error) {
	out, err := s.command(ctx, "pg_controldata", s.DataDir).Output()
	if err == nil {
		var c Control
		if c, err = parseControl(string(out)); err == nil {
			return c, nil
		}
	}
	return Control{}, fmt.Errorf("read the control file of %s: %w", s.DataDir, err)
}

// parseControl reads the lines "label: value". Labels are English because the programs run under LC_ALL=C.
func parseControl(text string) (Control, error) {
	values := controlValues{found: map[string]string{}}
	for line := range strings.Lines(text) {
		if label, value, ok := strings.Cut(line, ":"); ok {
			values.found[label] = strings.TrimSpace(value)
		}
	}
	c := Control{
		State:               State(values.text("Database cluster state")),
		SystemID:            values.text("Database system identifier"),
		Checkpoint:          values.lsn("Latest checkpoint location"),
		Redo:                values.lsn("Latest checkpoint's REDO location"),
		Timeline:            uint32(values.number("Latest checkpoint's TimeLineID")),
		MinRecovery:         values.lsn("Minimum recovery ending location"),
		MinRecoveryTimeline: uint32(values.number("Min recovery ending loc's timeline")),
		SegmentBytes:        values.number("Bytes per WAL segment"),
	}
	checksums := values.number("Data page checksum version") > 0
	c.Rewindable = values.text("wal_log_hints setting") == "on" || checksums
	return c, errors.Join(values.problems...)
}

// controlValues collects what is missing or unreadable.
type controlValues struct {
	found    map[string]string
	problems []error
}

func (v *controlValues) text(label string) string {
	value, ok := v.found[label]
	if !ok {
		v.problems = append(v.problems, fmt.Errorf("there is no %q in it", label))
	}
	return value
}

func (v *controlValues) lsn(label string) actions.LSN {
	value := v.text(label)
	lsn, err := actions.ParseLSN(value)
	if err != nil && value != "" {
		v.problems = append(v.problems, fmt.Errorf("%s: %w", label, err))
	}
	return lsn
}

func (v *controlValues) number(label string) uint64 {
	value := v.text(label)
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil && value != "" {
		v.problems = append(v.problems, fmt.Errorf("%s: %w", label, err))
	}
	return n
}
