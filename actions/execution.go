package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"twokey/approvals"
)

// Hands are the drivers of one pair, by node. A node that Fencers holds is
// fenced by that, else by its machine. What clients connect to is the pair's.
type Hands struct {
	Databases map[string]Database
	Machines  map[string]Machine
	Fencers   map[string]Fencer
	Endpoints []Endpoint
}

func (h Hands) fencer(node string) (Fencer, bool) {
	if f, ok := h.Fencers[node]; ok {
		return f, true
	}
	m, ok := h.Machines[node]
	return m, ok
}

// Point is a moment at which a test can make an execution fail, hang or die:
// right before or right after one labelled effect.
type Point struct {
	Op    Op
	Node  string
	After bool
}

// execution is one attempt at one approved plan. It lives in one goroutine;
// what it starts beside itself, it waits for.
type execution struct {
	desk  *Desk
	pair  Pair
	hands Hands
	plan  Plan
	req   approvals.Request
	grant approvals.Grant
	log   *slog.Logger

	onTo, onFrom Session // hold the pair's lock
	mark         stopMark
	mu           sync.Mutex // of out.Steps
	out          Outcome
	late         []Entry // entries of the write pause, journaled after it
	prepared     bool    // the new primary was changed, or may have been
	ordered      bool    // so was the old one's stop
	promoting    bool    // a former attempt may have sent the promotion
	frozen       bool    // and so was the new one frozen
}

// stopMark is what the gate is measured against, kept in the journal with the
// intent to stop.
type stopMark struct {
	LSN      LSN       `json:"lsn"`
	Timeline uint32    `json:"timeline"`
	At       time.Time `json:"at"`
}

// ending is how an execution ends. interrupted: it doesn't; a later attempt
// goes on from the journal.
type ending struct {
	cause       approvals.Cause
	why         string
	interrupted bool
}

func (x *execution) to() Database     { return x.hands.Databases[x.plan.To] }
func (x *execution) from() Database   { return x.hands.Databases[x.plan.From] }
func (x *execution) machine() Machine { return x.hands.Machines[x.plan.From] }

func (x *execution) close() {
	for _, s := range []Session{x.onFrom, x.onTo} {
		if s != nil {
			s.Close()
		}
	}
}

// step journals the intent, lets the effect happen, and journals its outcome.
// The text that do returns is for people.
func (x *execution) step(ctx context.Context, op Op, node string, do func(context.Context) (string, error)) error {
	return x.stepWith(ctx, op, node, nil, do)
}

func (x *execution) stepWith(ctx context.Context, op Op, node string, data any, do func(context.Context) (string, error)) error {
	if err := x.record(ctx, op, node, Intent, "", data); err != nil {
		return &StepError{op, node, fmt.Errorf("nothing was done, its intent could not be journaled: %w", err)}
	}
	began := x.desk.now()
	text, err := x.effect(ctx, op, node, do)
	x.timed(op, node, began)
	return errors.Join(err, x.recordOutcome(ctx, op, node, text, err))
}

// timed notes how long an effect took. Some go on beside each other.
func (x *execution) timed(op Op, node string, began time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out.Steps = append(x.out.Steps, StepTime{op, node, x.desk.now().Sub(began)})
}

func (x *execution) recordOutcome(ctx context.Context, op Op, node, text string, err error) error {
	ctx = context.WithoutCancel(ctx) // what happened is recorded even when nobody wants the rest
	if err != nil {
		return x.record(ctx, op, node, Failing, err.Error(), nil)
	}
	return x.record(ctx, op, node, Done, text, nil)
}

// effect runs do between its two fault points.
func (x *execution) effect(ctx context.Context, op Op, node string, do func(context.Context) (string, error)) (string, error) {
	if err := x.desk.at(ctx, Point{op, node, false}); err != nil {
		return "", &StepError{op, node, err}
	}
	text, err := do(ctx)
	if err == nil {
		err = x.desk.at(ctx, Point{op, node, true})
	}
	if err != nil {
		return text, &StepError{op, node, err}
	}
	return text, nil
}

func (x *execution) record(ctx context.Context, op Op, node string, phase Phase, text string, data any) error {
	return x.desk.opt.Journal.Record(ctx, x.req.ID, x.entry(op, node, phase, text, data))
}

func (x *execution) entry(op Op, node string, phase Phase, text string, data any) Entry {
	e := Entry{At: x.desk.now(), Attempt: x.req.Attempt, Op: op, Node: node, Phase: phase, Text: text}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil { // only our own plain structs are passed
			panic(err)
		}
		e.Data = raw
	}
	return e
}

