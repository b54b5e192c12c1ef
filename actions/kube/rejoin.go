package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"twokey/actions"
)

// Rejoin implements [actions.Machine] by an order to the server's guard, which
// does what there is to do at the next start: see [actions.StartOrder]. A server
// that runs already, and doesn't follow, is stopped for it: its pod would see the
// order only later. What the guard has done is asked from the server itself once
// it is up. A server that follows already is left alone.
//
// Errors: [ErrStillPrimary], before anything was touched; others, after which the
// server is off, or on its way under its guard. It can be called again after all
// of them.
func (m *Machine) Rejoin(ctx context.Context, order actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	report, err := m.rejoin(ctx, order, progress)
	if err != nil {
		return report, fmt.Errorf("rejoin StatefulSet %s: %w", m.name(), err)
	}
	return report, nil
}

func (m *Machine) rejoin(ctx context.Context, order actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	if order.Name != m.opt.Node {
		return actions.RejoinReport{}, fmt.Errorf("it streams as %s, its guard's name, not as %s", m.opt.Node, order.Name)
	}
	own := m.opt.Observe(ctx)
	switch {
	case own.Server != nil && !own.Server.InRecovery:
		return actions.RejoinReport{}, ErrStillPrimary
	case m.follows(ctx, own, order) == nil:
		return actions.RejoinReport{How: actions.RejoinedAsIs}, m.setKey(ctx, orderKey, "")
	}
	start := actions.StartOrder{Kind: actions.OrderRejoin, ID: m.opt.NewID(), Timeline: order.Timeline, Fork: order.Fork}
	if err := m.give(ctx, start); err != nil {
		return actions.RejoinReport{}, err
	}
	if err := m.quiesce(ctx, progress); err != nil {
		return actions.RejoinReport{}, err
	}
	if err := m.order1(ctx); err != nil {
		return actions.RejoinReport{}, err
	}
	report, err := m.rejoined(ctx, start, order, progress)
	if err != nil {
		return report, err
	}
	return report, m.setKey(ctx, orderKey, "") // it was carried out
}

// quiesce stops a pod that is there, so that the next one sees the order.
func (m *Machine) quiesce(ctx context.Context, progress func(string)) error {
	v, err := m.look(ctx)
	if err != nil || len(v.pods) == 0 {
		return err
	}
	progress(fmt.Sprintf("stopping %s, so that its guard begins anew with the order", v.pods[0]))
	return m.StopHard(ctx)
}

// follows returns nil when the server is a standby on the new primary's timeline
// and that one sees it stream under its own name.
func (m *Machine) follows(ctx context.Context, own actions.Observation, order actions.RejoinOrder) error {
	s := own.Server
	switch {
	case s == nil:
		return fmt.Errorf("it doesn't answer: %w", own.Failure)
	case !s.InRecovery:
		return ErrStillPrimary
	case s.Timeline != order.Timeline && (s.Receiver == nil || s.Receiver.Timeline != order.Timeline):
		return fmt.Errorf("it is in recovery on timeline %d, not on %d", s.Timeline, order.Timeline)
	}
	there := m.opt.Partner(ctx)
	if there.Server == nil {
		return fmt.Errorf("its partner doesn't answer: %w", there.Failure)
	}
	for _, standby := range there.Server.Standbys {
		if strings.EqualFold(standby.Name, order.Name) && standby.State == "streaming" {
			return nil
		}
	}
	return errors.New("its partner doesn't see it stream under its own name")
}

// rejoined waits until the server follows and its guard has told how it came to.
// What is seen on the way is told to progress, once each.
func (m *Machine) rejoined(ctx context.Context, start actions.StartOrder, order actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	var report actions.RejoinReport
	told := ""
	tell := func(text string) {
		if text != told {
			progress(text)
		}
		told = text
	}
	steady := &steadiness{}
	err := m.await(ctx, later, "it doesn't follow yet", func(ctx context.Context) error {
		own := m.opt.Observe(ctx)
		if err := m.follows(ctx, own, order); err != nil {
			if errors.Is(err, ErrStillPrimary) {
				return final{err}
			}
			where := m.whereabouts(ctx)
			tell(where)
			return fmt.Errorf("%w; %s", err, where)
		}
		var err error
		report, err = m.told(ctx, own, start, steady)
		return err
	})
	return report, err
}

// steadiness tells a server that its guard still rejoins, which it starts and
// stops for that, from one that runs for good, where the guard left no word.
type steadiness struct {
	started time.Time // the postmaster
	since   time.Time
}

// steadyFor is longer than a guard lets a server run that it has rejoined.
const steadyFor = 10 * time.Second

func (s *steadiness) holds(o actions.Observation) bool {
	if !s.started.Equal(o.Server.StartedAt) {
		s.started, s.since = o.Server.StartedAt, o.At
	}
	return o.At.Sub(s.since) > steadyFor
}

// told is what the guard left about this order.
func (m *Machine) told(ctx context.Context, own actions.Observation, start actions.StartOrder, steady *steadiness) (actions.RejoinReport, error) {
	left, err := m.opt.Report(ctx)
	switch {
	case err == nil && left.Order == start.ID && left.Rejoin != nil:
		return *left.Rejoin, nil
	case err == nil && left.Order == start.ID:
		return actions.RejoinReport{How: actions.RejoinedAsIs}, nil
	case steady.holds(own):
		m.log().Warn("the server follows, but how its guard brought that about is not known", logSet, m.name(), "error", err)
		return actions.RejoinReport{How: actions.RejoinedUntold}, nil
	}
	return actions.RejoinReport{}, errors.Join(errors.New("it follows, but its guard has not said yet that it is done"), err)
}

// whereabouts says in words how far the pod has come.
func (m *Machine) whereabouts(ctx context.Context) string {
	v, err := m.look(ctx)
	if err != nil {
		return "its pod can't be seen: " + err.Error()
	}
	if len(v.pods) == 0 {
		return "its pod is about to be made"
	}
	p := v.pods[0]
	switch {
	case p.deleting:
		return fmt.Sprintf("%s is being ended", p)
	case len(p.running) > 0 && p.message != "":
		return fmt.Sprintf("%s runs; before, %s", p, p.message)
	case len(p.running) > 0:
		return fmt.Sprintf("%s runs: its guard is at work, or keeps the server down (its log says why)", p)
	}
	return v.unclear(p).Error()
}
