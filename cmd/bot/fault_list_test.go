package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/faultproxy"
	"twokey/actions/local/sandbox"
	"twokey/bot/slacksim"
)

// fault is one thing that goes wrong. It lasts until the request has ended.
type fault struct {
	name string
	// inject makes it happen and returns how it is healed; errNothing when what
	// it would break isn't there at that moment.
	inject func(ctx context.Context, a *arena) (heal func(context.Context) error, err error)
	// options are what the arena needs for it.
	options func(*testing.T, *arenaOptions) error
	// early is what must be done before the pair is used.
	early func(ctx context.Context, a *arena) error
	// cut: the disaster that it meets in a failover is an old primary that works but is cut off from
	// the bot; else it is one that is dead.
	cut bool
	// disaster: it is the disaster itself, so that a failover needs no other.
	disaster bool
	// ofStandby: it breaks what only a standby has, on dc2.
	ofStandby bool
	// ofOld: it breaks what is broken already in a failover until the old primary is rejoined.
	ofOld bool
	// only limits it to one kind; empty is both.
	only actions.Kind
	// firstOnly: it has a meaning only before the request.
	firstOnly bool
	// uncovers: rows that are acknowledged while it lasts are outside of the promise, so that they may
	// be lost; but only where the plan did not call zero loss proven.
	uncovers bool
}

func allFaults() []fault {
	var all []fault
	for _, l := range []link{linkOld, linkNew, linkPair} {
		all = append(all, linkFaults(l)...)
	}
	for _, n := range nodeNames {
		all = append(all, serverFaults(n)...)
	}
	return append(all, pairFaults()...)
}

// linkFaults are everything that a network does to one link.
func linkFaults(l link) []fault {
	bytes := 300
	if l == linkPair {
		bytes = 20_000
	}
	var all []fault
	for _, c := range []struct {
		name string
		rule faultproxy.Rule
	}{
		{"cut", faultproxy.Cut()},
		{"one way", faultproxy.OneWay()},
		{"slow", faultproxy.Slow(25 * time.Millisecond)},
		{"black hole", faultproxy.Hole()},
		{"reset in mid-message", faultproxy.MidMessage(bytes)},
	} {
		all = append(all, fault{
			name: string(l) + ": " + c.name,
			cut:  l == linkPair, ofOld: l == linkOld,
			inject: func(_ context.Context, a *arena) (func(context.Context) error, error) {
				a.set(l, c.rule)
				return func(context.Context) error { a.set(l, faultproxy.Healed()); return nil }, nil
			},
		})
	}
	return all
}

// serverFaults are what can befall one server.
func serverFaults(node string) []fault {
	old := node == oldNode
	return []fault{
		{name: node + ": SIGSTOP", cut: old, inject: stopServer(node)},
		{name: node + ": SIGKILL", disaster: old, ofOld: old, inject: killServer(node)},
		{name: node + ": disk full", cut: old, options: smallDisk(node), inject: fillDisk(node)},
		{name: node + ": slow fsync", cut: old, options: slowDisk, inject: slowFsync(node)},
		{name: node + ": checkpointer stopped", cut: old, inject: stopProcess(node, "checkpointer")},
	}
}

func pairFaults() []fault {
	return []fault{
		{name: "replay paused", ofStandby: true, inject: pauseReplay},
		{name: "promotion answers late", ofStandby: true, inject: stopProcess(newNode, "startup")},
		{name: "impostor under the standby's name", cut: true, inject: impostor, uncovers: true},
		{name: "waits for the standby cancelled", cut: true, inject: cancelWaits},
		{name: "synchronous_commit off for the role", cut: true, inject: roleCommitsAlone, uncovers: true},
		{name: "names changed and changed back", cut: true, inject: namesThereAndBack, uncovers: true},
		{name: "diverged in the fork's segment, back under block", only: actions.KindFailover, disaster: true, firstOnly: true,
			options: func(_ *testing.T, o *arenaOptions) error { o.block = true; return nil }, inject: diverge},
		{name: "standby restored from an old copy", early: keepOldCopy, inject: restoreOldCopy, ofStandby: true, cut: true, uncovers: true},
		{name: "Slack down", inject: slackDown},
	}
}

func stopServer(node string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(ctx context.Context, a *arena) (func(context.Context) error, error) {
		s := a.pair.Node(node).Server
		if _, running, err := s.Running(ctx); err != nil || !running {
			return nil, errors.Join(errNothing, err)
		}
		return s.Thaw, s.Freeze(ctx)
	}
}

