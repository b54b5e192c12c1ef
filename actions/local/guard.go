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
//	DATA.ordered "carried out: ID": the order of that id is over
//	DATA.report  what it has done, for the bot to ask by SQL (JSON)
type Guard struct {
	Machine Machine
	// Node and Partner are their names, Node also the sync name.
	Node, Partner string
	// Rejoins says what may be taken back without an order.
	Rejoins actions.RejoinPolicy
	// OrderFile is where orders are read; empty is the data folder's path with ".order".
	OrderFile string
	// Platform is a folder that the bot's platform fills, with the files "order" and
	// "alone" beside those at the data folder; empty for none.
	Platform string
	// Command starts the server in the foreground.
	Command []string
	// Every is the pause between two looks while the server has to wait; 0 is two seconds.
	Every time.Duration
	// RejoinTimeout bounds one attempt to rejoin, a copy of everything included; 0 is half an hour.
	RejoinTimeout time.Duration
	// Told hears each decision once, and what is done besides.
	Told func(string)

	last    string              // what Told was told last
	carried actions.GuardReport // the order that this process has carried out
}

// Look gathers what is known now and decides. The server must not run, or in recovery under this guard.
func (g *Guard) Look(ctx context.Context) (actions.StartDecision, error) {
	_, d, err := g.look(ctx)
	return d, err
}

func (g *Guard) look(ctx context.Context) (actions.StartEvidence, actions.StartDecision, error) {
	e, err := g.evidence(ctx)
	if err != nil {
		return e, actions.StartDecision{}, err
	}
	return e, actions.MayStart(e), nil
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
	if e.Own.Alone == 0 && g.Platform != "" {
		if e.Own.Alone, err = readNote(filepath.Join(g.Platform, "alone"), aloneText); err != nil {
			return e, fmt.Errorf("read the note of the platform: %w", err)
		}
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

// order reads what was ordered. Whoever orders at the data folder itself outweighs the platform, but for an order
// to stay down, which holds wherever it stands. One that was carried out is over.
func (g *Guard) order() (actions.StartOrder, error) {
	path := g.OrderFile
	if path == "" {
		path = g.Machine.Server.DataDir + ".order"
	}
	here, err := g.orderIn(path)
	if err != nil || g.Platform == "" {
		return here, err
	}
	if _, err := os.Stat(g.Platform); err != nil {
		return here, fmt.Errorf("the platform's orders can't be seen, so nothing is started; mount them, or leave --platform-dir out: %w", err)
	}
	there, err := g.orderIn(filepath.Join(g.Platform, "order"))
	if err == nil && (there.Kind == actions.OrderStayDown || here.Kind == actions.OrderNone) {
		return there, nil
	}
	return here, err
}

// orderIn reads one file, unless what it orders is over.
func (g *Guard) orderIn(path string) (actions.StartOrder, error) {
	o, err := readOrder(path)
	if err != nil || o.ID == "" {
		return o, err
	}
	over, err := g.Machine.carriedOut()
	if err != nil {
		return o, fmt.Errorf("read which order was carried out last: %w", err)
	}
	if o.ID == over {
		return actions.StartOrder{}, nil
	}
	return o, nil
}

// readOrder reads one file. None is no order; one that can't be read is an error, for it may say "stay down".
func readOrder(path string) (actions.StartOrder, error) {
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
	o.Clean = c.State == ShutDown && !o.Recovered
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

const carriedText = "carried out: "

// carriedOut is the id of the last order that was carried out, "" for none.
func (m *Machine) carriedOut() (string, error) {
	text, err := os.ReadFile(m.Server.DataDir + ".ordered")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	id, _ := strings.CutPrefix(strings.TrimSpace(string(text)), carriedText)
	return id, err
}

// over notes that an order is over: carried out, or of no use any more. One without an id stands on.
func (g *Guard) over(o actions.StartOrder, rejoin *actions.RejoinReport) error {
	if o.ID == "" {
		return nil
	}
	g.carried = actions.GuardReport{Order: o.ID, Rejoin: rejoin}
	path := g.Machine.Server.DataDir + ".ordered"
	if err := g.Machine.Server.User.WriteFile(path, []byte(carriedText+o.ID+"\n"), 0o600); err != nil {
		return fmt.Errorf("note that order %s is over: %w", o.ID, err)
	}
	return nil
}

// report leaves word of what the server is started as. The last order's report stays until another one is over.
func (g *Guard) report(d actions.StartDecision) error {
	path := g.Machine.Server.DataDir + ".report"
	left := g.carried
	if before, err := readReport(path); err == nil && left.Order == "" {
		left = before
	}
	left.Decision = d.String()
	text, err := json.Marshal(left)
	if err != nil { // only strings and numbers
		panic(err)
	}
	if err := g.Machine.Server.User.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("leave word of the start: %w", err)
	}
	return nil
}

func readReport(path string) (actions.GuardReport, error) {
	var left actions.GuardReport
	text, err := os.ReadFile(path)
	if err != nil {
		return left, err
	}
	return left, json.Unmarshal(text, &left)
}

// Last is what was told last.
func (g *Guard) Last() string { return g.last }

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
