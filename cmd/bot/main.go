// Command bot is twokey: two-person PostgreSQL failover from Slack.
//
// It wires the packages together and owns flags, signals, the admin socket and
// the demo; every decision is made elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the image holds this program and nothing else

	_ "golang.org/x/crypto/x509roots/fallback" // used only where the system has no certificate authorities

	"twokey/actions/local/janitor"
)

func main() {
	janitor.MaybeRun()
	os.Exit(mainWith(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are a command's standard streams; tests bring their own.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// exitError is an error with an exit code of its own. One without text was
// told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func mainWith(args []string, io streams) int { return mainWithin(args, io, seams{}) }

// mainWithin is mainWith for tests that stand between the served bot and its
// servers.
func mainWithin(args []string, io streams, test seams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(io, test)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err != nil {
			fmt.Fprintln(io.err, "bot:", exit.err)
		}
		return exit.code
	}
	fmt.Fprintln(io.err, "bot:", err)
	return 1
}
