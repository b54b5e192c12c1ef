package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"twokey/actions"
)

// Machine gives the power over one node's server that [actions.Machine] asks for. It holds no state: what is
// true stands in the data folder and the process table, so any number of them, also of a bot that was just
// restarted, agree.
type Machine struct {
	Server Server
	// Upstream is the partner, from which the node streams when it is the standby.
	Upstream Upstream
	// Include is the configuration file outside of the data folder that the server's configuration includes
	// and that Machine writes primary_conninfo to. Empty is the data folder's path with ".upstream.conf".
	Include string
	// Log is told what was odd but didn't matter; nil tells nobody.
	Log *slog.Logger
}

var _ actions.Machine = (*Machine)(nil)

// ErrStillPrimary means that the server runs and would take writes: it must be stopped or fenced first.
var ErrStillPrimary = errors.New("the server still runs as a primary")

// ErrNotPrimary means that the server that was to be stopped is a standby.
var ErrNotPrimary = errors.New("the server is a standby, not the primary that was to be stopped")

// ErrNotClean means that the server's last run did not end in good order, so that it can't just follow.
var ErrNotClean = errors.New("the server was not shut down in good order")

// hardStop is how long a server may take after SIGQUIT before it is killed.
const hardStop = 5 * time.Second

func (m *Machine) include() string {
	if m.Include != "" {
		return m.Include
	}
	return m.Server.DataDir + ".upstream.conf"
}

func (m *Machine) log() *slog.Logger {
	if m.Log != nil {
		return m.Log
	}
	return slog.New(slog.DiscardHandler)
}

// Describe implements [actions.Fencer].
func (m *Machine) Describe() string {
	return fmt.Sprintf("kills every process of the server in %s on this machine; proof: the process table holds none, read again",
		m.Server.DataDir)
}

// Off implements [actions.Fencer]: it kills the server with all its processes. Unlike others of its kind it
// returns only when they are gone. When ctx ends before that, some may be killed: an *[actions.Uncertain].
func (m *Machine) Off(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("kill the server in %s: nothing was done: %w", m.Server.DataDir, context.Cause(ctx))
	}
	err := m.Server.Kill(ctx)
	if err != nil && ctx.Err() != nil {
		return &actions.Uncertain{Err: err}
	}
	return err
}

// Read implements [actions.Fencer]. A frozen server is on, and so is one of whose processes any is left.
func (m *Machine) Read(ctx context.Context) (actions.Power, error) {
	_, running, err := m.Server.Running(ctx)
	if err != nil {
		return actions.PowerUnknown, err
	}
	left, err := m.Server.Processes(ctx)
	if err != nil {
		return actions.PowerUnknown, fmt.Errorf("list the processes of %s: %w", m.Server.DataDir, err)
	}
	if running || len(left) > 0 {
		return actions.PowerOn, nil
	}
	return actions.PowerOff, nil
}

// Stop implements [actions.Machine]. It refuses a standby with [ErrNotPrimary]: what is to be stopped is a
// primary, and whoever finds another there has slept while the roles changed.
func (m *Machine) Stop(ctx context.Context) error {
	standby, err := m.Server.exists("standby.signal")
	if err == nil && standby {
		err = ErrNotPrimary
	}
	if err != nil {
		return fmt.Errorf("stop the server in %s: %w", m.Server.DataDir, err)
	}
	return m.Server.OrderFast(ctx)
}

// Stopped implements [actions.Machine]. A server here has nobody who would start it again by itself.
func (m *Machine) Stopped(ctx context.Context) error { return m.Server.Gone(ctx) }

// StopHard implements [actions.Machine]. What does not even end on SIGQUIT is killed.
func (m *Machine) StopHard(ctx context.Context) error { return m.Server.End(ctx, hardStop) }

// Start implements [actions.Machine]: it returns when the server lets sessions in. That the caller takes a stop
// back counts for [actions.MayStart], but not against a partner that was promoted: then the error is [ErrMayNot].
// Other errors: [ErrUnfit], and those of [Server.Start].
func (m *Machine) Start(ctx context.Context) error {
	_, running, err := m.Server.Running(ctx)
	if err == nil && !running {
		err = m.mayResume(ctx)
	}
	if err != nil {
		return err
	}
	if _, err := m.Server.Start(ctx); err != nil {
		return err
	}
	return m.Server.WaitReady(ctx)
}

