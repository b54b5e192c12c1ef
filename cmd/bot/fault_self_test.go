package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"twokey/actions"
	"twokey/actions/local/faultproxy"
)

// protection is one thing that keeps acknowledged rows, with a way to take it
// out of the bot's hands, and a walk into the danger that it is there for.
type protection struct {
	name    string
	options arenaOptions
	disable func(*arena, actions.Hands)
	walk    func(context.Context, *walk) error // what the oracle finds
	finds   error                              // once it is disabled
}

// TestSuiteCatches walks into each danger twice: with the protection nothing may
// be found, and without it the oracle must find what is lost.
func TestSuiteCatches(t *testing.T) {
	t.Parallel()
	for _, p := range halved(t, protections()) {
		for _, disabled := range []bool{false, true} {
			name := p.name + map[bool]string{false: "/in place", true: "/disabled"}[disabled]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := p.options
				wrap := o.wrap
				o.wrap = func(a *arena, hands map[string]actions.Hands) {
					if wrap != nil {
						wrap(a, hands)
					}
					if disabled {
						p.disable(a, hands[a.pair.Name])
					}
				}
				w := &walk{arena: newArena(t, o), cell: cell{kind: actions.KindFailover}}
				err := p.walk(w.patient(), w)
				t.Logf("found: %v", err)
				if !disabled && err != nil {
					t.Errorf("with the protection in place the oracle found: %v", err)
				}
				if disabled && !errors.Is(err, p.finds) {
					t.Errorf("without the protection the oracle must find %q, but found: %v", p.finds, err)
				}
			})
		}
	}
}

func protections() []protection {
	block := arenaOptions{block: true}
	return []protection{
		{"gate on the shutdown checkpoint", arenaOptions{settings: map[string]string{"wal_sender_timeout": "1s"}}, gateAlwaysOpen, stopWithoutItsEnd, errLost},
		{"freeze read twice", arenaOptions{}, freezeUnread, freezeWhileReplayIsPaused, errBehind},
		{"latch with load time", arenaOptions{wrap: gateLooks}, loadTimeHidden, aloneBetweenTwoLooks, errLost},
		{"fence read back", arenaOptions{}, fenceUnread, fenceThatDoesNothing, errTwo},
		{"staleness", arenaOptions{}, alwaysAsAsked, comesBackBetweenTheVotes, errLost},
		{"rejoin under another name", block, rejoinAtOnce, divergedComesBack, errLost},
		{"CHECKPOINT after names", arenaOptions{}, namesUnconfirmed, namesWhileTheCheckpointerStands, errLost},
	}
}

// database stands before a node's own and lets a test replace single answers.
type database struct {
	actions.Database
	lastRecord   func(context.Context) (actions.WALEnd, error)
	observe      func(context.Context) actions.Observation
	setSyncNames func(context.Context, string) error
	checkpoint   func(context.Context) error
	lock         func(context.Context, int64) (actions.Session, error)
}

func (d database) LastRecord(ctx context.Context) (actions.WALEnd, error) {
	if d.lastRecord != nil {
		return d.lastRecord(ctx)
	}
	return d.Database.LastRecord(ctx)
}

func (d database) Observe(ctx context.Context) actions.Observation {
	if d.observe != nil {
		return d.observe(ctx)
	}
	return d.Database.Observe(ctx)
}

func (d database) SetSyncNames(ctx context.Context, names string) error {
	if d.setSyncNames != nil {
		return d.setSyncNames(ctx, names)
	}
	return d.Database.SetSyncNames(ctx, names)
}

func (d database) Checkpoint(ctx context.Context) error {
	if d.checkpoint != nil {
		return d.checkpoint(ctx)
	}
	return d.Database.Checkpoint(ctx)
}

func (d database) Lock(ctx context.Context, key int64) (actions.Session, error) {
	if d.lock != nil {
		return d.lock(ctx, key)
	}
	return d.Database.Lock(ctx, key)
}

// machine stands before a node's own in the same way.
type machine struct {
	actions.Machine
	off    func(context.Context) error
	read   func(context.Context) (actions.Power, error)
	rejoin func(context.Context, actions.RejoinOrder) (actions.RejoinReport, error)
}

func (m machine) Off(ctx context.Context) error {
	if m.off != nil {
		return m.off(ctx)
	}
	return m.Machine.Off(ctx)
}

func (m machine) Read(ctx context.Context) (actions.Power, error) {
	if m.read != nil {
		return m.read(ctx)
	}
	return m.Machine.Read(ctx)
}

