package bot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// crew is a bounded group of goroutines that do the work of deliveries after
// these were acknowledged. It takes work only between open and close.
type crew struct {
	most int

	mu     sync.Mutex
	busy   int
	work   sync.WaitGroup
	ctx    context.Context // of all the work; nil while closed
	cancel context.CancelCauseFunc
}

var (
	errStopping = errors.New("the bot is stopping")
	errSlow     = errors.New("the work of one delivery took longer than " + workTimeout.String())
)

func newCrew(most int) *crew { return &crew{most: most} }

func (c *crew) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
}

// do starts job and returns true, or false when the crew is closed or all are
// busy. job's context ends after workTimeout, or when the bot stops.
func (c *crew) do(job func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.busy >= c.most {
		return false
	}
	c.busy++
	base := c.ctx
	c.work.Go(func() {
		defer c.done()
		ctx, cancel := context.WithTimeoutCause(base, workTimeout, errSlow)
		defer cancel()
		job(ctx)
	})
	return true
}

func (c *crew) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
}

// close takes no more, waits for what runs up to patience, then cancels it and
// waits until it has ended.
func (c *crew) close(patience time.Duration) {
	c.mu.Lock()
	if c.ctx == nil {
		c.mu.Unlock()
		return
	}
	cancel := c.cancel
	c.ctx = nil
	c.mu.Unlock()
	timer := time.AfterFunc(patience, func() { cancel(errStopping) })
	c.work.Wait()
	timer.Stop()
	cancel(errStopping)
}
