package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// mend is a person who follows what the bot has said until the pair works. It
// does nothing that isn't written there, but for waiting.
func (a *arena) mend(ctx context.Context, v verdictOn) (how []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("two minutes are over"))
	defer cancel()
	var rep actions.Report
	for ctx.Err() == nil {
		if rep, err = a.service.desk.Verify(ctx, a.pair.Name); err != nil {
			return how, err
		}
		if rep.Verdict.Health == actions.HealthOK || rep.Verdict.Health == actions.HealthLagging {
			return how, nil
		}
		if a.recovers(ctx, 3*time.Second) {
			continue
		}
		did, err := a.follow(ctx, instructions(v, rep), rep)
		if err != nil {
			return how, err
		}
		if did != "" {
			how = append(how, did)
		}
	}
	return how, fmt.Errorf("%w: %w; health %q after %q; it said: %s", errNoWay, context.Cause(ctx), rep.Verdict.Health, how, instructions(v, rep))
}

// recovers gives the pair a moment to become well by itself.
func (a *arena) recovers(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return a.until(ctx, "it is well", func() bool {
		rep, err := a.service.desk.Verify(ctx, a.pair.Name)
		return err == nil && rep.Verdict.Health == actions.HealthOK
	}) == nil
}

// thawedByHand is what people did who let a frozen standby stream again.
const thawedByHand = "thawed the standby"

// primaryAgain makes a standby the primary that it was.
func (a *arena) primaryAgain(ctx context.Context, node string) error {
	s := a.pair.Node(node).Server
	if err := s.StopFast(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.DataDir, "standby.signal")); err != nil {
		return err
	}
	_, err := s.Start(ctx)
	return err
}

// follow does the first thing that the text tells and that applies.
func (a *arena) follow(ctx context.Context, text string, rep actions.Report) (string, error) {
	old, now := a.standing(ctx, oldNode), a.standing(ctx, newNode)
	says := func(words string) bool { return strings.Contains(text, words) }
	switch {
	case now.up && now.primary && (!old.up || !old.primary):
		return a.rejoinBy(ctx, text)
	case says("RESET primary_conninfo") && now.up:
		return thawedByHand, a.exec(ctx, newNode, "ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()")
	case old.up && !old.primary && says("start "+oldNode+" by hand as the primary that it was"):
		return "made " + oldNode + " the primary again", a.primaryAgain(ctx, oldNode)
	case !old.up && now.up && (says("Start "+oldNode+" by hand") || says(oldNode+" is as it was, or off where it was fenced")):
		return "started " + oldNode, a.startAgain(ctx, oldNode)
	case now.up && !now.primary && (says("promote it there yourself") || says("promote it yourself")) && (!old.up || !old.primary):
		return "promoted " + newNode, a.exec(ctx, newNode, "SELECT pg_promote()")
	case !now.up && old.up && old.primary && says("Bring the standby back"):
		return "started " + newNode, a.startAgain(ctx, newNode)
	case rep.Open != nil:
		return "", nil // it is still at work
	}
	return "", nil
}

// rejoinBy asks for a rejoin, where the bot said so, and has it approved.
func (a *arena) rejoinBy(ctx context.Context, text string) (string, error) {
	if !strings.Contains(text, "rejoin") {
		return "", nil
	}
	r, err := a.service.desk.Ask(ctx, actions.Question{Kind: actions.KindRejoin, Pair: a.pair.Name, Requester: "oncall", Place: opsChannel, Reason: "as it says"})
	if err != nil {
		return "", nil //nolint:nilerr // not yet, or no more: the next look tells
	}
	for _, who := range []approvals.Person{"dba-1", "dba-2"} {
		if _, err := a.service.desk.Approve(ctx, r.ID, approvals.Ballot{Person: who, Place: r.Place, Digest: string(r.Digest())}); err != nil {
			return "", nil //nolint:nilerr // outdated meanwhile, say: the next look tells
		}
	}
	err = a.until(ctx, "the rejoin has ended", func() bool {
		r, err = a.service.desk.Request(ctx, r.ID)
		return err == nil && r.State.Ended()
	})
	return fmt.Sprintf("rejoined %s: %s (%s)", oldNode, r.State, r.Why), err
}

// writes waits until the serving node acknowledges again.
func (a *arena) writes(ctx context.Context) (standing, error) {
	all := a.primaries(ctx)
	if len(all) != 1 {
		return standing{}, fmt.Errorf("%w: %d nodes are out of recovery: %+v", errNoOperation, len(all), all)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("30 s are over"))
	defer cancel()
	if err := a.writers[all[0].node].Until(ctx, 20); err != nil {
		return all[0], fmt.Errorf("%w: %w", errNoOperation, err)
	}
	return all[0], nil
}
