package actions_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"twokey/actions"
)

// being is one run of a bot. When it dies, none of its calls has an effect any
// more and its sessions end, as if its process had been killed.
type being struct {
	once sync.Once
	dead chan struct{}
}

func newBeing() *being { return &being{dead: make(chan struct{})} }

func (b *being) die() { b.once.Do(func() { close(b.dead) }) }

func (b *being) gone() bool {
	select {
	case <-b.dead:
		return true
	default:
		return false
	}
}

var (
	errDead = errors.New("this bot is dead")
	errHang = errors.New("hang until somebody loses patience")
	errDown = errors.New("connection refused")
)

// enter is the beginning of every call of a bot: it may be dead, out of time,
// or made to fail or hang by the test. The lock is held when it returns nil.
func (w *world) enter(ctx context.Context, b *being, call, node string) error {
	if err := w.faulty(call, node); errors.Is(err, errHang) {
		return hang(ctx, b)
	} else if err != nil {
		return err
	}
	w.mu.Lock()
	w.settle()
	if b.gone() {
		w.mu.Unlock()
		return errDead
	}
	if err := ctx.Err(); err != nil {
		w.mu.Unlock()
		return context.Cause(ctx)
	}
	return nil
}

func (w *world) faulty(call, node string) error {
	w.hook.Lock()
	f := w.fault
	w.hook.Unlock()
	if f == nil {
		return nil
	}
	return f(call, node)
}

// setFault replaces what may fail a call, and gives what did before.
func (w *world) setFault(f func(call, node string) error) func(call, node string) error {
	w.hook.Lock()
	defer w.hook.Unlock()
	before := w.fault
	w.fault = f
	return before
}

func hang(ctx context.Context, b *being) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.dead:
		return errDead
	}
}

// leave notes a call that changed something and gives the lock back.
func (w *world) leave(call, node string) {
	if call != "" {
		w.calls = append(w.calls, call+" "+node)
		w.settle()
		if f := w.after[call+" "+node]; f != nil {
			f(w, w.server(node))
			w.settle()
		}
	}
	w.mu.Unlock()
}

// wait polls the world until ask says so. It holds the lock while it asks.
func (w *world) wait(ctx context.Context, b *being, ask func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		w.settle()
		done := ask()
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.dead:
			return errDead
		case <-tick.C:
		}
	}
}

// database is one server's port as a being sees it.
type database struct {
	w *world
	b *being
	s *server
}

// enter is world.enter for calls that need the server to answer.
func (d database) enter(ctx context.Context, call string) error {
	if err := d.w.enter(ctx, d.b, call, d.s.name); err != nil {
		return err
	}
	if !d.s.up || d.w.unheard[d.s.name] {
		d.w.mu.Unlock()
		return errDown
	}
	return nil
}

// change runs a call that changes something.
func (d database) change(ctx context.Context, call string, do func(s *server) error) error {
	if err := d.enter(ctx, call); err != nil {
		return err
	}
	defer d.w.leave(call, d.s.name)
	if err := do(d.s); err != nil || d.w.doubt == nil {
		return err
	}
	return d.w.doubt(call, d.s.name)
}

func (d database) Observe(ctx context.Context) actions.Observation {
	o := actions.Observation{Node: d.s.name, At: time.Now()}
	if err := d.enter(ctx, "observe"); err != nil {
		o.Failure = &actions.Failure{Reach: actions.Unreachable, Text: err.Error()}
		return o
	}
	defer d.w.leave("", "")
	if d.s.stopAt.IsZero() {
		o.Server = d.w.observe(d.s)
		return o
	}
	o.Failure = &actions.Failure{Reach: actions.Starting, Text: "the database system is shutting down"}
	return o
}

func (w *world) observe(s *server) *actions.Server {
	p := w.partner(s)
	o := healthyPrimary()
	if s.recovery {
		o = healthyStandby()
		o.Receiver, o.Receivers, o.ReceiveLSN, o.ReplayLSN = nil, 0, s.end(), s.end()
		if time.Now().Before(w.replayed) {
			o.ReplayLSN -= 0x40
		}
		if w.streams(s) {
			o.Receiver, o.Receivers = &actions.Receiver{Status: "streaming", Timeline: s.timeline, Flushed: s.end()}, 1
		}
	} else {
		o.FlushLSN, o.Standbys = s.end(), nil
	}
	o.Settings = healthySettings(s.names)
	o.Settings["synchronized_standby_slots"] = s.synced
	o.Now, o.StartedAt, o.ConfLoaded, o.Timeline, o.ConninfoSet = time.Now(), s.started, s.loaded, s.timeline, !s.frozen
	if !s.recovery && w.streams(p) {
		sync := map[bool]string{true: "sync", false: "async"}[s.names == p.name]
		o.Standbys = []actions.Standby{{Name: p.name, ClientAddr: sourceOf(p.name), State: "streaming", SyncState: sync, Flush: p.end(), Replay: p.end()}}
	}
	o.Slots = nil
	for name := range s.slots {
		o.Slots = append(o.Slots, actions.Slot{Name: name, Type: "physical", WALStatus: "reserved"})
	}
	return o
}

func sourceOf(node string) string {
	n, _ := ordersPair().Node(node)
	return n.Source
}

