package actions_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"twokey/actions"
	"twokey/approvals"
	"twokey/store"
)

// bolted is the real store in a being's hands.
type bolted struct {
	*store.Store
	b *being
}

func (k bolted) Update(ctx context.Context, id string, change func(approvals.Request) (approvals.Request, []approvals.Event, error)) (approvals.Request, error) {
	if k.b.gone() {
		return approvals.Request{}, errDead
	}
	return k.Store.Update(ctx, id, change)
}

func (k bolted) Record(ctx context.Context, id string, e actions.Entry) error {
	if k.b.gone() {
		return errDead
	}
	return k.Store.Record(ctx, id, e)
}

func (k bolted) Finish(ctx context.Context, id string, cause approvals.Cause, why string, out actions.Outcome) error {
	if k.b.gone() {
		return errDead
	}
	return k.Store.Finish(ctx, id, cause, why, out)
}

func (k bolted) Revise(ctx context.Context, pair string, change func(actions.Remembered) (actions.Remembered, []approvals.Event)) (actions.Remembered, error) {
	if k.b.gone() {
		return actions.Remembered{}, errDead
	}
	return k.Store.Revise(ctx, pair, change)
}

// TestOnTheRealStore: a switchover whose bot dies in the write pause, with the
// books in a bbolt file that is closed and opened again in between. What the
// audit log tells is the whole story.
func TestOnTheRealStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "twokey.db")
	inBubble(t, func(b *bundle) {
		var s *store.Store
		open := func() {
			var err error
			if s, err = store.Open(path, store.Options{}); err != nil {
				b.Fatal(err)
			}
		}
		b.keep = func(who *being) books { return bolted{s, who} }
		open()
		settleIn()
		first := b.start(diesAt(actions.Point{Op: actions.OpPromote, Node: "dc2"}))
		r := first.ask(actions.Question{Reason: "drill"})
		<-first.being.dead
		first.end()
		b.must(s.Close())
		open()
		second := b.start(nil)
		for r.State != approvals.Succeeded && !r.State.Ended() {
			var err error
			if r, err = s.Request(b.Context(), r.ID); err != nil {
				b.Fatal(err)
			}
			settleIn()
		}
		b.wantState(r, approvals.Succeeded)
		b.wantServing("dc2")
		second.end()
		b.wantStory(s, r.ID)
		b.must(s.Close())
	})
}

// wantStory: the audit log is whole and holds the request from asking to end.
func (b *bundle) wantStory(s *store.Store, id string) {
	b.Helper()
	var kinds []string
	err := s.Audit(b.Context(), 0, func(e approvals.Event) error {
		if e.Subject == approvals.RequestSubject(id) && !slices.Contains(kinds, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
		return nil
	})
	if want := []string{"ask", "approve", "claim", "step", "succeed"}; err != nil || !slices.Equal(kinds, want) {
		b.Errorf("the log tells %q, want %q: %v", kinds, want, err)
	}
}
