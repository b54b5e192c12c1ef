package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"twokey/actions"
)

// Guard decides at every start of a node's server what that may be, and starts it so: see [actions.MayStart].
// It is for platforms that start servers by themselves, a supervisor or Kubernetes, and stands before the
// server's own command there.
//
// A server that may run as it is replaces the guard's process: nothing is left between the platform and the
// server. One that must wait in recovery for its partner runs as the guard's child, streams under a name that
// nobody waits for, and is started anew as what it is once the partner was seen.
//
// What the guard has to know from one start to the next stands in files beside the data folder:
//
//	DATA.held    "held, timeline N": a primary by right, which its guard has put into recovery;
//	             "released, timeline N" once that is over, for the control file says so only later
//	DATA.alone   "alone, timeline N": it was left to take writes alone
//	DATA.order   what the bot, or a person, has ordered (JSON)
type Guard struct {
	Machine Machine
	// Node and Partner are their names, Node also the sync name.
	Node, Partner string
	// Rejoins says what may be taken back without an order.
	Rejoins actions.RejoinPolicy
	// OrderFile is where orders are read; empty is the data folder's path with ".order".
	OrderFile string
	// Command starts the server in the foreground.
	Command []string
	// Every is the pause between two looks while the server has to wait; 0 is two seconds.
	Every time.Duration
	// RejoinTimeout bounds one attempt to rejoin, a copy of everything included; 0 is half an hour.
	RejoinTimeout time.Duration
	// Told hears each decision once, and what is done besides.
	Told func(string)

	last string // what Told was told last
}

// Look gathers what is known now and decides. The server must not run, or in recovery under this guard.
func (g *Guard) Look(ctx context.Context) (actions.StartDecision, error) {
	e, err := g.evidence(ctx)
	if err != nil {
		return actions.StartDecision{}, err
	}
	return actions.MayStart(e), nil
}

func (g *Guard) evidence(ctx context.Context) (actions.StartEvidence, error) {
	e := actions.StartEvidence{Node: g.Node, Partner: g.Partner, Rejoins: g.Rejoins}
	var err error
	if e.Order, err = g.order(); err != nil {
		return e, err
	}
	if e.Own, err = g.Machine.ownData(ctx); err != nil {
		return e, fmt.Errorf("look at the data folder %s: %w", g.Machine.Server.DataDir, err)
	}
	e.Answer = g.Machine.Upstream.answer(ctx)
	if e.Own.Empty || e.Answer.Silence != "" || e.Answer.InRecovery || e.Answer.Timeline <= e.Own.Timeline {
		return e, nil
	}
	e.Own.Fits, e.Answer.Fork = g.compared(ctx, e.Own.Timeline)
	return e, nil
}

// compared holds the server's log against its partner's history. What can't be compared is not known to fit.
func (g *Guard) compared(ctx context.Context, timeline uint32) (actions.Fits, actions.LSN) {
	src, err := g.Machine.Upstream.identify(ctx)
	if err != nil {
		return actions.FitsUnknown, 0
	}
	fork, _ := src.left(timeline)
	if _, running, err := g.Machine.Server.Running(ctx); err != nil || running {
		return actions.FitsUnknown, fork
	}
	f, err := g.Machine.Server.compare(ctx, src)
	switch {
	case err != nil:
		g.tell("its log can't be compared with its partner's history: " + err.Error())
		return actions.FitsUnknown, fork
	case f.diverged != "":
		return actions.FitsNo, fork
	}
	return actions.FitsYes, fork
}

// order reads what was ordered. No file is no order; one that can't be read is an error, for it may say
// "stay down".
func (g *Guard) order() (actions.StartOrder, error) {
	path := g.OrderFile
	if path == "" {
		path = g.Machine.Server.DataDir + ".order"
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(text)) == "" {
		return actions.StartOrder{}, nil
	}
	var o actions.StartOrder
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err == nil && !o.Known() {
		err = fmt.Errorf("%q is no order", o.Kind)
	}
	if err != nil {
		return o, fmt.Errorf("the order in %s can't be read, so nothing is started; mend or remove it: %w", path, err)
	}
	return o, nil
}

// ownData reads what the node's folder, and the notes beside it, say.
func (m *Machine) ownData(ctx context.Context) (actions.OwnData, error) {
	var o actions.OwnData
	there, err := m.Server.exists("PG_VERSION")
	if err != nil || !there {
		o.Empty = !there
		return o, err
	}
	c, err := m.Server.Control(ctx)
	if err != nil {
		return o, err
	}
	o.SystemID = c.SystemID
	if o.Recovered, err = m.Server.recovered(c); err != nil {
		return o, err
	}
	if o.Timeline, err = m.Server.ownTimeline(c, o.Recovered); err != nil {
		return o, err
	}
	if o.Signal, err = m.Server.signalled(); err != nil {
		return o, err
	}
	if o.Names, err = m.Server.setting(ctx, "synchronous_standby_names"); err != nil {
		return o, err
	}
	files, err := m.Server.walFiles(c)
	if err != nil {
		return o, err
	}
	return o, m.readNotes(&o, files.newest())
}

