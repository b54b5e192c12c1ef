package actions

import (
	"context"
	"sync"
)

const (
	// looksAtOnce are those at one pair that begin as soon as somebody asks. Each
	// takes sessions of its own on both nodes, one of them as a walsender, of which a
	// server has few: a flood of questions must not keep a standby or a rejoin out.
	looksAtOnce = 2
	// recipesAtOnce write or read on a pair for those who try it out.
	recipesAtOnce = 2
)

// lookout is where people's looks at one pair are made. Who asks while its places
// are taken shares the next look with everybody else who waits. Every answer is
// from a look that began after the question.
type lookout struct {
	places chan struct{}

	mu   sync.Mutex
	next *sharedLook // nil where nobody waits
}

// sharedLook is a look for all who waited when it began.
type sharedLook struct {
	done   chan struct{} // closed when the rest is set
	report Report
	err    error
}

func newLookout() *lookout { return &lookout{places: make(chan struct{}, looksAtOnce)} }

// look makes a look, or waits for one that somebody else makes. make must return
// within a bounded time, also where its context has none.
func (l *lookout) look(ctx context.Context, make func(context.Context) (Report, error)) (Report, error) {
	select {
	case l.places <- struct{}{}:
		defer func() { <-l.places }()
		return make(ctx)
	default:
	}
	s, mine := l.join()
	if mine {
		l.lookFor(s, func() (Report, error) { return make(context.WithoutCancel(ctx)) })
	}
	select {
	case <-s.done:
		return s.report, s.err
	case <-ctx.Done():
		return Report{}, context.Cause(ctx)
	}
}

// join gives the look that begins next, and whether the caller must make it.
func (l *lookout) join() (s *sharedLook, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		return l.next, false
	}
	l.next = &sharedLook{done: make(chan struct{})}
	return l.next, true
}

// lookFor waits for a place and looks for all who have joined until then.
func (l *lookout) lookFor(s *sharedLook, make func() (Report, error)) {
	defer close(s.done)
	l.places <- struct{}{} // whoever has one is done within the time of an observation
	defer func() { <-l.places }()
	l.mu.Lock()
	l.next = nil
	l.mu.Unlock()
	s.report, s.err = make()
}

// glance is a look for people, who share it where many ask at once. What carries
// a plan out looks by itself.
func (d *Desk) glance(ctx context.Context, pair string) (Report, error) {
	l := d.lookouts[pair]
	if l == nil {
		return d.look(ctx, pair) // which says that there is no such pair
	}
	return l.look(ctx, func(ctx context.Context) (Report, error) { return d.look(ctx, pair) })
}

// trying takes a place for a recipe on a pair, and refuses where none is free.
func (d *Desk) trying(pair string) (leave func(), err error) {
	places := d.recipes[pair]
	if places == nil {
		_, err := d.pair(pair)
		return func() {}, err
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, refuse("%s is being tried by %d others right now. Wait for their answers, then try again.", pair, recipesAtOnce)
	}
}
