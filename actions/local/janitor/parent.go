package janitor

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrParentDied is the cause of a context that [WatchParent] cancelled.
var ErrParentDied = errors.New("the process that started this program is gone")

// WatchParent returns a context that is cancelled, with cause [ErrParentDied], when the parent process dies:
// "go run" that is told to stop orphans its program without a signal. stop ends the watching and waits for its
// goroutine. A program whose parent is the system's first process has nobody to watch.
func WatchParent(ctx context.Context) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for parent > 1 && os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		if parent > 1 {
			cancel(ErrParentDied)
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-done
	}
}
