package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/load"
	"twokey/approvals"
	"twokey/bot/slacksim"
)

// ledger is what the writers know at the end.
type ledger struct {
	acks       []load.Ack // Server is the node's name
	unknown    int
	notCovered int
}

// settleBooks stops the writers and adds up.
func (a *arena) settleBooks() (l ledger) {
	for node, w := range a.writers {
		w.Stop()
		unknown, open := w.Doubtful()
		l.unknown += len(unknown)
		l.notCovered += len(open)
		for _, k := range w.Acks() {
			k.Server = a.nodeAt(node, k.Server)
			l.acks = append(l.acks, k)
		}
	}
	l.acks = sorted(l.acks)
	return l
}

// nodeAt names the node behind an address: the one that really answered, which
// must be the one that the writer meant.
func (a *arena) nodeAt(meant, address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil || port != strconv.Itoa(a.pair.Node(meant).Port) {
		a.t.Errorf("a writer of %s was answered by %s", meant, address)
	}
	return meant
}

// rowsOn reads all rows of the load from one node; a standby is given the time
// to replay what its primary had flushed when the reading began.
func (a *arena) rowsOn(ctx context.Context, node string) (map[int64]bool, error) {
	there := map[int64]bool{}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := a.session(ctx, node, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT id FROM load.writes")
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, id := range ids {
			there[id] = true
		}
		return err
	})
	return there, err
}

// missing are the acknowledged rows that aren't there. Those of the window in
// which a fault stands outside of the promise are told apart.
func missing(acks []load.Ack, there map[int64]bool) (lost []load.Ack) {
	for _, k := range acks {
		if !there[k.ID] {
			lost = append(lost, k)
		}
	}
	return lost
}

// caughtUp waits until a standby has replayed what its primary has flushed.
func (a *arena) caughtUp(ctx context.Context, primary, standby string) error {
	var flushed string
	err := a.asAdmin(ctx, primary, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&flushed)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return a.until(ctx, fmt.Sprintf("%s has replayed %s, what %s had flushed", standby, flushed, primary), func() bool {
		done := false
		err := a.asAdmin(ctx, standby, func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= $1::pg_lsn", flushed).Scan(&done)
		})
		return err == nil && done
	})
}

// until polls; the error names what was waited for.
func (a *arena) until(ctx context.Context, what string, done func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// ending is how a request of a cell ended, and what it promised.
type verdictOn struct {
	asked   bool // a request was made at all
	request approvals.Request
	out     actions.Outcome
	plan    actions.Plan
	frozen  time.Time // when the freeze was journaled as done
	thawed  time.Time // when taking it back was intended, by the bot or by people, zero if never
}

// findings holds what the writers know against the servers. Rows may be lost only
// where what went wrong stands outside of the promise, and the plan didn't call
// zero loss proven.
func (a *arena) findings(ctx context.Context, l ledger, v verdictOn, serving standing, uncovers bool) error {
	err := exclusive(l, v, max(serving.timeline, 1), uncovers)
	if serving.node == "" {
		return err
	}
	tolerated := uncovers && v.asked && v.plan.Loss != actions.LossNone
	return errors.Join(err, a.data(ctx, l, serving.node, tolerated))
}

// survivor holds the acknowledged rows against the one node that is left, once it
// has replayed what it received: it is all that there is.
func (a *arena) survivor(ctx context.Context, l ledger, node string) error {
	patience, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	settled := a.until(patience, node+" has replayed what it received", func() (done bool) {
		err := a.asAdmin(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, "SELECT NOT pg_is_in_recovery() OR coalesce(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), true)").Scan(&done)
		})
		return err == nil && done
	})
	if settled != nil { // a diverged one never has
		a.t.Log(settled)
	}
	there, err := a.rowsOn(ctx, node)
	if err != nil {
		return err
	}
	if lost := missing(l.acks, there); len(lost) > 0 {
		return fmt.Errorf("%w: %d of %d acknowledged rows are not on %s, which is left; first row %d, acknowledged by %s", errLost, len(lost), len(l.acks), node, lost[0].ID, lost[0].Server)
	}
	return nil
}

// data holds the acknowledged rows against both nodes of a pair that works
// again: the primary must have all, and so must the standby that it waits for.
func (a *arena) data(ctx context.Context, l ledger, on string, tolerated bool) error {
	var errs []error
	standby := a.pair.Actions().Partner(on).Name
	errs = append(errs, a.caughtUp(ctx, on, standby))
	for _, node := range []string{on, standby} {
		there, err := a.rowsOn(ctx, node)
		if err != nil {
			errs = append(errs, fmt.Errorf("rows of %s: %w", node, err))
			continue
		}
		if lost := missing(l.acks, there); len(lost) > 0 && !tolerated {
			errs = append(errs, fmt.Errorf("%w: %d of %d acknowledged rows are not on %s, first row %d, acknowledged by %s at %s",
				errLost, len(lost), len(l.acks), node, lost[0].ID, lost[0].Server, lost[0].Returned.Format(clockFormat)))
		}
	}
	return errors.Join(errs...)
}

var (
	errLost        = errors.New("acknowledged rows are lost")
	errTwo         = errors.New("two nodes acknowledged")
	errBehind      = errors.New("acknowledged behind a freeze")
	errMessage     = errors.New("what was posted is not so")
	errNoWay       = errors.New("the pair does not work, and the message doesn't say what is left to do")
	errLeftBehind  = errors.New("left behind")
	errNoOperation = errors.New("the pair takes no writes")
)