func (m machine) Rejoin(ctx context.Context, o actions.RejoinOrder, progress func(string)) (actions.RejoinReport, error) {
	if m.rejoin != nil {
		return m.rejoin(ctx, o)
	}
	return m.Machine.Rejoin(ctx, o, progress)
}

// replaced puts a database before a node's own.
func replaced(h actions.Hands, node string, by func(own actions.Database) database) {
	own := h.Databases[node]
	d := by(own)
	d.Database = own
	h.Databases[node] = d
}

// The gate. Its disabled form calls whatever the standby ends with a shutdown
// checkpoint, so that only the end of the old primary is awaited.
func gateAlwaysOpen(_ *arena, h actions.Hands) {
	replaced(h, newNode, func(own actions.Database) database {
		return database{lastRecord: func(ctx context.Context) (actions.WALEnd, error) {
			end, err := own.LastRecord(ctx)
			end.LSN, end.Shutdown, end.Timeline = math.MaxUint64, true, 1
			return end, err
		}}
	})
}

// stopWithoutItsEnd: the old primary ends in good order while its link is a black
// hole, so that its standby never gets the end of its log. Promoted all the same,
// the standby is "followed" by a diverged node that confirms what it doesn't have.
func stopWithoutItsEnd(ctx context.Context, w *walk) error {
	w.cell.kind = actions.KindSwitchover
	w.points.on(actions.OpStop, false, func(ctx context.Context) error {
		w.set(linkPair, faultproxy.Hole())
		return w.tail(ctx, oldNode)
	})
	w.points.on(actions.OpFollow, false, func(context.Context) error { w.dropHeld(); return nil })
	return w.secondDisaster(ctx)
}

// secondDisaster asks for what the cell is about, and when the new primary has
// acknowledged rows kills it for good: what it acknowledged while it waited for a
// standby must be on that one. Without such rows the end is judged as ever.
func (w *walk) secondDisaster(ctx context.Context) error {
	id := w.approved(ctx)
	var r = false
	w.must(w.until(ctx, "the new primary acknowledges, or the request ends", func() bool {
		req, err := w.service.store.Request(ctx, id)
		r = err == nil && req.State.Ended()
		return r || w.writers[newNode].Tally().Acknowledged >= 5
	}))
	if w.writers[newNode].Tally().Acknowledged >= 5 {
		w.must(w.pair.Node(newNode).Server.Kill(ctx))
		w.set(linkPair, faultproxy.Healed())
		return w.survivor(ctx, w.settleBooks(), oldNode)
	}
	return w.endOf(ctx, id, false)
}

// approved asks and has it approved by two.
func (w *walk) approved(ctx context.Context) (id string) {
	id, ts := w.halfApproved(ctx)
	w.vote(ctx, id, ts, dba2, "dba-2")
	return id
}

func (w *walk) halfApproved(ctx context.Context) (id, ts string) {
	r, ok := w.askOnce(ctx)
	if !ok {
		w.must(errors.New("the bot made no request"))
	}
	ts = w.messageOf(ctx)
	w.vote(ctx, r.ID, ts, dba1, "dba-1")
	return r.ID, ts
}

// endOf waits for the end of the request and holds the books against what is true.
func (w *walk) endOf(ctx context.Context, id string, uncovers bool) error {
	v, err := w.judged(ctx, w.awaitEnd(ctx, id))
	w.must(err)
	w.t.Log(ended(v))
	w.heal(ctx)
	for l := range w.proxies {
		w.set(l, faultproxy.Healed())
	}
	if v.out.NewPrimary == "" {
		w.must(w.startAgain(ctx, oldNode))
		w.recovers(ctx, 20*time.Second)
	}
	serving := standing{node: oldNode, timeline: 1}
	if v.out.NewPrimary != "" {
		serving = w.standing(ctx, v.out.NewPrimary)
	}
	w.must(w.writers[serving.node].Until(ctx, 20))
	l := w.settleBooks()
	w.t.Logf("acknowledged %v", byNode(l.acks))
	if v.out.NewPrimary != "" && v.out.Synchronous.IsZero() { // it serves alone, and says so
		return errors.Join(exclusive(l, v, serving.timeline, uncovers), w.survivor(ctx, l, serving.node))
	}
	return w.findings(ctx, l, v, serving, uncovers)
}

