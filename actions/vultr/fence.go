package vultr

import (
	"context"
	"errors"
	"fmt"

	"github.com/vultr/govultr/v3"
	"golang.org/x/time/rate"

	"twokey/actions"
)

// Fence takes the power from one instance.
type Fence struct {
	api      *API
	instance string
	pace     *rate.Limiter
}

var _ actions.Fencer = (*Fence)(nil)

// Fence of the instance with this id, a UUID.
func (a *API) Fence(instance string) (*Fence, error) {
	if err := checkID("instance", instance); err != nil {
		return nil, err
	}
	return &Fence{a, instance, rate.NewLimiter(rate.Every(a.opt.Pace), 1)}, nil
}

// Describe implements [actions.Fencer].
func (f *Fence) Describe() string {
	return fmt.Sprintf("halts Vultr instance %s; proof: the API reads its power as stopped, read again", f.instance)
}

// What the API says of an instance.
const (
	running = "running"
	stopped = "stopped"
)

// Off implements [actions.Fencer]. It looks first, and orders only what runs
// and isn't locked. An order that fails is repeated, if another try can help,
// after a look that shows that it is still needed.
//
// Errors: *[Error] when no order was taken, *[actions.Uncertain] when one may
// have been.
func (f *Fence) Off(ctx context.Context) error {
	var failed error
	for try := range tries {
		power, err := f.unlocked(ctx)
		switch {
		case err != nil:
			return errors.Join(uncertainOrNil(failed), err)
		case power == actions.PowerOff:
			return nil
		}
		err = f.halt(ctx)
		if err == nil {
			return nil
		}
		failed = worse(failed, err)
		if final(err) {
			break
		}
		if perr := pause(ctx, try, err); perr != nil {
			break
		}
	}
	if power, err := f.state(ctx); err == nil && power == actions.PowerOff {
		return nil
	}
	return uncertain(failed)
}

// worse keeps the error of the order about which less is known.
func worse(a, b error) error {
	if e, ok := errors.AsType[*Error](a); ok && !e.Nothing {
		return a
	}
	return b
}

func uncertainOrNil(err error) error {
	if err == nil {
		return nil
	}
	return uncertain(err)
}

func (f *Fence) halt(ctx context.Context) error {
	return f.api.once(ctx, "halt instance "+f.instance, func(ctx context.Context, c *govultr.Client) error {
		return c.Instance.Halt(ctx, f.instance)
	})
}

// unlocked reads the power, and waits while the platform works on the instance.
// When the time is over before that, the error says so.
func (f *Fence) unlocked(ctx context.Context) (actions.Power, error) {
	var busy *busyError
	for {
		power, err := f.state(ctx)
		now, locked := errors.AsType[*busyError](err)
		switch {
		case !locked && err != nil && busy != nil:
			return power, errors.Join(busy, err)
		case !locked:
			return power, err
		}
		busy = now
		if cause := sleep(ctx, f.api.opt.Pace); cause != nil {
			return power, errors.Join(busy, cause)
		}
	}
}

// Read implements [actions.Fencer].
func (f *Fence) Read(ctx context.Context) (actions.Power, error) {
	if err := f.pace.Wait(ctx); err != nil {
		return actions.PowerUnknown, fmt.Errorf("read instance %s: no time is left for another reading: %w", f.instance, errors.Join(context.Cause(ctx), err))
	}
	return f.state(ctx)
}

func (f *Fence) state(ctx context.Context) (actions.Power, error) {
	seen, err := f.read(ctx)
	if err != nil {
		return actions.PowerUnknown, err
	}
	return powerOf(seen)
}

// powerOf says what an instance's own words mean.
func powerOf(i *govultr.Instance) (actions.Power, error) {
	idle := i.ServerStatus == "ok" || i.ServerStatus == "none"
	switch {
	case !idle:
		return actions.PowerUnknown, &busyError{i.ID, i.ServerStatus}
	case i.PowerStatus == running:
		return actions.PowerOn, nil
	case i.PowerStatus == stopped:
		return actions.PowerOff, nil
	}
	return actions.PowerUnknown, fmt.Errorf("read instance %s: its power_status is %q, which means neither on nor off. Look at it in the customer portal", i.ID, i.PowerStatus)
}

// busyError is an instance that the platform itself works on.
type busyError struct{ instance, status string }

func (b *busyError) Error() string {
	return fmt.Sprintf("read instance %s: its server_status is %q, so the platform may change its power by itself. Wait until that is over, or look at it in the customer portal", b.instance, b.status)
}
