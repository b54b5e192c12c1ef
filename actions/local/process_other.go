//go:build unix && !linux

package local

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// handle stands for a process by its number alone.
type handle struct{ pid int }

func openProcess(pid int) (handle, error) {
	err := unix.Kill(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return handle{}, errGone
	}
	if err != nil && !errors.Is(err, unix.EPERM) {
		return handle{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	return handle{pid}, nil
}

func (h handle) close() {}

func (h handle) signal(sig unix.Signal) error {
	err := unix.Kill(h.pid, sig)
	if errors.Is(err, unix.ESRCH) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("send %v to process %d: %w", sig, h.pid, err)
	}
	return nil
}

func (h handle) wait(ctx context.Context) error { return pollGone(ctx, h.pid) }

func describe(ctx context.Context, pid int) (facts, error) { return describePS(ctx, pid) }

func serverProcesses(ctx context.Context) (map[int]facts, error) { return serverProcessesPS(ctx) }
