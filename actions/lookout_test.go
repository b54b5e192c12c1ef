package actions_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// TestAFloodOfQuestionsIsAFewLooks: each look takes a walsender of a node, of which
// there are few, and yet everybody reads what was so after they had asked.
func TestAFloodOfQuestionsIsAFewLooks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		hanging("observe", "dc1")(b) // a look takes its whole time
		var looks atomic.Int32
		b.ledger.refusing(func(call string) error {
			if call == "revise" {
				looks.Add(1)
			}
			return nil
		})
		o := b.start(nil)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond) // of the bubble's clock
				asked := time.Now()
				rep, err := o.desk.Status(b.Context(), "orders")
				if err != nil || rep.Evidence.At.Before(asked) {
					b.Errorf("asked at %s, answered from %s: %v", asked, rep.Evidence.At, err)
				}
				if took := time.Since(asked); took > 2*actions.DefaultTimeouts().Observe+time.Second {
					b.Errorf("it took %s", took)
				}
			})
		}
		all.Wait()
		if n := looks.Load(); n > 4 {
			b.Errorf("%d looks", n)
		}
		if _, err := o.desk.Status(b.Context(), "nowhere"); err == nil {
			b.Error("a pair that isn't there was looked at")
		}
	})
}

// TestWhoGivesUpWaitingSpoilsNobodysLook: the first of those who wait has no more
// time; the look that it makes for all goes on.
func TestWhoGivesUpWaitingSpoilsNobodysLook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		hanging("observe", "dc1")(b)
		o := b.start(nil)
		impatient, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ctx := b.Context()
				if i == 2 {
					ctx = impatient
				}
				rep, err := o.desk.Status(ctx, "orders")
				if i != 2 && (err != nil || rep.Evidence.Nodes[1].Server == nil) {
					b.Errorf("question %d: %+v, %v", i, rep.Evidence.Nodes[1], err)
				}
			})
		}
		all.Wait()
	})
}

// TestFewTryARecipeAtOnce: whoever comes to a pair that is being tried out is told
// to wait, in a sentence.
func TestFewTryARecipeAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bundle) {
		hanging("observe", "dc1")(b)
		o := b.start(nil)
		var refused atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := o.desk.VerifyData(b.Context(), "orders")
				if approvals.Refused(err) != "" && strings.Contains(err.Error(), "being tried by 2 others") {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if n := refused.Load(); n != 18 {
			b.Errorf("%d of 20 were told to wait", n)
		}
		if _, err := o.desk.VerifyData(b.Context(), "orders"); err == nil || strings.Contains(err.Error(), "being tried") {
			b.Errorf("afterwards: %v", err)
		}
	})
}
