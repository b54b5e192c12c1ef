package slacksim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// state is what people can see. Slices in it are only ever appended to or
// replaced by copies, so a Snapshot may share them.
type state struct {
	version      uint64
	connections  int      // of Socket Mode
	order        []string // accounts, as they came
	channelOrder []string
	accounts     map[string]Account
	channels     map[string]Channel
	groups       map[string]UserGroup
	messages     map[string][]Message // by channel
	ephemerals   map[string][]Message // by person
	modals       map[string][]View    // by person, the topmost last
	homes        map[string]View      // by person
	acts         []Act
	calls        []Call
	counts       map[string]int // calls by method, all since start
}

// Act is something that a person did.
type Act struct {
	At      time.Time `json:"at"`
	TS      string    `json:"ts"`
	User    string    `json:"user"`
	Channel string    `json:"channel"`
	Text    string    `json:"text"` // in words
}

// Call is one request to the Web API.
type Call struct {
	At     time.Time
	Method string
	Error  string // Slack's error code; empty when ok
	Status int    // HTTP status; 0 when the connection was closed instead
}

func newState() state {
	return state{
		accounts: map[string]Account{}, channels: map[string]Channel{}, groups: map[string]UserGroup{},
		messages: map[string][]Message{}, ephemerals: map[string][]Message{},
		modals: map[string][]View{}, homes: map[string]View{}, counts: map[string]int{},
	}
}

// Snapshot is the workspace at one moment. It doesn't change any more.
type Snapshot struct{ st state }

// Snapshot returns the workspace as it is now.
func (w *Workspace) Snapshot() *Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snapshotLocked()
}

func (w *Workspace) snapshotLocked() *Snapshot {
	st := w.st
	st.accounts, st.channels, st.groups = maps.Clone(st.accounts), maps.Clone(st.channels), maps.Clone(st.groups)
	st.messages, st.ephemerals = maps.Clone(st.messages), maps.Clone(st.ephemerals)
	st.modals, st.homes, st.counts = maps.Clone(st.modals), maps.Clone(st.homes), maps.Clone(st.counts)
	return &Snapshot{st: st}
}

// Messages are those of a channel, oldest first, replies among them.
func (s *Snapshot) Messages(channelID string) []Message { return s.st.messages[channelID] }

// Ephemerals are the messages that only this person sees, oldest first.
func (s *Snapshot) Ephemerals(userID string) []Message { return s.st.ephemerals[userID] }

// Modals are the views open on a person's screen, the topmost last.
func (s *Snapshot) Modals(userID string) []View { return s.st.modals[userID] }

// Home is what the app published on a person's App Home.
func (s *Snapshot) Home(userID string) (View, bool) { v, ok := s.st.homes[userID]; return v, ok }

// Calls counts the requests made to a Web API method since the start.
func (s *Snapshot) Calls(method string) int { return s.st.counts[method] }

// Methods are those of the Web API that were called, sorted.
func (s *Snapshot) Methods() []string { return slices.Sorted(maps.Keys(s.st.counts)) }

// Acts are what people did, oldest first.
func (s *Snapshot) Acts() []Act { return s.st.acts }

// Messages are those of a channel, oldest first, as they stand now.
func (w *Workspace) Messages(channelID string) []Message { return w.Snapshot().Messages(channelID) }

// Ephemerals are the messages that only this person sees, answers over a
// response URL included, oldest first.
func (w *Workspace) Ephemerals(userID string) []Message { return w.Snapshot().Ephemerals(userID) }

// Modals are the views open on a person's screen, the topmost last.
func (w *Workspace) Modals(userID string) []View { return w.Snapshot().Modals(userID) }

// Calls lists the latest requests to the Web API, oldest first.
func (w *Workspace) Calls() []Call { return w.Snapshot().st.calls }

// Wait returns nil as soon as holds is true of the workspace; it looks once at
// the start and again after every change. It returns an error when ctx ends
// or the workspace is closed first. holds must not keep the snapshot.
func (w *Workspace) Wait(ctx context.Context, holds func(*Snapshot) bool) error {
	for {
		w.mu.Lock()
		snap, changed := w.snapshotLocked(), w.changed
		w.mu.Unlock()
		if holds(snap) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the simulated workspace: %w", context.Cause(ctx))
		case <-w.done:
			return fmt.Errorf("waiting for the simulated workspace: %w", ErrClosed)
		}
	}
}

// change is the only way in which state changes; it wakes everyone who waits.
func (w *Workspace) change(do func(*state)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do(&w.st)
	w.wakeLocked()
}

func (w *Workspace) wakeLocked() {
	w.st.version++
	close(w.changed)
	w.changed = make(chan struct{})
}

func (st *state) note(a Act) { st.acts = bounded(st.acts, a, keepActs) }

func (st *state) called(c Call) {
	st.counts[c.Method]++
	st.calls = bounded(st.calls, c, keepCalls)
}

// bounded appends and, once the list is twice its bound, drops the older half:
// amortised constant work, and snapshots keep what they share.
func bounded[T any](list []T, item T, bound int) []T {
	if len(list) >= 2*bound {
		list = slices.Clone(list[len(list)-bound+1:])
	}
	return append(list, item)
}
