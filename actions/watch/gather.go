package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

const (
	togetherFrom = 5               // so many new incidents of one sweep are told in one message
	gatherFor    = 5 * time.Second // a new incident waits so long for others
	joinFor      = 2 * time.Minute // later ones are told in the same message
)

// gathering holds the new incidents of one sweep back for a moment, so that many
// at once, of a data centre that was lost say, become one message.
type gathering struct {
	w *Watch

	mu    sync.Mutex
	held  []actions.Report
	timer *time.Timer
	work  sync.WaitGroup // flushes under way
}

// take notes a look, at once unless it begins an incident.
func (g *gathering) take(ctx context.Context, rep actions.Report) error {
	if !g.w.begins(rep) {
		return g.w.note(ctx, rep, "")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, rep)
	if len(g.held) == 1 {
		g.work.Add(1)
		g.timer = time.AfterFunc(gatherFor, func() { defer g.work.Done(); g.flush(ctx) })
	}
	return nil
}

// end notes what is still held, and waits for a flush that is under way.
func (g *gathering) end(ctx context.Context) {
	g.mu.Lock()
	if g.timer != nil && g.timer.Stop() {
		g.work.Done()
	}
	g.mu.Unlock()
	g.flush(ctx)
	g.work.Wait()
}

func (g *gathering) flush(ctx context.Context) {
	g.mu.Lock()
	held := g.held
	g.held = nil
	g.mu.Unlock()
	if len(held) == 0 {
		return
	}
	group := g.w.group(held[0].Evidence.At, len(held))
	for _, rep := range held {
		if err := g.w.note(ctx, rep, group); err != nil && ctx.Err() == nil {
			g.w.opt.Logger.Error("a pair's new incident was not noted", "pair", rep.Evidence.Pair.Name, "error", err)
		}
	}
}

// group gives the key under which so many new incidents are told together, ""
// when each has a message of its own.
func (w *Watch) group(at time.Time, n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	joins := w.lastGroup != "" && at.Sub(w.lastGroupAt) < joinFor
	if !joins && n < togetherFrom {
		return ""
	}
	if !joins {
		w.lastGroup, w.lastGroupAt = fmt.Sprintf("incidents/%d", at.UnixMilli()), at
	}
	return w.lastGroup
}

// begins says whether a look begins an incident that people hear of.
func (w *Watch) begins(rep actions.Report) bool {
	_, a, _ := Follow(rep.Evidence.Memory, rep, w.opt.Rules, w.quiet(rep.Evidence.At))
	return a.Opened && !explained(rep)
}

func (w *Watch) quiet(at time.Time) bool { return w.opt.Rules.Quiet.At(at.In(w.opt.Location)) }

// note remembers the health and goes on with the incident, and appends an event
// when there is something to tell, in one transaction.
func (w *Watch) note(ctx context.Context, rep actions.Report, group string) error {
	if explained(rep) {
		return nil
	}
	var eventErr error
	_, err := w.opt.Memory.Revise(ctx, rep.Evidence.Pair.Name, func(m actions.Remembered) (actions.Remembered, []approvals.Event) {
		next, alert, kind := Follow(m, rep, w.opt.Rules, w.quiet(rep.Evidence.At))
		if m.Health != rep.Verdict.Health {
			next.Health, next.HealthSince = rep.Verdict.Health, rep.Evidence.At
		}
		if kind == "" {
			return next, nil
		}
		if alert.Opened && group != "" {
			next.Incident.Group, alert.Incident.Group = group, group
		}
		e, err := event(rep.Evidence.At, approvals.PairSubject(alert.Pair), kind, alert)
		eventErr = err
		return next, []approvals.Event{e}
	})
	return errors.Join(err, eventErr)
}
