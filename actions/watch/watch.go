package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"golang.org/x/sync/errgroup"

	"twokey/actions"
	"twokey/approvals"
)

// Desk is how watch looks at pairs; *actions.Desk is one.
type Desk interface {
	Pairs() []actions.Pair
	Verify(ctx context.Context, pair string) (actions.Report, error)
}

// Log takes facts.
type Log interface {
	Append(ctx context.Context, events []approvals.Event) error
}

// Options are what a Watch works with; all are needed.
type Options struct {
	Desk     Desk
	Memory   actions.Memory
	Samples  actions.Samples
	Log      Log
	Check    string // cron spec of the sweeps, seconds optional
	Report   string // cron spec of the health report; "" for none
	Location *time.Location
	Rules    Rules
	Now      func() time.Time
	Logger   *slog.Logger
}

// sweepWidth is how many pairs a sweep looks at at once.
const sweepWidth = 8

// Watch sweeps on a schedule.
type Watch struct {
	opt    Options
	check  cron.Schedule
	report cron.Schedule

	mu          sync.Mutex
	lastGroup   string // key of the last message that tells of several incidents
	lastGroupAt time.Time
}

// New checks the two schedules.
func New(o Options) (*Watch, error) {
	w := &Watch{opt: o}
	var err error
	if w.check, err = ParseSchedule(o.Check); err != nil {
		return nil, fmt.Errorf("the schedule of the checks: %w", err)
	}
	if o.Report == "" {
		return w, nil
	}
	if w.report, err = ParseSchedule(o.Report); err != nil {
		return nil, fmt.Errorf("the schedule of the report: %w", err)
	}
	return w, nil
}

// ParseSchedule reads a cron spec: five fields, or six with seconds first, or
// a descriptor such as "@every 1m".
func ParseSchedule(spec string) (cron.Schedule, error) {
	p := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	s, err := p.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("%q is no cron schedule (%w); write for example \"*/1 * * * *\" for every minute", spec, err)
	}
	return s, nil
}

// Run sweeps and reports on schedule until ctx ends, and waits for what is
// under way.
func (w *Watch) Run(ctx context.Context) error {
	log := cronLog{w.opt.Logger}
	c := cron.New(cron.WithLocation(w.opt.Location), cron.WithLogger(log), cron.WithChain(cron.SkipIfStillRunning(log)))
	c.Schedule(w.check, cron.FuncJob(func() { w.Sweep(ctx) }))
	if w.report != nil {
		c.Schedule(w.report, cron.FuncJob(func() { w.Tell(ctx) }))
	}
	w.Sweep(ctx) // the first look doesn't wait for the schedule
	c.Start()
	<-ctx.Done()
	<-c.Stop().Done()
	return nil
}

// Sweep looks once at every pair.
func (w *Watch) Sweep(ctx context.Context) {
	g := &gathering{w: w}
	defer g.end(ctx)
	w.each(ctx, func(ctx context.Context, _ int, p actions.Pair) error {
		rep, err := w.opt.Desk.Verify(ctx, p.Name)
		if err != nil {
			return err
		}
		return errors.Join(
			w.opt.Samples.AddSample(ctx, p.Name, SampleOf(rep)),
			g.take(ctx, rep),
		)
	})
}

// each calls look for every pair, a few at a time; what fails is logged.
func (w *Watch) each(ctx context.Context, look func(context.Context, int, actions.Pair) error) {
	var group errgroup.Group
	group.SetLimit(sweepWidth)
	for i, p := range w.opt.Desk.Pairs() {
		group.Go(func() error {
			if err := look(ctx, i, p); err != nil && ctx.Err() == nil {
				w.opt.Logger.Error("a pair was not looked at", "pair", p.Name, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // failures were logged one by one
}

// explained says whether a running execution's own message explains what is
// seen. One that takes longer than usual, or waits for a person, explains nothing.
func explained(rep actions.Report) bool {
	r := rep.Open
	if r == nil || r.State != approvals.Executing || len(r.Votes) == 0 || r.Subject.Kind == string(actions.KindDrill) {
		return false
	}
	return rep.Evidence.At.Sub(r.Votes[len(r.Votes)-1].At) < usualExecution
}

// usualExecution is how long a failover's own message speaks for the pair.
const usualExecution = time.Minute

// cronLog is what cron says of itself, that it skipped a sweep say.
type cronLog struct{ log *slog.Logger }

func (c cronLog) Info(msg string, kv ...any) { c.log.Debug(msg, kv...) }
func (c cronLog) Error(err error, msg string, kv ...any) {
	c.log.Error(msg, append(kv, "error", err)...)
}