// quick runs an effect inside the write pause: its intent was journaled
// before, its outcome is journaled after the pause, so no disk write stands
// between.
func (x *execution) quick(ctx context.Context, op Op, node string, do func(context.Context) (string, error)) error {
	began := x.desk.now()
	text, err := x.effect(ctx, op, node, do)
	x.timed(op, node, began)
	phase := Done
	if err != nil {
		phase, text = Failing, err.Error()
	}
	x.late = append(x.late, x.entry(op, node, phase, text, nil))
	return err
}

// flush journals what quick has put off.
func (x *execution) flush(ctx context.Context) error {
	for _, e := range x.late {
		if err := x.desk.opt.Journal.Record(context.WithoutCancel(ctx), x.req.ID, e); err != nil {
			return err
		}
	}
	x.late = nil
	return nil
}

// note journals progress within a step.
func (x *execution) note(ctx context.Context, op Op, node, text string) {
	if err := x.record(ctx, op, node, Note, text, nil); err != nil {
		x.log.Warn("progress not journaled", "error", err)
	}
}

// lock takes the pair's lock on the new primary first, then on the old one,
// where that one is to be reached.
func (x *execution) lock(ctx context.Context) (string, error) {
	var err error
	if x.onTo == nil { // an attempt that goes on holds it already
		x.onTo, err = x.lockOn(ctx, x.to(), lockPatience)
	}
	if err != nil {
		return "", fmt.Errorf("lock on %s: %w", x.plan.To, err)
	}
	if x.plan.InEarnest() != KindSwitchover {
		return "lock held on " + x.plan.To, nil
	}
	if x.onFrom, err = x.lockOn(ctx, x.from(), lockPatience); err != nil {
		return "", fmt.Errorf("lock on %s: %w", x.plan.From, err)
	}
	return "lock held on both nodes", nil
}

// lockOn tries for so long while another has the lock: a bot that was killed, or
// cut off, leaves a session that its server only notices after a moment.
func (x *execution) lockOn(ctx context.Context, db Database, patience time.Duration) (Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the lock was not given in time"))
	defer cancel()
	var s Session
	taken := false // by another, when it was asked last; a server that hangs says nothing of that
	err := poll(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		ctx, cancel := within(ctx, x.desk.opt.Timeouts.Observe, "asking for the lock")
		defer cancel()
		var err error
		s, err = db.Lock(ctx, x.pair.LockKey())
		if errors.Is(err, ErrLocked) {
			taken = true
			return false, nil
		}
		return err == nil, err
	})
	if err != nil && taken {
		err = errors.Join(ErrLocked, err)
	}
	return s, err
}

// How long to wait for a lock that another has: at first, and for one that was
// held and lost, whose session a server notices to be dead by its keepalives.
const (
	lockPatience   = 5 * time.Second
	regainPatience = 15 * time.Second
)

// recheck observes again and compares with the plan's facts.
func (x *execution) recheck(ctx context.Context) (string, error) {
	rep, err := x.desk.look(ctx, x.plan.Pair)
	if err != nil {
		return "", err
	}
	diff := slices.DeleteFunc(x.desk.differences(x.plan, rep), x.ownDoing)
	if len(diff) > 0 {
		return "", fmt.Errorf("no longer as approved: %s", describe(diff))
	}
	// A switchover reads it once more, right before the stop.
	x.out.OldTimeline = max(rep.Evidence.Memory.Timeline, rep.Evidence.Observation(x.plan.To).timeline())
	return "as approved: " + rep.Verdict.Headline, nil
}

// ownDoing says whether a difference comes from what a former attempt has done:
// a standby that it froze streams no more.
func (x *execution) ownDoing(d Difference) bool {
	return x.frozen && d.Name == x.plan.To+" timeline" && d.Is == notStreaming
}

// poll calls ask every interval until it says done or fails, or ctx ends; then
// the error carries the cause of ctx.
func poll(ctx context.Context, every time.Duration, ask func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		done, err := ask(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// insist asks every interval until ask returns nil or ctx ends; until then its
// error only says why not yet. At the end the last such reason is joined to the
// cause of ctx; one that came from the deadline itself says less and is left out.
func insist(ctx context.Context, every time.Duration, ask func(context.Context) error) error {
	var last error
	err := poll(ctx, every, func(ctx context.Context) (bool, error) {
		err := ask(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil // the deadline decides, not one failed question
	})
	return errors.Join(err, last)
}

// within bounds one wait and names it, so that an error says which one ended.
func within(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%s took longer than %s", what, d))
}
