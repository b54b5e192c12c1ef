package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// OrderFast asks the server for a fast shutdown (sessions end, what was written is sent to the standby, then
// the shutdown checkpoint) and returns at once. A server that doesn't run is left alone.
func (s Server) OrderFast(ctx context.Context) error { return s.order(ctx, unix.SIGINT) }

// StopFast orders a fast shutdown and waits for its end as [Server.Gone] does.
func (s Server) StopFast(ctx context.Context) error {
	if err := s.OrderFast(ctx); err != nil {
		return err
	}
	return s.Gone(ctx)
}

// StopImmediate ends the server without a checkpoint, as a power cut would, and waits for its end. Its next
// start recovers from the log.
func (s Server) StopImmediate(ctx context.Context) error {
	if err := s.order(ctx, unix.SIGQUIT); err != nil {
		return err
	}
	return s.Gone(ctx)
}

func (s Server) order(ctx context.Context, sig unix.Signal) error {
	h, file, err := s.postmaster(ctx)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the server in %s: %w", s.DataDir, err)
	}
	defer h.close()
	if file.single {
		return fmt.Errorf("stop the server in %s: process %d is recovering it without a postmaster, wait for its end",
			s.DataDir, file.pid)
	}
	if err := h.signal(sig); err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("stop the server in %s: %w", s.DataDir, err)
	}
	return nil
}

// Gone waits until no process of the server is left. It returns the moment when the postmaster ends, also
// when that lingers as a zombie. The error is ctx's, or says that the processes can't be told.
func (s Server) Gone(ctx context.Context) error {
	watched, err := s.postmasterGone(ctx)
	for err == nil {
		var gone bool
		if gone, err = s.nothingLeft(ctx, watched); gone {
			return nil
		}
		if err == nil {
			err = pause(ctx, 2*time.Millisecond)
		}
	}
	return fmt.Errorf("wait for the end of the server in %s: %w", s.DataDir, err)
}

// postmasterGone waits for the postmaster's end; the first result tells whether there was one to watch.
func (s Server) postmasterGone(ctx context.Context) (bool, error) {
	h, file, err := s.postmaster(ctx)
	if errors.Is(err, errGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer h.close()
	if err := h.wait(ctx); err != nil {
		return true, err
	}
	if f, err := describe(ctx, file.pid); err == nil {
		reap(file.pid, f)
	}
	return true, nil
}

// nothingLeft tells whether no process is left once the postmaster has ended. One that was watched to its end
// and removed postmaster.pid had waited for its children first: then there is no need to look for any.
func (s Server) nothingLeft(ctx context.Context, watched bool) (bool, error) {
	if _, err := os.Lstat(s.file("postmaster.pid")); watched && errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	left, err := s.Processes(ctx)
	return len(left) == 0, err
}
