package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"twokey/actions"
)

// Run decides, acts and starts, until the server has replaced this process (then it doesn't return), or ctx
// ends: then a server that runs as its child gets a fast shutdown. Signals of others to that server come in by
// pass: SIGHUP and SIGQUIT.
//
// Errors: nil when ctx ended and nothing runs any more; an *exec.ExitError with the code of a server that ended
// as its child; others say what could not be done.
func (g *Guard) Run(ctx context.Context, pass <-chan os.Signal) error {
	g.Machine.Server.tied = true
	if err := g.settle(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		e, d, err := g.look(ctx)
		if err == nil {
			g.tell(d.String())
			err = g.act(ctx, e, d, pass)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// ErrRuns means that a server runs in the data folder already, and not in recovery: nothing can be decided for it.
var ErrRuns = errors.New("a server runs as a primary already; stop it, or leave it alone")

// settle puts in order what a guard that was killed has left: half a swap of data folders, a server in recovery.
func (g *Guard) settle(ctx context.Context) error {
	m := &g.Machine
	if err := m.mendSwap(); err != nil {
		return err
	}
	_, running, err := m.Server.Running(ctx)
	if err != nil || !running {
		return err
	}
	if signalled, err := m.Server.signalled(); err != nil || !signalled {
		return errors.Join(err, fmt.Errorf("guard the start of the server in %s: %w", m.Server.DataDir, ErrRuns))
	}
	g.tell("stopping the server in recovery that an earlier guard has left")
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	return m.Server.StopFast(ctx)
}

// act does what was decided; nil leads to the next look.
func (g *Guard) act(ctx context.Context, e actions.StartEvidence, d actions.StartDecision, pass <-chan os.Signal) error {
	if e.Voids() {
		if err := g.over(e.Order, nil); err != nil {
			return err
		}
	}
	switch d.Kind {
	case actions.StartAsIs, actions.StartAlone, actions.StartFollow:
		return g.replace(ctx, e.Order, d)
	case actions.StartRecovery:
		return g.wait(ctx, pass)
	case actions.StartRejoin:
		if done, err := g.rejoin(ctx, e.Order); done || err != nil {
			return err
		}
	}
	return pause(ctx, g.every())
}

// rejoin makes the server a standby of its partner, and leaves it stopped: the next look starts it as what it
// is then. What fails is told, and tried again after a while.
func (g *Guard) rejoin(ctx context.Context, o actions.StartOrder) (done bool, err error) {
	report, err := g.rejoinInTime(ctx, o)
	if err == nil {
		g.tell("rejoined: " + report.How)
	} else {
		g.tell("it could not be rejoined yet: " + err.Error())
	}
	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if stop := g.Machine.Server.StopFast(calm); stop != nil {
		return false, fmt.Errorf("stop the rejoined server, to start it under this platform: %w", stop)
	}
	if err != nil {
		return false, nil // told, and tried again
	}
	if o.Kind != actions.OrderRejoin { // it rejoined by itself; what else is ordered stands
		return true, nil
	}
	return true, g.over(o, &report)
}

func (g *Guard) rejoinInTime(ctx context.Context, o actions.StartOrder) (actions.RejoinReport, error) {
	patience := g.RejoinTimeout
	if patience <= 0 {
		patience = actions.DefaultTimeouts().Rejoin
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %s", patience))
	defer cancel()
	order, err := g.rejoinOrder(ctx, o)
	if err != nil {
		return actions.RejoinReport{}, err
	}
	if err := g.Machine.Upstream.ensureSlot(ctx); err != nil {
		return actions.RejoinReport{}, err
	}
	return g.Machine.Rejoin(ctx, order, g.tell)
}

// rejoinOrder is what the partner says of itself, and the fork that was ordered, if one was.
func (g *Guard) rejoinOrder(ctx context.Context, written actions.StartOrder) (actions.RejoinOrder, error) {
	order, err := g.Machine.Upstream.rejoinOrder(ctx, g.Node)
	if err != nil {
		return order, err
	}
	if written.Kind == actions.OrderRejoin {
		order.Timeline = written.Timeline
		if written.Fork != 0 {
			order.Fork = written.Fork
		}
	}
	return order, nil
}

// stopPatience bounds a fast shutdown of a standby.
const stopPatience = time.Minute

// replace starts the server in this process's place.
func (g *Guard) replace(ctx context.Context, o actions.StartOrder, d actions.StartDecision) error {
	if err := g.ready(ctx, d); err != nil {
		return err
	}
	if o.ID != "" && o.Kind != actions.OrderStayDown { // it holds for one start, and this is it
		if err := g.over(o, nil); err != nil {
			return err
		}
	}
	if err := g.report(d); err != nil {
		return err
	}
	path, err := exec.LookPath(g.Command[0])
	if err != nil {
		return fmt.Errorf("the server's command can't be run: %w", err)
	}
	if err := g.Machine.Server.User.become(); err != nil {
		return fmt.Errorf("become the server's user: %w", err)
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, g.Command, os.Environ()))
}

// ready takes a hold back from what will be a primary, and sees to it that anything else comes up in recovery,
// under its own name.
func (g *Guard) ready(ctx context.Context, d actions.StartDecision) error {
	own, err := g.Machine.ownData(ctx)
	if err != nil || own.Empty {
		return err
	}
	if d.Kind == actions.StartFollow {
		if err := g.Machine.makeStandby(g.Node); err != nil {
			return err
		}
		return errors.Join(syncFolder(g.Machine.Server.DataDir), g.Machine.checkStreams(ctx, g.Node))
	}
	if _, err := g.Machine.writeUpstream(g.Node); err != nil {
		return err
	}
	if d.Primary {
		return g.Machine.release(own)
	}
	if err := g.Machine.hold(own); err != nil {
		return fmt.Errorf("keep %s in recovery: %w", g.Machine.Server.DataDir, err)
	}
	return g.Machine.checkStreams(ctx, g.Node)
}

// wait runs the server in recovery until it may be more, or may not even be that: then it is stopped for the
// next decision. A standby that may follow under its own name is let do so where it runs.
func (g *Guard) wait(ctx context.Context, pass <-chan os.Signal) error {
	if err := g.enterRecovery(ctx); err != nil {
		return err
	}
	c, err := g.start()
	if err != nil {
		return err
	}
	again := time.NewTicker(g.every())
	defer again.Stop()
	for {
		select {
		case err := <-c.ended:
			return died(err)
		case <-ctx.Done():
			c.stop(pass)
			return ctx.Err()
		case sig := <-pass:
			c.pass(sig)
		case <-again.C:
			if done, err := g.lookAgain(ctx, c); done || err != nil {
				c.stop(pass)
				return err
			}
		}
	}
}

// enterRecovery keeps the server from being a primary, and from acknowledging anything for its partner.
func (g *Guard) enterRecovery(ctx context.Context) error {
	own, err := g.Machine.ownData(ctx)
	if err != nil {
		return err
	}
	if err := g.Machine.hold(own); err != nil {
		return fmt.Errorf("make %s start in recovery: %w", g.Machine.Server.DataDir, err)
	}
	name := g.Node + rejoinSuffix
	if _, err := g.Machine.writeUpstream(name); err != nil {
		return err
	}
	return g.Machine.checkStreams(ctx, name)
}

// lookAgain says whether the child has to be stopped for another decision.
func (g *Guard) lookAgain(ctx context.Context, c *child) (bool, error) {
	if promoted, err := g.promoted(); promoted || err != nil {
		return false, err
	}
	e, d, err := g.look(ctx)
	if err == nil && e.Voids() {
		err = g.over(e.Order, nil)
	}
	if err != nil || d.Kind == actions.StartRecovery {
		return false, err
	}
	if promoted, err := g.promoted(); promoted || err != nil { // while it was looked
		return false, err
	}
	g.tell(d.String())
	if d.Kind != actions.StartAsIs || d.Primary {
		return true, nil
	}
	if _, running, err := g.Machine.Server.Running(ctx); !running || err != nil {
		return false, err // it has just been begun, and a signal would end it
	}
	changed, err := g.Machine.writeUpstream(g.Node)
	if changed && err == nil {
		c.pass(unix.SIGHUP)
	}
	return false, err
}

// promoted says whether the server in recovery has been promoted meanwhile. Whoever does that answers for it, so
// nothing is left to decide until its next start.
func (g *Guard) promoted() (bool, error) {
	signalled, err := g.Machine.Server.signalled()
	if err != nil || signalled {
		return false, err
	}
	g.tell("the server was promoted: it runs on, and the guard only passes signals on to it")
	return true, nil
}

// child is a server that runs below the guard.
type child struct {
	process *os.Process
	ended   <-chan error
}

// start runs the command.
func (g *Guard) start() (*child, error) {
	cmd := exec.Command(g.Command[0], g.Command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	ended, err := startTied(cmd, g.Machine.Server.User.credential())
	if err != nil {
		return nil, fmt.Errorf("the server's command can't be run: %w", err)
	}
	return &child{cmd.Process, ended}, nil
}

// startTied starts a server that gets a fast shutdown when this process dies, also by kill -9, for then the platform
// starts a new guard. That hangs on the thread that started the server, which therefore waits for its end.
func startTied(cmd *exec.Cmd, as *syscall.Credential) (<-chan error, error) {
	cmd.SysProcAttr = endedWithParent(as)
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return ended, <-started
}

// pass sends a signal; a server that has ended needs none.
func (c *child) pass(sig os.Signal) { _ = c.process.Signal(sig) }

// stop orders a fast shutdown, never a smart one, which would wait for sessions to leave, and waits for it. A
// platform that loses its patience may send more.
func (c *child) stop(pass <-chan os.Signal) {
	c.pass(unix.SIGINT)
	for {
		select {
		case <-c.ended: //nolint:errcheck // stopped on our order, whatever its code
			return
		case sig := <-pass:
			c.pass(sig)
		}
	}
}

// died is for a server that ended though nobody told it to: the platform starts everything anew.
func died(err error) error {
	if err == nil {
		return errEnded
	}
	return err
}

var errEnded = errors.New("the server ended although nobody told it to; look into its log")