func killServer(node string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(ctx context.Context, a *arena) (func(context.Context) error, error) {
		s := a.pair.Node(node).Server
		if _, running, err := s.Running(ctx); err != nil || !running {
			return nil, errors.Join(errNothing, err)
		}
		return func(ctx context.Context) error { return a.startAgain(ctx, node) }, s.Kill(ctx)
	}
}

// startAgain is the machine that is back, with the server started as it stands:
// not where its partner was promoted meanwhile, or was told to be, because nobody
// may do that.
func (a *arena) startAgain(ctx context.Context, node string) error {
	s := a.pair.Node(node).Server
	_, running, err := s.Running(ctx)
	if err != nil || running {
		return err
	}
	standby := fileExists(filepath.Join(s.DataDir, "standby.signal"))
	partner := a.standing(ctx, a.pair.Actions().Partner(node).Name)
	told := node == oldNode && a.points.reached(actions.OpPromote, false)
	if !standby && (told || partner.up && partner.primary) {
		return nil
	}
	_, err = s.Start(ctx)
	return err
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stopProcess stops one of a server's own processes.
func stopProcess(node, kind string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(ctx context.Context, a *arena) (func(context.Context) error, error) {
		pid, err := a.process(ctx, node, kind)
		if err != nil {
			return nil, err
		}
		return a.pair.Node(node).Server.Thaw, syscall.Kill(pid, syscall.SIGSTOP)
	}
}

// process is the number of one of a server's own processes.
func (a *arena) process(ctx context.Context, node, kind string) (pid int, err error) {
	err = a.asAdmin(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = $1", kind).Scan(&pid)
	})
	if err != nil {
		err = fmt.Errorf("%w: %s of %s: %w", errNothing, kind, node, err)
	}
	return pid, err
}

// smallDisk gives a node a file system of its own that is soon full.
func smallDisk(node string) func(*testing.T, *arenaOptions) error {
	return func(_ *testing.T, o *arenaOptions) error {
		if os.Geteuid() != 0 {
			return errNeedsRoot
		}
		o.prepare = func(name, dir string) error {
			if name != node {
				return nil
			}
			return mountMemory(dir, "size=256m,mode=0700")
		}
		return nil
	}
}

var errNeedsRoot = errors.New("a small file system can only be mounted by root")

const fillerName = "filler"

