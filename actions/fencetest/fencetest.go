// Package fencetest holds what every fence must do, as tests that run against
// any of them. It is imported by tests only.
package fencetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/actions"
)

// Subject is a fence of a server that runs.
type Subject struct {
	Fencer actions.Fencer
	// Runs says whether the server really runs, by other means than the fence.
	Runs func() bool
	// Away makes the fence's platform unreachable, and Back undoes that; nil
	// where it has none.
	Away, Back func()
	// Secrets must never be shown.
	Secrets []string
}

// Make starts a server and gives its fence, and tidies up at the test's end.
type Make func(t *testing.T) Subject

// patience ends what hangs.
const patience = 30 * time.Second

// prompt is how long a call may take whose context has ended.
const prompt = 2 * time.Second

// subject is one fence under test.
type subject struct {
	Subject
	*testing.T

	ctx       context.Context
	described string
}

// Run tells one fence's story: the server runs, its platform is lost and comes
// back, callers lose patience, it is fenced, and fenced again.
func Run(t *testing.T, open Make) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &subject{Subject: open(t), T: t, ctx: ctx}
	if !s.Runs() {
		t.Fatal("the server doesn't run: the test would show nothing")
	}
	s.described = s.Fencer.Describe()
	if strings.TrimSpace(s.described) == "" || strings.Contains(s.described, "\n") {
		t.Errorf("it can't stand in a plan: %q", s.described)
	}
	for _, chapter := range []struct {
		title string
		test  func(*subject)
	}{
		{"a running server is not off", (*subject).runs},
		{"without its platform it can't tell", (*subject).away},
		{"an impatient caller is not kept, nor lied to", (*subject).impatient},
		{"off is read back, again and again", (*subject).off},
		{"off again changes nothing", (*subject).again},
		{"many at once agree", (*subject).crowd},
		{"without its platform even what is off is not known", (*subject).awayAgain},
	} {
		if !t.Run(chapter.title, func(t *testing.T) { s.T = t; chapter.test(s) }) {
			return // what follows would fail for this reason
		}
		if d := s.Fencer.Describe(); d != s.described {
			t.Errorf("it describes itself as %q, before as %q: an approved plan would be stale", d, s.described)
		}
	}
}

// hides: no error shows a secret, however it is printed.
func (s *subject) hides(err error) {
	s.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += fmt.Sprintf(" %v %+v %#v", e, e, e)
	}
	for _, secret := range s.Secrets {
		if strings.Contains(text, secret) {
			s.Errorf("a secret is shown: %s", text)
		}
	}
}

func (s *subject) wantRead(want actions.Power) {
	s.Helper()
	power, err := s.Fencer.Read(s.ctx)
	s.hides(err)
	if power != want || err != nil {
		s.Errorf("read as %q, %v, want %q", power, err, want)
	}
}

// wantNotOff: it is on, or unknown for a reason.
func (s *subject) wantNotOff() {
	s.Helper()
	power, err := s.Fencer.Read(s.ctx)
	s.hides(err)
	if power != actions.PowerOn && power != actions.PowerUnknown || (power == actions.PowerUnknown) != (err != nil) {
		s.Errorf("read as %q, %v, want it on, or unknown and why", power, err)
	}
}

func (s *subject) runs() {
	s.wantNotOff()
	if !s.Runs() {
		s.Error("reading took the power")
	}
}

// away: what can't be seen is not off, and an order that can't be given is an error.
func (s *subject) away() {
	if s.Away == nil {
		return
	}
	s.Away()
	s.wantUnknown()
	short, cancel := context.WithTimeout(s.ctx, prompt)
	defer cancel()
	err := s.Fencer.Off(short)
	s.hides(err)
	if err == nil {
		s.Error("an order that nobody heard counts as given")
	}
	if !s.Runs() {
		s.Error("and yet it was taken")
	}
	s.Back()
	s.wantNotOff()
}

func (s *subject) wantUnknown() {
	s.Helper()
	power, err := s.Fencer.Read(s.ctx)
	s.hides(err)
	if power != actions.PowerUnknown || err == nil {
		s.Errorf("read as %q, %v, want it unknown, and why", power, err)
	}
}

// impatient: a context that has ended ends the call, and an order that failed
// for sure has had no effect.
func (s *subject) impatient() {
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	began := time.Now()
	if power, err := s.Fencer.Read(ended); power == actions.PowerOff {
		s.Errorf("read as off, %v, while it runs", err)
	}
	err := s.Fencer.Off(ended)
	s.hides(err)
	if took := time.Since(began); took > prompt {
		s.Errorf("it kept the caller for %s", took)
	}
	if _, perhaps := errors.AsType[*actions.Uncertain](err); err != nil && !perhaps && !s.Runs() {
		s.Errorf("%v is said to have had no effect, but the server is off", err)
	}
}

// order gives it. One whose effect is uncertain is looked at, as the executor does.
func (s *subject) order() error {
	err := s.Fencer.Off(s.ctx)
	s.hides(err)
	if _, perhaps := errors.AsType[*actions.Uncertain](err); perhaps {
		return nil
	}
	return err
}

// off is read back as the executor does: several times in a row.
func (s *subject) off() {
	if err := s.order(); err != nil {
		s.Fatalf("the order failed: %v", err)
	}
	for inARow := 0; inARow < 3; {
		power, err := s.Fencer.Read(s.ctx)
		s.hides(err)
		if s.ctx.Err() != nil {
			s.Fatalf("still read as %q, %v", power, err)
		}
		if power == actions.PowerOff && s.Runs() {
			s.Fatal("read as off while the server runs")
		}
		if inARow++; power != actions.PowerOff || err != nil {
			inARow = 0
		}
	}
}

func (s *subject) again() {
	if err := s.order(); err != nil {
		s.Errorf("the second order failed: %v", err)
	}
	s.wantRead(actions.PowerOff)
	if s.Runs() {
		s.Error("the second order brought the server back")
	}
}

func (s *subject) crowd() {
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			err := s.order()
			power, rerr := s.Fencer.Read(s.ctx)
			if err != nil || rerr != nil || power != actions.PowerOff {
				s.Errorf("%v; read as %q, %v", err, power, rerr)
			}
		})
	}
	group.Wait()
}

func (s *subject) awayAgain() {
	if s.Away == nil {
		return
	}
	s.Away()
	s.wantUnknown()
	s.Back()
	s.wantRead(actions.PowerOff)
}