// exclusive holds the acknowledgements against the promotions that there were,
// and against what the freeze claimed.
func exclusive(l ledger, v verdictOn, timeline uint32, uncovers bool) error {
	var errs []error
	if err := oneAtATime(l.acks, oldNode, int(timeline)-1); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", errTwo, err))
	}
	if v.frozen.IsZero() || uncovers {
		return errors.Join(errs...)
	}
	for _, k := range l.acks {
		if k.Server == v.plan.From && k.Sent.After(v.frozen) && (v.thawed.IsZero() || k.Returned.Before(v.thawed)) && (v.out.NewPrimary == "" || timeline == v.out.NewTimeline) {
			errs = append(errs, fmt.Errorf("%w: %s acknowledged row %d, sent at %s, frozen since %s", errBehind, k.Server, k.ID, k.Sent.Format(clockFormat), v.frozen.Format(clockFormat)))
			break
		}
	}
	return errors.Join(errs...)
}

// judged gathers how the request ended.
func (a *arena) judged(ctx context.Context, r approvals.Request) (verdictOn, error) {
	v := verdictOn{asked: true, request: r}
	out, err := outcomeOf(r)
	if err != nil {
		return v, err
	}
	v.out = out
	if v.plan, err = planIn(r); err != nil {
		return v, err
	}
	entries, err := a.service.store.Entries(ctx, r.ID)
	for _, e := range entries {
		switch {
		case e.Op == actions.OpFreeze && e.Phase == actions.Done:
			v.frozen = e.At
		case e.Op == actions.OpUndo && e.Phase == actions.Intent:
			v.thawed = e.At
		}
	}
	return v, err
}

// posted holds the message of the request against its record, and that against
// the servers as they are.
func (a *arena) posted(ctx context.Context, v verdictOn, ts string) error {
	errs := []error{a.shows(ctx, v, ts)}
	old, now := a.standing(ctx, oldNode), a.standing(ctx, newNode)
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: it ended %s (%s), but %s", errMessage, v.request.State, v.request.Why, fmt.Sprintf(format, args...)))
	}
	switch v.request.State {
	case approvals.Succeeded:
		if v.out.NewPrimary != newNode || v.out.Serving != newNode || now.up && !now.primary {
			wrong("%s is said to serve, primary: %t", v.out.Serving, now.primary)
		}
		if old.up && old.primary {
			wrong("%s is a primary, too", oldNode)
		}
	case approvals.Unknown, approvals.Failed:
		if len(v.out.Todo) == 0 {
			wrong("it doesn't say what people have to do")
		}
	default:
		if now.up && now.primary {
			wrong("%s is a primary", newNode)
		}
	}
	return errors.Join(errs...)
}

// stateWords are what a message shows of each end.
var stateWords = map[approvals.State]string{
	approvals.Succeeded: "done", approvals.Aborted: "taken back", approvals.Failed: "failed half way",
	approvals.Unknown: "outcome unknown", approvals.Stale: "stale, nothing was done",
}

// shows waits until the message says how it ended and each thing that is left to do.
func (a *arena) shows(ctx context.Context, v verdictOn, ts string) error {
	words := []string{stateWords[v.request.State]}
	for _, todo := range v.out.Todo {
		words = append(words, firstWords(todo))
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	asked, result := "", ""
	err := a.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			text := s.Plain(m, time.Now())
			if m.TS == ts {
				asked = text
			} else if strings.Contains(text, "asked") && strings.Contains(text, stateWords[v.request.State]) {
				result = text
			}
		}
		return strings.Contains(asked, words[0]) && containsAll(result, words)
	})
	if err != nil {
		return fmt.Errorf("%w: the messages never showed %q:\n%s\n%s", errMessage, words, asked, result)
	}
	if old := a.standing(ctx, oldNode); strings.Contains(result, "serves as before") && old.up && !old.primary {
		return fmt.Errorf("%w: %s is no primary:\n%s", errMessage, oldNode, result)
	}
	return a.saysNothingServes(ctx, v, result)
}

// saysNothingServes: an old primary that was fenced serves nobody.
func (a *arena) saysNothingServes(ctx context.Context, v verdictOn, result string) error {
	_, running, err := a.pair.Node(oldNode).Server.Running(ctx)
	if err != nil || running || v.request.State != approvals.Aborted || v.plan.Kind != actions.KindFailover {
		return err
	}
	if strings.Contains(result, "serves as before") {
		return fmt.Errorf("%w: %s is off:\n%s", errMessage, oldNode, result)
	}
	return nil
}

// firstWords of an instruction, as far as no markup can come in between.
func firstWords(text string) string {
	text, _, _ = strings.Cut(text, "`")
	text, _, _ = strings.Cut(text, "\n")
	words := strings.Fields(text)
	return strings.Join(words[:min(4, len(words))], " ")
}

// instructions are all that the bot has said about what to do now.
func instructions(v verdictOn, rep actions.Report) string {
	all := append(slices.Clone(v.out.Todo), v.request.Why, rep.Verdict.Headline, rep.Verdict.Why)
	for _, c := range rep.Verdict.Checks {
		if c.Status == actions.Bad || c.Status == actions.Unclear {
			all = append(all, c.Detail, c.Fix)
		}
	}
	return strings.Join(all, "\n")
}