// fillDisk leaves no byte on the node's file system.
func fillDisk(node string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(_ context.Context, a *arena) (func(context.Context) error, error) {
		path := filepath.Join(a.pair.Node(node).Dir, fillerName)
		heal := func(ctx context.Context) error {
			return errors.Join(os.Remove(path), a.startAgain(ctx, node))
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		block := make([]byte, 256<<10)
		for len(block) > 0 {
			if _, err = f.Write(block); err != nil {
				block = block[:len(block)/2]
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return heal, errors.Join(err, f.Close())
		}
		return heal, f.Close()
	}
}

// slowFsync makes every fsync of a node's server take long.
func slowFsync(node string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(_ context.Context, a *arena) (func(context.Context) error, error) {
		path := filepath.Join(a.pair.Node(node).Server.DataDir, slowFile)
		return func(context.Context) error {
			var errs []error
			for _, n := range []string{oldNode, newNode} { // a base backup takes the file along to the other
				err := os.Remove(filepath.Join(a.pair.Node(n).Server.DataDir, slowFile))
				if !errors.Is(err, os.ErrNotExist) { // the data folder may be another now
					errs = append(errs, err)
				}
			}
			return errors.Join(errs...)
		}, os.WriteFile(path, nil, 0o644)
	}
}

func pauseReplay(ctx context.Context, a *arena) (func(context.Context) error, error) {
	if s := a.standing(ctx, newNode); !s.up || s.primary {
		return nil, errNothing
	}
	heal := func(ctx context.Context) error {
		if s := a.standing(ctx, newNode); !s.up || s.primary {
			return nil
		}
		return a.exec(ctx, newNode, "SELECT pg_wal_replay_resume()")
	}
	return heal, a.exec(ctx, newNode, "SELECT pg_wal_replay_pause()")
}

// cancelWaits cancels every commit that waits for a standby, again and again:
// the client is told success, with a warning.
func cancelWaits(ctx context.Context, a *arena) (func(context.Context) error, error) {
	if _, err := a.primary(ctx); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	for _, n := range nodeNames {
		done.Go(func() { a.keepCancelling(ctx, n) })
	}
	return func(context.Context) error { stop(); done.Wait(); return nil }, nil
}

func (a *arena) keepCancelling(ctx context.Context, node string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = a.asAdmin(ctx, node, func(ctx context.Context, c *pgx.Conn) error { // a server that is down has no waits
			for {
				if _, err := c.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func roleCommitsAlone(ctx context.Context, a *arena) (func(context.Context) error, error) {
	on, err := a.primary(ctx)
	if err != nil {
		return nil, err
	}
	const reconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + sandbox.AppRole + "'"
	heal := func(ctx context.Context) error {
		on, err := a.primary(ctx)
		if err != nil {
			return nil //nolint:nilerr // no primary: whoever mends the pair sees the role's setting in the checks
		}
		return a.exec(ctx, on, "SET synchronous_commit = local", "ALTER ROLE "+sandbox.AppRole+" RESET synchronous_commit", reconnect)
	}
	return heal, a.exec(ctx, on, "SET synchronous_commit = local", "ALTER ROLE "+sandbox.AppRole+" SET synchronous_commit = off", reconnect)
}

// namesThereAndBack lets the primary acknowledge alone for a moment, while its
// standby receives nothing.
func namesThereAndBack(ctx context.Context, a *arena) (func(context.Context) error, error) {
	on, err := a.primary(ctx)
	if err != nil {
		return nil, err
	}
	a.set(linkPair, faultproxy.Hole())
	err = a.aloneFor(ctx, on, 10)
	a.dropHeld()
	return func(context.Context) error { return nil }, err
}

// dropHeld ends the connections between the nodes with what they hold: a black
// hole that only heals would deliver it.
func (a *arena) dropHeld() {
	a.set(linkPair, faultproxy.Cut())
	a.set(linkPair, faultproxy.Healed())
}

// aloneFor empties the names on a primary until it has acknowledged rows alone,
// and puts them back as they were.
func (a *arena) aloneFor(ctx context.Context, node string, rows int) error {
	alone := []string{"ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT"}
	back := []string{"ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()", "CHECKPOINT"}
	if err := a.exec(ctx, node, alone...); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err := a.writers[node].Until(wait, rows)
	return errors.Join(err, a.exec(ctx, node, back...))
}

// diverge writes a tail on the old primary that its standby never gets, inside
// the segment in which the new timeline will fork, and kills it.
func diverge(ctx context.Context, a *arena) (func(context.Context) error, error) {
	if _, err := a.process(ctx, newNode, "walreceiver"); err != nil {
		return nil, err
	}
	a.set(linkPair, faultproxy.Hole())
	err := errors.Join(a.tail(ctx, oldNode), a.pair.Node(oldNode).Server.Kill(ctx))
	a.dropHeld()
	return func(context.Context) error { return nil }, err
}

// tail writes a megabyte that nobody waits for.
func (a *arena) tail(ctx context.Context, node string) error {
	return a.exec(ctx, node, "SET synchronous_commit = local", "INSERT INTO load.tail SELECT repeat('x', 500) FROM generate_series(1, 2000)")
}

func oldCopy(a *arena) string { return a.pair.Node(newNode).Server.DataDir + ".old" }

// keepOldCopy copies the standby as it is at the beginning.
func keepOldCopy(ctx context.Context, a *arena) error {
	s := a.pair.Node(newNode).Server
	if err := s.StopFast(ctx); err != nil {
		return err
	}
	if err := local.CopyFolder(ctx, s.DataDir, oldCopy(a), s.User); err != nil {
		return err
	}
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	a.health(actions.HealthOK)
	return a.writers[oldNode].Until(ctx, 50)
}

// restoreOldCopy sets the standby back to that copy, with the way to its primary
// cut, as when a snapshot is brought up on another machine.
func restoreOldCopy(ctx context.Context, a *arena) (func(context.Context) error, error) {
	if s := a.standing(ctx, newNode); !s.up || s.primary {
		return nil, errNothing
	}
	s := a.pair.Node(newNode).Server
	if !fileExists(oldCopy(a)) {
		return nil, errNothing
	}
	a.set(linkPair, faultproxy.Cut())
	heal := func(context.Context) error { a.set(linkPair, faultproxy.Healed()); return nil }
	if err := s.Kill(ctx); err != nil {
		return heal, err
	}
	if err := errors.Join(os.RemoveAll(s.DataDir), os.Rename(oldCopy(a), s.DataDir)); err != nil {
		return heal, err
	}
	_, err := s.Start(ctx)
	if err == nil {
		err = s.WaitReady(ctx)
	}
	return heal, err
}

func slackDown(_ context.Context, a *arena) (func(context.Context) error, error) {
	a.slack.Fail(slacksim.Any, slacksim.Down())
	return func(context.Context) error { a.slack.Heal(slacksim.Any); return nil }, nil
}

// slug is a fault's name for test names.
func (f fault) slug() string {
	return strings.NewReplacer(" ", "_", ":", "", "–", "-", "'", "", ",", "").Replace(f.name)
}
