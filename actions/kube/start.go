package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/actions"
)

// order1 scales to 1.
func (m *Machine) order1(ctx context.Context) error {
	var s set
	return m.site.change(ctx, func(ctx context.Context) (bool, error) {
		var err error
		s, err = m.readSet(ctx)
		return err == nil && s.wanted == 0, err
	}, func(ctx context.Context) error { return m.scale(ctx, s, 1) })
}

// Start implements [actions.Machine]: it orders the guard to take the stop back,
// scales to 1 and returns when the pod's container runs. The order is one for a
// single start; what the partner answers to the guard outweighs it.
func (m *Machine) Start(ctx context.Context) error {
	if o := m.opt.Observe(ctx); o.Server != nil {
		return nil // it runs
	}
	if err := m.give(ctx, actions.StartOrder{Kind: actions.OrderResume, ID: m.opt.NewID()}); err != nil {
		return err
	}
	if err := m.order1(ctx); err != nil {
		return err
	}
	return m.await(ctx, soon, "it doesn't run yet", func(ctx context.Context) error {
		v, err := m.look(ctx)
		if err != nil {
			return err
		}
		return v.started()
	})
}

// started returns nil when a pod runs that is not to be ended.
func (v view) started() error {
	why := errors.New("there is no pod")
	for _, p := range v.pods {
		switch {
		case p.deleting:
			why = fmt.Errorf("%s is still being ended", p)
		case len(p.running) > 0 && v.alive(p.node) == nil:
			return nil
		default:
			why = v.unclear(p)
		}
	}
	return why
}

// Follow implements [actions.Machine]: it waits until the stopped pod has ended,
// orders the guard to make the server a standby, and scales to 1. It returns
// when that was taken: the server comes up by itself from there.
//
// Errors: [ErrStillPrimary]; others, after which the server isn't started, or
// comes up as whatever its guard finds right.
func (m *Machine) Follow(ctx context.Context, name string) error {
	if name != m.opt.Node {
		return fmt.Errorf("StatefulSet %s streams as %s, its guard's name, not as %s", m.name(), m.opt.Node, name)
	}
	if o := m.opt.Observe(ctx); o.Server != nil {
		if !o.Server.InRecovery {
			return fmt.Errorf("start StatefulSet %s as a standby: %w", m.name(), ErrStillPrimary)
		}
		return nil
	}
	if err := m.give(ctx, actions.StartOrder{Kind: actions.OrderFollow, ID: m.opt.NewID()}); err != nil {
		return err
	}
	s, err := m.readSet(ctx)
	if err != nil {
		return err
	}
	if s.wanted == 0 { // else it was started meanwhile, and its guard decides
		if err := m.gone(ctx, soon); err != nil {
			return err
		}
	}
	return m.order1(ctx)
}

// gone waits until no pod is left.
func (m *Machine) gone(ctx context.Context, every time.Duration) error {
	return m.await(ctx, every, "its old pod has not gone", func(ctx context.Context) error {
		v, err := m.look(ctx)
		if err != nil || len(v.pods) == 0 {
			return err
		}
		_, _, err = v.judge()
		return errors.Join(fmt.Errorf("%s is still there", v.pods[0]), err)
	})
}
