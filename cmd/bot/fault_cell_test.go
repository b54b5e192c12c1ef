package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/faultproxy"
	"twokey/approvals"
	"twokey/store"
)

// phase is when a fault begins.
type phase struct {
	name   string
	op     actions.Op // "" for the three that lie outside of an execution
	after  bool
	moment moment
}

type moment int

const (
	beforeRequest moment = iota
	betweenVotes
	atOperation
	afterEnd
)

func (p phase) is(m moment) bool { return p.moment == m }

// beyond says whether the phase lies after that operation's beginning.
func (p phase) beyond(k actions.Kind, op actions.Op) bool {
	if p.moment != atOperation {
		return p.moment == afterEnd
	}
	at, of := slices.Index(operations[k], p.op), slices.Index(operations[k], op)
	return at > of || at == of && p.after
}

// operations that each kind goes through, in order.
var operations = map[actions.Kind][]actions.Op{
	actions.KindSwitchover: {
		actions.OpLock, actions.OpRecheck, actions.OpPrepare, actions.OpCheckpoint, actions.OpStop, actions.OpGate, actions.OpFollow,
		actions.OpPromote, actions.OpProbe, actions.OpConfirm, actions.OpSettleDisk, actions.OpSync, actions.OpLatch, actions.OpTidy,
	},
	actions.KindFailover: {
		actions.OpLock, actions.OpRecheck, actions.OpFreeze, actions.OpFence, actions.OpSettle, actions.OpPrepare, actions.OpPromote,
		actions.OpProbe, actions.OpConfirm, actions.OpSettleDisk, actions.OpRejoin, actions.OpSync, actions.OpLatch, actions.OpTidy,
	},
}

var kinds = []actions.Kind{actions.KindSwitchover, actions.KindFailover}

func phasesOf(k actions.Kind) []phase {
	all := []phase{{name: "before the request", moment: beforeRequest}, {name: "between the votes", moment: betweenVotes}}
	for _, op := range operations[k] {
		all = append(all,
			phase{"before " + string(op), op, false, atOperation},
			phase{"after " + string(op), op, true, atOperation})
	}
	return append(all, phase{name: "after the end", moment: afterEnd})
}

// breakage is one fault at one phase.
type breakage struct {
	fault fault
	phase phase
}

// cell is one walk through a planned switchover or a disaster failover, with one
// fault, or two in the random mode.
type cell struct {
	kind   actions.Kind
	breaks []breakage
}

func (c cell) name() string {
	name := string(c.kind)
	for _, b := range c.breaks {
		name += "/" + strings.ReplaceAll(b.phase.name, " ", "_") + "/" + b.fault.slug()
	}
	return name
}

// meaningless says why a cell is left out, "" where it has a meaning.
func (c cell) meaningless() string {
	for _, b := range c.breaks {
		switch {
		case b.fault.only != "" && b.fault.only != c.kind:
			return "only a " + string(b.fault.only) + " meets it"
		case b.fault.ofStandby && b.phase.beyond(c.kind, actions.OpPromote):
			return newNode + " is no standby any more"
		case c.kind == actions.KindFailover && b.fault.ofOld && !b.phase.is(beforeRequest) && !b.phase.beyond(c.kind, actions.OpRejoin):
			return oldNode + " is dead"
		case b.fault.firstOnly && b.phase.moment != beforeRequest:
			return "it is a disaster itself, so it comes before the request"
		}
	}
	return ""
}

func (c cell) any(is func(fault) bool) bool {
	for _, b := range c.breaks {
		if is(b.fault) {
			return true
		}
	}
	return false
}

// walk is a cell that runs.
type walk struct {
	*arena
	cell  cell
	label string
	heals []func(context.Context) error
	hits  int  // faults that were really injected
	down  bool // the bot can't reach dc1 by the disaster's own doing
}