func (d database) Checkpoint(ctx context.Context) error {
	return d.change(ctx, "checkpoint", func(s *server) error {
		if !s.recovery {
			s.log(mark, 0)
		}
		return nil
	})
}

func (d database) EnsureSlot(ctx context.Context, slot string) error {
	return d.change(ctx, "ensure slot", func(s *server) error { s.slots[slot] = true; return nil })
}

func (d database) DropSlot(ctx context.Context, slot string) error {
	return d.change(ctx, "drop slot", func(s *server) error { delete(s.slots, slot); return nil })
}

func (d database) SetSyncNames(ctx context.Context, names string) error {
	return d.change(ctx, "set names", func(s *server) error { s.names, s.loaded = names, time.Now(); return nil })
}

// LastRecord fails, or tells of something else, while a promotion is under way.
func (d database) LastRecord(ctx context.Context) (actions.WALEnd, error) {
	if err := d.enter(ctx, "last record"); err != nil {
		return actions.WALEnd{}, err
	}
	defer d.w.leave("", "")
	if !d.s.recovery || !d.s.riseAt.IsZero() {
		return actions.WALEnd{}, errors.New("not in recovery, or about to leave it")
	}
	last := len(d.s.wal) - 1
	r := d.s.wal[last]
	return actions.WALEnd{LSN: at(last), End: at(last + 1), Shutdown: r.kind == shutdown, Timeline: r.timeline}, nil
}

func (d database) Forks(ctx context.Context, timeline uint32) ([]actions.Fork, error) {
	if err := d.enter(ctx, "forks"); err != nil {
		return nil, err
	}
	defer d.w.leave("", "")
	if int(timeline) != len(d.s.forks)+1 {
		return nil, fmt.Errorf("no history of timeline %d", timeline)
	}
	return d.s.forks, nil
}

func (d database) ProbeWrite(ctx context.Context) error {
	return d.change(ctx, "probe", func(s *server) error {
		if s.recovery {
			return errors.New("cannot execute INSERT in a read-only transaction")
		}
		s.log(mark, 0)
		return nil
	})
}

func (d database) InsertTest(ctx context.Context, _ string) (actions.TestRow, error) {
	return actions.TestRow{ID: 1, At: time.Now()}, d.ProbeWrite(ctx)
}

func (d database) Fingerprint(ctx context.Context) (actions.Fingerprint, error) {
	if err := d.enter(ctx, "fingerprint"); err != nil {
		return actions.Fingerprint{}, err
	}
	defer d.w.leave("", "")
	sum := actions.TableSum{Table: "rows"}
	for _, r := range d.s.wal {
		if r.kind == row {
			sum.Rows++
			sum.Sum = fmt.Sprintf("%s.%d", sum.Sum, r.id)
		}
	}
	return actions.Fingerprint{Tables: []actions.TableSum{sum}}, nil
}

func (d database) SetSyncedSlots(ctx context.Context, slots string) error {
	return d.change(ctx, "synced slots", func(s *server) error { s.synced = slots; return nil })
}

// BackupProgress of a copy that takes as long as the world says.
func (d database) BackupProgress(context.Context) (string, error) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.w.copying.IsZero() {
		return "", nil
	}
	return fmt.Sprintf("streaming, %d s of %d s", int(time.Since(d.w.copying).Seconds()), int(d.w.copyTakes.Seconds())), nil
}

func (d database) Lock(ctx context.Context, _ int64) (actions.Session, error) {
	if err := d.enter(ctx, "lock"); err != nil {
		return nil, err
	}
	defer d.w.leave("", "")
	if other := d.w.locks[d.s.name]; other != nil && !other.b.gone() {
		return nil, actions.ErrLocked
	}
	s := &session{database: d}
	d.w.locks[d.s.name] = s
	return s, nil
}

// session holds the pair's lock on one server; it ends with the server's run.
type session struct{ database }

func (s *session) change(ctx context.Context, call string, do func(s *server) error) error {
	return s.database.change(ctx, call, func(x *server) error {
		if s.w.locks[x.name] != s {
			return errors.New("the session that held the lock is gone")
		}
		return do(x)
	})
}

func (s *session) Alive(ctx context.Context) error {
	return s.change(ctx, "alive", func(*server) error { return nil })
}

func (s *session) Freeze(ctx context.Context) error {
	return s.change(ctx, "freeze", func(x *server) error { x.frozen, x.loaded = true, time.Now(); return nil })
}

func (s *session) Frozen(ctx context.Context) (bool, error) {
	var is bool
	err := s.change(ctx, "frozen", func(x *server) error { is = x.frozen; return nil })
	return is, err
}

func (s *session) Thaw(ctx context.Context) error {
	return s.change(ctx, "thaw", func(x *server) error { x.frozen, x.loaded = false, time.Now(); return nil })
}

// Promote asks, and then waits: what was asked for happens even when nobody
// waits any more.
func (s *session) Promote(ctx context.Context) error {
	err := s.change(ctx, "promote", func(x *server) error {
		if x.recovery && x.riseAt.IsZero() {
			x.riseAt = time.Now().Add(s.w.promoteTakes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.w.wait(ctx, s.b, func() bool { return s.s.serves() })
}

func (s *session) Close() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.locks[s.s.name] == s {
		delete(s.w.locks, s.s.name)
	}
}