// The freeze. Its disabled form writes the setting and takes it for the deed.
func freezeUnread(a *arena, h actions.Hands) {
	replaced(h, newNode, func(own actions.Database) database {
		return database{lock: func(ctx context.Context, key int64) (actions.Session, error) {
			s, err := own.Lock(ctx, key)
			if err != nil {
				return nil, err
			}
			return trusting{s, a}, nil
		}}
	})
}

type trusting struct {
	actions.Session
	a *arena
}

func (t trusting) Freeze(ctx context.Context) error {
	return t.a.exec(ctx, newNode, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
}

func (t trusting) Frozen(context.Context) (bool, error) { return true, nil }

// freezeWhileReplayIsPaused: the old primary works and is cut off from the bot,
// and the standby's startup process, which has to stop the receiver, is paused.
func freezeWhileReplayIsPaused(ctx context.Context, w *walk) error {
	w.points.on(actions.OpFreeze, false, func(ctx context.Context) error {
		return w.exec(ctx, newNode, "SELECT pg_wal_replay_pause()")
	})
	w.points.on(actions.OpFence, false, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		err := w.until(ctx, "the freeze is done", func() bool { return w.points.reached(actions.OpFreeze, true) })
		if err == nil {
			_ = w.writers[oldNode].Until(ctx, 40) // in vain behind a freeze
		}
		return nil
	})
	w.points.on(actions.OpSettle, false, func(ctx context.Context) error {
		return w.exec(ctx, newNode, "SELECT pg_wal_replay_resume()")
	})
	w.set(linkOld, faultproxy.Cut())
	return w.endOf(ctx, w.approved(ctx), false)
}

// gateLooks lets no look through while the arena's looks are locked.
func gateLooks(a *arena, hands map[string]actions.Hands) {
	for _, n := range nodeNames {
		replaced(hands[a.pair.Name], n, func(own actions.Database) database {
			return database{observe: func(ctx context.Context) actions.Observation {
				a.looks.RLock()
				defer a.looks.RUnlock()
				return own.Observe(ctx)
			}}
		})
	}
}

// The latch. Its disabled form can't see that settings were loaded anew.
func loadTimeHidden(_ *arena, h actions.Hands) {
	for _, n := range nodeNames {
		replaced(h, n, func(own actions.Database) database {
			return database{observe: func(ctx context.Context) actions.Observation {
				o := own.Observe(ctx)
				if o.Server != nil {
					o.Server.ConfLoaded = time.Unix(1, 0)
				}
				return o
			}}
		})
	}
}

// aloneBetweenTwoLooks: the primary acknowledges alone for a moment that no look
// falls into, while its standby receives nothing, and dies.
func aloneBetweenTwoLooks(ctx context.Context, w *walk) error {
	w.looks.Lock()
	w.set(linkPair, faultproxy.Hole())
	err := w.aloneFor(ctx, oldNode, 10)
	w.looks.Unlock()
	w.must(err)
	_, err = w.service.desk.Status(ctx, w.pair.Name)
	w.must(err)
	w.must(w.pair.Node(oldNode).Server.Kill(ctx))
	w.dropHeld()
	w.receiverEnds(ctx)
	return w.endOf(ctx, w.approved(ctx), true)
}

// The fence. Its disabled form is believed to be off.
func fenceUnread(_ *arena, h actions.Hands) {
	h.Machines[oldNode] = machine{
		Machine: h.Machines[oldNode],
		off:     func(context.Context) error { return nil },
		read:    func(context.Context) (actions.Power, error) { return actions.PowerOff, nil },
	}
}

// fenceThatDoesNothing: the old primary works, is cut off from the bot, and finds
// somebody who confirms in its standby's name.
func fenceThatDoesNothing(ctx context.Context, w *walk) error {
	w.points.on(actions.OpPromote, false, func(ctx context.Context) error {
		w.set(linkPair, faultproxy.Cut())
		w.inject(ctx, fault{name: "impostor", inject: w.impostorOf(oldNode)})
		return nil
	})
	w.points.on(actions.OpConfirm, true, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_ = w.writers[oldNode].Until(ctx, 20) // in vain when it is off
		return nil
	})
	w.set(linkOld, faultproxy.Cut())
	return w.endOf(ctx, w.approved(ctx), true)
}

// impostorOf streams from this node although the other is a primary, too.
func (a *arena) impostorOf(node string) func(context.Context, *arena) (func(context.Context) error, error) {
	return func(ctx context.Context, _ *arena) (func(context.Context) error, error) {
		if s := a.standing(ctx, node); !s.up || !s.primary {
			return nil, errNothing
		}
		return a.impersonate(ctx, node)
	}
}

