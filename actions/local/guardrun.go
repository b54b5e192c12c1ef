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
	for ctx.Err() == nil {
		d, err := g.Look(ctx)
		if err == nil {
			g.tell(d.String())
			err = g.act(ctx, d, pass)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// act does what was decided; nil leads to the next look.
func (g *Guard) act(ctx context.Context, d actions.StartDecision, pass <-chan os.Signal) error {
	switch d.Kind {
	case actions.StartAsIs, actions.StartAlone:
		return g.replace(d)
	case actions.StartRecovery:
		return g.wait(ctx, pass)
	case actions.StartRejoin:
		if done, err := g.rejoin(ctx); done || err != nil {
			return err
		}
	}
	return pause(ctx, g.every())
}

// rejoin makes the server a standby of its partner, and leaves it stopped: the next look starts it as what it
// is then. What fails is told, and tried again after a while.
func (g *Guard) rejoin(ctx context.Context) (done bool, err error) {
	order, err := g.Machine.Upstream.rejoinOrder(ctx, g.Node)
	if err == nil {
		var report actions.RejoinReport
		report, err = g.Machine.Rejoin(ctx, order, g.tell)
		g.tell("rejoined: " + report.How)
	}
	if err != nil {
		g.tell("it could not be rejoined yet: " + err.Error())
	}
	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if stop := g.Machine.Server.StopFast(calm); stop != nil {
		return false, fmt.Errorf("stop the rejoined server, to start it under this platform: %w", stop)
	}
	return err == nil, nil
}

// stopPatience bounds a fast shutdown of a standby.
const stopPatience = time.Minute

// replace starts the server in this process's place.
func (g *Guard) replace(d actions.StartDecision) error {
	if err := g.ready(d); err != nil {
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

// ready takes a hold back from what will be a primary; a standby gets its own name again.
func (g *Guard) ready(d actions.StartDecision) error {
	if d.Primary {
		return g.Machine.release()
	}
	_, err := g.Machine.writeUpstream(g.Node)
	return err
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
			c.stop()
			return ctx.Err()
		case sig := <-pass:
			c.pass(sig)
		case <-again.C:
			if done, err := g.lookAgain(ctx, c); done || err != nil {
				c.stop()
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
	_, err = g.Machine.writeUpstream(g.Node + rejoinSuffix)
	return err
}

// lookAgain says whether the child has to be stopped for another decision.
func (g *Guard) lookAgain(ctx context.Context, c *child) (bool, error) {
	d, err := g.Look(ctx)
	if err != nil || d.Kind == actions.StartRecovery {
		return false, err
	}
	g.tell(d.String())
	if d.Kind != actions.StartAsIs || d.Primary {
		return true, nil
	}
	changed, err := g.Machine.writeUpstream(g.Node)
	if changed && err == nil {
		c.pass(unix.SIGHUP)
	}
	return false, err
}

// child is a server that runs below the guard.
type child struct {
	process *os.Process
	ended   chan error
}

// start runs the command. The server gets a fast shutdown when the guard dies, also by kill -9, for then the
// platform starts a new one. That hangs on the thread that started the server, which therefore waits for its end.
func (g *Guard) start() (*child, error) {
	cmd := exec.Command(g.Command[0], g.Command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = endedWithParent(g.Machine.Server.User.credential())
	c := &child{ended: make(chan error, 1)}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("the server's command can't be run: %w", err)
	}
	c.process = cmd.Process
	return c, nil
}

// pass sends a signal; a server that has ended needs none.
func (c *child) pass(sig os.Signal) { _ = c.process.Signal(sig) }

// stop orders a fast shutdown, never a smart one, which would wait for sessions to leave, and waits for it.
func (c *child) stop() {
	c.pass(unix.SIGINT)
	<-c.ended //nolint:errcheck // stopped on our order, whatever its code
}

// died is for a server that ended though nobody told it to: the platform starts everything anew.
func died(err error) error {
	if err == nil {
		return errEnded
	}
	return err
}

var errEnded = errors.New("the server ended although nobody told it to; look into its log")