// ErrMayNot means that the server may not be what it was asked to be.
var ErrMayNot = errors.New("the server may not start as a primary")

func (m *Machine) mayResume(ctx context.Context) error {
	own, err := m.ownData(ctx)
	if err != nil {
		return err
	}
	if own.Unfit {
		return fmt.Errorf("start the server in %s: %w", m.Server.DataDir, ErrUnfit)
	}
	d := actions.MayStart(actions.StartEvidence{
		Node: "the server in " + m.Server.DataDir, Partner: fmt.Sprintf("its partner at %s:%d", m.Upstream.Host, m.Upstream.Port),
		Own: own, Answer: m.Upstream.answer(ctx), Order: actions.StartOrder{Kind: actions.OrderResume},
	})
	if !d.Primary {
		return fmt.Errorf("%w: %s", ErrMayNot, d)
	}
	return nil
}

// Follow implements [actions.Machine]. It writes only what differs from what stands there, because it runs
// beside a promotion: what can be staged before should be.
//
// Errors: [ErrStillPrimary], [ErrNotClean], those of [Server.Start]; after any of them the server does not
// run as a primary by this call's doing.
func (m *Machine) Follow(ctx context.Context, name string) error {
	_, running, err := m.Server.Running(ctx)
	if err != nil {
		return err
	}
	if running {
		return m.followsAs(ctx, name)
	}
	if err := m.mustBeClean(ctx); err != nil {
		return err
	}
	return m.startStandby(ctx, name)
}

// mustBeClean returns [ErrNotClean] unless the stopped server's last run ended in good order.
func (m *Machine) mustBeClean(ctx context.Context) error {
	if m.Server.seenClean() {
		return nil
	}
	c, err := m.Server.Control(ctx)
	if err == nil && !c.State.Clean() {
		err = fmt.Errorf("start %s as a standby: %w: its control file says %q", m.Server.DataDir, ErrNotClean, c.State)
	}
	return err
}

// followsAs returns nil when the running server is a standby that streams under the name.
func (m *Machine) followsAs(ctx context.Context, name string) error {
	standby, err := m.Server.exists("standby.signal")
	if err != nil {
		return err
	}
	if !standby {
		return fmt.Errorf("start %s as a standby: %w", m.Server.DataDir, ErrStillPrimary)
	}
	changed, err := m.writeUpstream(name)
	if err != nil || !changed {
		return err
	}
	return m.Server.Reload(ctx)
}

// startStandby starts a stopped server as a standby under that name.
func (m *Machine) startStandby(ctx context.Context, name string) error {
	if err := m.makeStandby(name); err != nil {
		return err
	}
	if _, err := m.Server.Start(ctx); err != nil {
		return err
	}
	// Only after the start, which need not wait for the disk: a machine that loses its power in between
	// comes up without a running server, and nothing here starts one as a primary by itself.
	return syncFolder(m.Server.DataDir)
}

// makeStandby makes the next start of a stopped server one as a standby under that name. Only once the folder was
// synced does that outlive a power cut.
func (m *Machine) makeStandby(name string) error {
	if _, err := m.writeUpstream(name); err != nil {
		return err
	}
	if err := m.forgetHold(); err != nil {
		return err
	}
	if err := m.Server.dropOverrides(); err != nil {
		return fmt.Errorf("take back what ALTER SYSTEM set: %w", err)
	}
	if err := m.Server.signalStandby(); err != nil {
		return fmt.Errorf("make %s a standby: %w", m.Server.DataDir, err)
	}
	return nil
}

// writeUpstream makes the server stream from its partner under that name; true when that is a change.
func (m *Machine) writeUpstream(name string) (bool, error) {
	want := m.Upstream.Config(name)
	have, err := os.ReadFile(m.include())
	if err == nil && string(have) == want {
		return false, nil
	}
	return true, m.Server.User.WriteFile(m.include(), []byte(want), 0o600)
}

// signalStandby makes the next start one in recovery.
func (s Server) signalStandby() error {
	file, err := os.OpenFile(s.file("standby.signal"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), s.User.Own(file.Name()))
}

// Reload makes a running server read its configuration again. It returns at once; the server's processes take
// it over one after the other.
func (s Server) Reload(ctx context.Context) error { return s.order(ctx, unix.SIGHUP) }