// runCell walks one cell and returns what happened, in a word for the table.
// begun is set once the pair works, so that the walk can begin.
func runCell(t *testing.T, c cell, begun *bool) (word string) {
	t.Helper()
	t.Cleanup(func() { nothingLeft(t) }) // the last of all
	folder := ""
	foldersGone(t, func() string { return folder })
	var o arenaOptions
	for _, b := range c.breaks {
		if b.fault.options == nil {
			continue
		}
		if err := b.fault.options(t, &o); errors.Is(err, errNeedsRoot) {
			*begun = true
			return "needs root"
		} else if err != nil {
			t.Fatal(err)
		}
	}
	w := &walk{arena: newArena(t, o), cell: c}
	folder, *begun = w.pair.Dir, true
	if o.prepare != nil {
		w.onClose(w.unmount)
	}
	return w.walk()
}

// unmount comes before the pair's folder is removed.
func (a *arena) unmount() error {
	errs := []error{a.pair.Stop()}
	for _, n := range a.pair.Nodes {
		_ = unmount(n.Dir) // only one of them is a mount
	}
	return errors.Join(errs...)
}

func (w *walk) walk() string {
	ctx := w.patient()
	for _, b := range w.cell.breaks {
		if b.fault.early != nil {
			w.must(b.fault.early(ctx, w.arena))
		}
		if b.phase.moment == atOperation {
			w.points.on(b.phase.op, b.phase.after, func(ctx context.Context) error { w.inject(ctx, b.fault); return nil })
		}
	}
	w.during(ctx, beforeRequest)
	w.must(w.disaster(ctx))
	v, ts := w.request2(ctx)
	w.during(ctx, afterEnd)
	if w.cellHas(afterEnd) {
		w.linger(ctx)
	}
	w.heal(ctx)
	return w.judge(ctx, v, ts)
}

func (w *walk) cellHas(m moment) bool {
	for _, b := range w.cell.breaks {
		if b.phase.moment == m {
			return true
		}
	}
	return false
}

// during injects what begins at a moment outside of the execution.
func (w *walk) during(ctx context.Context, m moment) {
	for _, b := range w.cell.breaks {
		if b.phase.moment == m {
			w.inject(ctx, b.fault)
		}
	}
}

// inject makes a fault happen. One that finds nothing to break is no failure; a
// fault that can't be made for another reason is.
func (w *walk) inject(ctx context.Context, f fault) {
	heal, err := f.inject(context.WithoutCancel(ctx), w.arena)
	if heal != nil {
		w.heals = append(w.heals, heal)
	}
	switch {
	case err == nil:
		w.hits++
		w.t.Logf("%s: %s", time.Now().Format(clockFormat), f.name)
	case len(w.cell.breaks) == 1 && !errors.Is(err, errNothing) && heal == nil:
		w.t.Errorf("%s could not be made: %v", f.name, err)
	default:
		w.t.Logf("%s: %s found nothing to break, or only half: %v", time.Now().Format(clockFormat), f.name, err)
	}
}

// disaster takes the old primary from the bot, for a failover.
func (w *walk) disaster(ctx context.Context) error {
	itself := false
	for _, b := range w.cell.breaks {
		itself = itself || b.fault.disaster && b.phase.moment == beforeRequest
	}
	if w.cell.kind != actions.KindFailover {
		return nil
	}
	if itself {
		w.receiverEnds(ctx)
		return nil
	}
	w.down = true
	if w.cell.any(func(f fault) bool { return f.cut }) {
		w.set(linkOld, faultproxy.Cut())
		return nil
	}
	if err := w.pair.Node(oldNode).Server.Kill(ctx); err != nil {
		return err
	}
	w.receiverEnds(ctx)
	return nil
}

// receiverEnds waits until the standby has noticed that its primary is gone: a
// plan that was made before is stale when it is noticed. A standby that can't be
// asked, by a fault, is not waited for.
func (w *walk) receiverEnds(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := w.until(ctx, newNode+" receives nothing", func() bool {
		_, err := w.process(ctx, newNode, "walreceiver")
		return errors.Is(err, pgx.ErrNoRows)
	})
	if err != nil {
		w.t.Log(err)
	}
}

