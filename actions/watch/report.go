package watch

import (
	"context"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// Tell looks at every pair and appends one report.
func (w *Watch) Tell(ctx context.Context) {
	rows := make([]actions.HealthRow, len(w.opt.Desk.Pairs()))
	w.each(ctx, func(ctx context.Context, i int, p actions.Pair) error {
		rows[i] = actions.HealthRow{Pair: p.Name, Text: "could not be looked at"}
		rep, err := w.opt.Desk.Verify(ctx, p.Name)
		if err == nil {
			rows[i] = w.row(ctx, rep)
		}
		return err
	})
	e, err := event(w.opt.Now(), "bot", actions.NewsReport, actions.HealthReport{Rows: rows})
	if err == nil {
		err = w.opt.Log.Append(ctx, []approvals.Event{e})
	}
	if err != nil {
		w.opt.Logger.Error("the health report was not written", "error", err)
	}
}

func (w *Watch) row(ctx context.Context, rep actions.Report) actions.HealthRow {
	v, m := rep.Verdict, rep.Evidence.Memory
	return actions.HealthRow{
		Pair: rep.Evidence.Pair.Name, Health: v.Health, Since: m.HealthSince, Primary: v.Primary, Standby: v.Standby,
		Replay: SampleOf(rep).Replay, Text: v.Headline, Lag: w.lastDay(ctx, rep), Incident: lately(m.Incident, rep.Evidence.At), Paused: m.Paused,
	}
}

// lately gives an incident that lasts or has ended within a day.
func lately(i *actions.Incident, at time.Time) *actions.Incident {
	if i == nil || i.Over() && at.Sub(i.Ended) > hours*time.Hour {
		return nil
	}
	return i
}

const hours = 24

// lastDay is the highest replay lag of each hour. A day whose samples can't be
// read is not known.
func (w *Watch) lastDay(ctx context.Context, rep actions.Report) []*uint64 {
	out := make([]*uint64, hours)
	from := rep.Evidence.At.Add(-hours * time.Hour)
	samples, err := w.opt.Samples.Samples(ctx, rep.Evidence.Pair.Name, from)
	if err != nil {
		w.opt.Logger.Error("the samples of a pair can't be read", "pair", rep.Evidence.Pair.Name, "error", err)
		return nil
	}
	for _, s := range samples {
		hour := int(s.At.Sub(from) / time.Hour)
		if s.Replay != nil && hour >= 0 && hour < hours && (out[hour] == nil || *s.Replay > *out[hour]) {
			out[hour] = s.Replay
		}
	}
	return out
}