// Staleness. Its disabled form shows the world as it was when it was asked for,
// until the recheck is over.
func alwaysAsAsked(a *arena, h actions.Hands) {
	for _, n := range nodeNames {
		var mu sync.Mutex
		var kept *actions.Observation
		replaced(h, n, func(own actions.Database) database {
			return database{observe: func(ctx context.Context) actions.Observation {
				if !a.asked.Load() || a.points.reached(actions.OpRecheck, true) {
					return own.Observe(ctx)
				}
				mu.Lock()
				defer mu.Unlock()
				if kept == nil {
					o := own.Observe(ctx)
					kept = &o
				}
				o := *kept
				o.At = time.Now()
				return o
			}}
		})
	}
}

// comesBackBetweenTheVotes: the dead primary is started again after the plan was
// made, acknowledges alone, is seen to do so, and dies once more.
func comesBackBetweenTheVotes(ctx context.Context, w *walk) error {
	old, standby := w.pair.Node(oldNode).Server, w.pair.Node(newNode).Server
	w.must(old.Kill(ctx))
	w.receiverEnds(ctx)
	_, err := w.service.desk.Status(ctx, w.pair.Name) // the look that the plan will rest on
	w.must(err)
	w.asked.Store(true)
	id, ts := w.halfApproved(ctx)
	w.set(linkPair, faultproxy.Cut())
	_, err = old.Start(ctx)
	w.must(err)
	w.must(old.WaitReady(ctx))
	w.must(w.exec(ctx, oldNode, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT"))
	w.must(w.writers[oldNode].Until(ctx, 10))
	_, err = w.service.desk.Status(ctx, w.pair.Name)
	w.must(err)
	w.must(w.exec(ctx, oldNode, "ALTER SYSTEM RESET synchronous_standby_names"))
	w.must(old.Kill(ctx))
	w.set(linkPair, faultproxy.Healed())
	w.must(standby.Thaw(ctx))
	w.vote(ctx, id, ts, dba2, "dba-2")
	return w.endOf(ctx, id, true)
}

// The name at the rejoin. Its disabled form starts the old primary as it is, at
// once, under the name that the new one waits for.
func rejoinAtOnce(a *arena, h actions.Hands) {
	n := a.pair.Node(oldNode)
	h.Machines[oldNode] = machine{Machine: h.Machines[oldNode], rejoin: func(ctx context.Context, _ actions.RejoinOrder) (actions.RejoinReport, error) {
		signal := filepath.Join(n.Server.DataDir, "standby.signal")
		if err := errors.Join(os.WriteFile(signal, nil, 0o600), n.Server.User.Own(signal)); err != nil {
			return actions.RejoinReport{}, err
		}
		_, err := n.Server.Start(ctx)
		return actions.RejoinReport{How: actions.RejoinedAsIs}, err
	}}
}

// divergedComesBack: the old primary died with a tail that its standby never got.
func divergedComesBack(ctx context.Context, w *walk) error {
	w.inject(ctx, fault{name: "diverged", inject: diverge})
	w.receiverEnds(ctx)
	return w.secondDisaster(ctx)
}

// The CHECKPOINT after names. Its disabled form believes what SHOW says.
func namesUnconfirmed(a *arena, h actions.Hands) {
	replaced(h, newNode, func(actions.Database) database {
		return database{
			setSyncNames: func(ctx context.Context, names string) error {
				return a.exec(ctx, newNode, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'", "SELECT pg_reload_conf()")
			},
			checkpoint: func(context.Context) error { return nil },
		}
	})
}

// namesWhileTheCheckpointerStands: the new primary's names are set while its
// checkpointer, which has to take them over, stands still; then its old primary
// can't reach it, so whatever it acknowledges it acknowledges alone.
func namesWhileTheCheckpointerStands(ctx context.Context, w *walk) error {
	w.cell.kind = actions.KindSwitchover
	w.must(w.exec(ctx, newNode, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT"))
	w.health(actions.HealthOK)
	w.points.on(actions.OpPrepare, false, func(ctx context.Context) error {
		w.inject(ctx, fault{name: "checkpointer", inject: stopProcess(newNode, "checkpointer")})
		return nil
	})
	w.points.on(actions.OpGate, true, func(context.Context) error { w.set(linkPair, faultproxy.Cut()); return nil })
	return w.secondDisaster(ctx)
}