// recovered says whether what the folder holds was received.
func (s Server) recovered(c Control) (bool, error) {
	label, err := s.exists("backup_label")
	return label || c.State.recovering(), err
}

// ownTimeline is the newest that a primary wrote, or that a standby has replayed for certain. A primary may have
// died before its first checkpoint on a new one: its files tell.
func (s Server) ownTimeline(c Control, recovered bool) (uint32, error) {
	if recovered {
		return c.replayed(), nil
	}
	files, err := s.walFiles(c)
	if err != nil {
		return 0, err
	}
	return max(c.Timeline, files.newest()), nil
}

func (s Server) signalled() (bool, error) {
	standby, err := s.exists("standby.signal")
	if err != nil || standby {
		return standby, err
	}
	return s.exists("recovery.signal")
}

func (m *Machine) readNotes(o *actions.OwnData, newest uint32) error {
	var err error
	if o.Unfit, err = exists(m.Server.rewindMark()); err != nil {
		return err
	}
	held, err := m.heldOn(*o)
	if err != nil {
		return err
	}
	// A note about another timeline is about what the folder held before. But a primary that died before its first
	// checkpoint on its timeline has replayed that only after a while.
	if held != 0 && (held == o.Timeline || held > o.Timeline && held == newest) {
		o.Held, o.Timeline = true, held
	}
	o.Alone, err = readNote(m.Server.aloneNote(), aloneText)
	return err
}

// heldOn is the timeline on which the server is held in recovery, 0 when it isn't. A note that the hold is over
// counts until the server has come up as a primary. It says nothing of a server with a standby.signal: somebody
// has made that one a standby since.
func (m *Machine) heldOn(o actions.OwnData) (uint32, error) {
	held, err := readNote(m.Server.heldNote(), heldText)
	if err != nil || held != 0 || o.Signal || !o.Recovered {
		return held, err
	}
	return readNote(m.Server.heldNote(), releasedText)
}

func (s Server) heldNote() string  { return s.DataDir + ".held" }
func (s Server) aloneNote() string { return s.DataDir + ".alone" }

const (
	heldText     = "held, timeline "
	releasedText = "released, timeline "
	aloneText    = "alone, timeline "
)

// readNote gives the note's timeline, 0 without one. One that can't be understood counts as none: then the server
// waits for its partner.
func readNote(path, words string) (uint32, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), words)
	if timeline, err := strconv.ParseUint(number, 10, 32); ok && err == nil {
		return uint32(timeline), nil
	}
	return 0, nil
}

// writeNote is durable when it returns nil.
func (m *Machine) writeNote(path, words string, timeline uint32) error {
	return m.Server.User.WriteFile(path, []byte(words+strconv.FormatUint(uint64(timeline), 10)+"\n"), 0o600)
}

// removeNote is durable when it returns nil.
func removeNote(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the note %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

var _ actions.AloneKeeper = (*Machine)(nil)

// NoteAlone implements [actions.AloneKeeper] by a file beside the data folder.
func (m *Machine) NoteAlone(_ context.Context, timeline uint32) error {
	return m.writeNote(m.Server.aloneNote(), aloneText, timeline)
}

// ForgetAlone implements [actions.AloneKeeper].
func (m *Machine) ForgetAlone(context.Context) error {
	if err := removeNote(m.Server.aloneNote()); err != nil {
		return err
	}
	if there, err := exists(m.Server.aloneNote()); err != nil || there {
		return errors.Join(err, fmt.Errorf("the note %s is still there", m.Server.aloneNote()))
	}
	return nil
}

// hold makes the next start one in recovery. That the server is a primary by right is noted first: dying in
// between leaves one that is still known as such.
func (m *Machine) hold(o actions.OwnData) error {
	if o.WasPrimary() && !o.Held {
		if err := m.writeNote(m.Server.heldNote(), heldText, o.Timeline); err != nil {
			return err
		}
	}
	if o.Signal {
		return nil
	}
	return errors.Join(m.Server.signalStandby(), syncFolder(m.Server.DataDir))
}

// release makes the next start one as a primary. Dying anywhere in between leaves a server that is known as one.
func (m *Machine) release(o actions.OwnData) error {
	if o.Held {
		if err := m.writeNote(m.Server.heldNote(), releasedText, o.Timeline); err != nil {
			return err
		}
	}
	return errors.Join(m.Server.removeSignals(), syncFolder(m.Server.DataDir))
}

// forgetHold is for a server that becomes a standby: from then on it is no primary by right.
func (m *Machine) forgetHold() error {
	there, err := exists(m.Server.heldNote())
	if err != nil || !there {
		return err
	}
	return removeNote(m.Server.heldNote())
}

func (g *Guard) tell(text string) {
	if g.Told != nil && text != g.last {
		g.Told(text)
	}
	g.last = text
}

func (g *Guard) every() time.Duration {
	if g.Every > 0 {
		return g.Every
	}
	return 2 * time.Second
}