// request2 asks, votes and waits for the end, as people would.
func (w *walk) request2(ctx context.Context) (v verdictOn, ts string) {
	r, ok := w.askOnce(ctx)
	if !ok {
		return v, ""
	}
	if ts = w.messageOf(ctx); ts == "" {
		w.heal(ctx) // nobody can press what isn't shown: the outage is over
		ts = w.messageOf(ctx)
	}
	w.vote(ctx, r.ID, ts, dba1, "dba-1")
	w.during(ctx, betweenVotes)
	w.vote(ctx, r.ID, ts, dba2, "dba-2")
	v, err := w.judged(ctx, w.awaitEnd(ctx, r.ID))
	w.must(err)
	return v, ts
}

// askOnce asks through Slack. The bot may refuse to make a request.
func (w *walk) askOnce(ctx context.Context) (r approvals.Request, ok bool) {
	before := len(w.slack.Snapshot().Ephemerals(oncall))
	_, err := w.slack.Command(ctx, oncall, opsChannel, "/pg", string(w.cell.kind)+" orders -- "+"it is time")
	w.must(err)
	patience, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_ = w.until(patience, "a request or a refusal", func() bool { // neither comes while Slack is down and the bot refuses
		all, err := w.service.store.Requests(ctx, store.Filter{}, 1)
		w.must(err)
		if ok = len(all) == 1; ok {
			r = all[0]
		}
		return ok || len(w.slack.Snapshot().Ephemerals(oncall)) > before
	})
	return r, ok
}

// messageOf is the message with the buttons, "" when it isn't shown soon.
func (w *walk) messageOf(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ts, err := w.requestMessage(ctx)
	if err != nil {
		return ""
	}
	return ts
}

// vote presses until the vote is counted or the request has ended.
func (w *walk) vote(ctx context.Context, id, ts, account string, who approvals.Person) {
	for i := 0; ; i++ {
		if i == 2 {
			w.heal(ctx) // a bot that can't ask Slack for an account counts no vote: the outage is over
		}
		_, err := w.slack.Press(ctx, account, opsChannel, ts, "approve")
		patience, cancel := context.WithTimeout(ctx, 4*time.Second)
		counted := w.until(patience, "the vote counts", func() bool {
			r, err := w.service.store.Request(ctx, id)
			_, voted := r.VoteOf(who)
			return err == nil && (voted || r.State.Ended())
		})
		cancel()
		if counted == nil {
			return
		}
		if i == 5 {
			w.must(errors.Join(counted, err))
		}
	}
}

// awaitEnd waits until the request has ended; whenever it is held, a person
// answers for it.
func (w *walk) awaitEnd(ctx context.Context, id string) approvals.Request {
	ctx, cancel := context.WithTimeoutCause(ctx, 100*time.Second, errors.New("the request doesn't end"))
	defer cancel()
	answered := map[string]bool{}
	var r approvals.Request
	w.must(w.until(ctx, "the request ends", func() (done bool) {
		var err error
		if r, err = w.service.store.Request(ctx, id); err != nil {
			return false
		}
		if p := r.OpenPause(); r.State == approvals.Held && !answered[p.Question] {
			answered[p.Question] = w.answer(ctx, r, p)
		}
		return r.State.Ended()
	}))
	return r
}

// answer is what an honest person does: makes sure of what is to be stated, and
// refuses where acknowledged writes are said to be lost.
func (w *walk) answer(ctx context.Context, r approvals.Request, p approvals.Pause) bool {
	cause := approvals.Accept
	if strings.Contains(p.Question, "would be lost") {
		cause = approvals.Refuse
	} else if strings.Contains(p.Question, "you state that "+oldNode+" is off") {
		if err := w.pair.Node(oldNode).Server.Kill(ctx); err != nil {
			return false
		}
	}
	_, err := w.service.desk.Answer(ctx, r.ID, approvals.Ballot{Person: "dba-1", Place: r.Place}, cause, p.Statement)
	w.t.Logf("held: %s: %s (%v)", p.Question, cause, err)
	return err == nil
}

