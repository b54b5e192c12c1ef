package actions_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"twokey/actions"
)

// machine is the power over one server, as a being has it.
type machine struct {
	w *world
	b *being
	s *server
}

func (m machine) change(ctx context.Context, call string, do func(s *server) error) error {
	if err := m.w.enter(ctx, m.b, call, m.s.name); err != nil {
		return err
	}
	defer m.w.leave(call, m.s.name)
	return do(m.s)
}

func (m machine) Describe() string { return "stops the simulated server and reads that it is gone" }

func (m machine) Off(ctx context.Context) error {
	return m.change(ctx, "off", func(s *server) error { m.w.down(s); return nil })
}

func (m machine) Read(ctx context.Context) (actions.Power, error) {
	if err := m.w.enter(ctx, m.b, "read power", m.s.name); err != nil {
		return actions.PowerUnknown, err
	}
	defer m.w.leave("", "")
	switch {
	case m.w.blind[m.s.name]:
		return actions.PowerUnknown, nil
	case m.s.up:
		return actions.PowerOn, nil
	}
	return actions.PowerOff, nil
}

func (m machine) Stop(ctx context.Context) error {
	return m.change(ctx, "stop", func(s *server) error {
		if s.up && s.stopAt.IsZero() {
			s.stopAt = time.Now().Add(m.w.stopTakes)
		}
		return nil
	})
}

func (m machine) Stopped(ctx context.Context) error {
	if err := m.w.enter(ctx, m.b, "stopped", m.s.name); err != nil {
		return err
	}
	m.w.mu.Unlock()
	return m.w.wait(ctx, m.b, func() bool { return !m.s.up })
}

func (m machine) StopHard(ctx context.Context) error {
	return m.change(ctx, "stop hard", func(s *server) error { m.w.down(s); return nil })
}

func (m machine) Start(ctx context.Context) error {
	return m.change(ctx, "start", func(s *server) error { s.start(); return nil })
}

func (s *server) start() {
	if !s.up {
		s.up, s.started, s.loaded = true, time.Now(), time.Now()
	}
}

func (m machine) Follow(ctx context.Context, _ string) error {
	return m.change(ctx, "follow", func(s *server) error {
		if s.serves() {
			return errors.New("it runs as a primary")
		}
		s.recovery = true
		s.start()
		return nil
	})
}

// Rejoin takes back what the partner doesn't have, and starts it as a standby.
func (m machine) Rejoin(ctx context.Context, _ actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	report := actions.RejoinReport{How: actions.RejoinedAsIs, EndOfWA: m.s.end()}
	m.w.copy()
	err := m.change(ctx, "rejoin", func(s *server) error {
		if s.serves() {
			return errors.New("it runs as a primary")
		}
		if p := m.w.partner(s); !s.continues(p) {
			report.How, report.Kept = actions.RejoinedRewound, "kept"
			s.wal = slices.Clone(p.wal[:commonPrefix(p.wal, s.wal)])
		}
		s.recovery, s.frozen = true, false
		s.start()
		return nil
	})
	if err == nil {
		progress("as a standby")
	}
	return report, err
}

// copy lets the time of a base backup pass.
func (w *world) copy() {
	if w.copyTakes == 0 {
		return
	}
	w.mu.Lock()
	w.copying = time.Now()
	w.mu.Unlock()
	<-time.After(w.copyTakes)
	w.mu.Lock()
	w.copying = time.Time{}
	w.mu.Unlock()
}

func (m machine) NoteAlone(ctx context.Context, timeline uint32) error {
	return m.change(ctx, "note alone", func(s *server) error { s.alone = timeline; return nil })
}

func (m machine) ForgetAlone(ctx context.Context) error {
	return m.change(ctx, "forget alone", func(s *server) error { s.alone = 0; return nil })
}

func commonPrefix(a, b []record) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// endpoint leads clients to one of the servers, as a being has it.
type endpoint struct {
	w *world
	b *being
}

func (e endpoint) Describe() string { return "the simulated record, seen by clients within 60 s" }

func (e endpoint) Point(ctx context.Context, node string) error {
	if err := e.w.enter(ctx, e.b, "point", node); err != nil {
		return err
	}
	defer e.w.leave("point", node)
	e.w.leads = node
	return nil
}

func (e endpoint) Read(ctx context.Context) (string, error) {
	if err := e.w.enter(ctx, e.b, "read endpoint", ""); err != nil {
		return "", err
	}
	defer e.w.leave("", "")
	return e.w.leads, nil
}