// linger lets a fault after the end be felt.
func (w *walk) linger(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	<-wait.Done()
}

// heal ends every fault, in the reverse order, and the disaster's cut; none begins after it.
func (w *walk) heal(ctx context.Context) {
	w.points.over()
	for len(w.heals) > 0 {
		last := len(w.heals) - 1
		if err := w.heals[last](ctx); err != nil {
			w.t.Errorf("a fault could not be healed: %v", err)
		}
		w.heals = w.heals[:last]
	}
}

// judge is the oracle: everything that must hold whatever happened.
func (w *walk) judge(ctx context.Context, v verdictOn, ts string) string {
	if v.asked {
		w.report(w.posted(ctx, v, ts))
	}
	w.set(linkOld, faultproxy.Healed())
	if w.down && (!v.asked || v.out.NewPrimary == "") { // the disaster is over, and nobody was promoted
		w.report(w.startAgain(ctx, oldNode))
	}
	before := time.Now()
	how, err := w.mend(ctx, v)
	if v.thawed.IsZero() && slices.Contains(how, thawedByHand) {
		v.thawed = before
	}
	w.report(err)
	serving, err := w.writes(ctx)
	w.report(err)
	l := w.settleBooks()
	w.report(w.findings(ctx, l, v, serving, w.cell.any(func(f fault) bool { return f.uncovers })))
	w.t.Logf("%s; acknowledged %v, unknown %d, not covered %d; mended by %q", ended(v), byNode(l.acks), l.unknown, l.notCovered, how)
	return w.word(v, how)
}

func ended(v verdictOn) string {
	if !v.asked {
		return "no request was made"
	}
	return fmt.Sprintf("ended %s: %s", v.request.State, v.request.Why)
}

func (w *walk) report(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

// word is the cell's result in the table.
func (w *walk) word(v verdictOn, how []string) string {
	word := "refused"
	if v.asked {
		word = string(v.request.State)
	}
	if w.hits == 0 && len(w.cell.breaks) > 0 {
		return word + ", not met"
	}
	if len(how) > 0 {
		word += ", mended"
	}
	return word
}

func planIn(r approvals.Request) (p actions.Plan, err error) {
	return p, json.Unmarshal(r.Subject.Data, &p)
}

// labelled marks the goroutine of a cell, and with it all that it starts.
func labelled(t *testing.T, run func()) {
	t.Helper()
	pprof.Do(t.Context(), pprof.Labels("cell", t.Name()), func(context.Context) { run() })
}

// nothingLeft waits until every goroutine of the cell but this one has ended.
// Processes and files are looked for when the arena has been closed.
func nothingLeft(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := goroutinesOf(t.Name())
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%v: %d goroutines:\n%s", errLeftBehind, len(left), strings.Join(left, "\n\n"))
			return
		}
		time.Sleep(50 * time.Millisecond) // nobody tells when a goroutine of others ends
	}
}

// goroutinesOf lists the stacks that carry the label of a cell, without the
// cell's own.
func goroutinesOf(name string) (stacks []string) {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return []string{err.Error()}
	}
	label := fmt.Sprintf("%q:%q", "cell", name)
	for _, stack := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(stack, label) && !strings.Contains(stack, "nothingLeft") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// foldersGone is registered before an arena is opened, so that it comes last.
func foldersGone(t *testing.T, dir func() string) {
	t.Helper()
	t.Cleanup(func() {
		folder := dir()
		if folder == "" {
			return
		}
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: folder %s (%v)", errLeftBehind, folder, err)
		}
		if left := processesIn(t, folder); len(left) > 0 {
			t.Errorf("%v: processes %v", errLeftBehind, left)
		}
	})
}
