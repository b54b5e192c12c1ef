package actions_test

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"twokey/actions"
)

// world is a simulated pair: two servers with their WAL as lists of records,
// streaming, stops and promotions that take their time, and clients that write
// all the while. It knows what no bot knows: which commits were acknowledged,
// and whether two servers ever accepted writes at once. Everything happens when
// its time has come, at the next call; see settle.
type world struct {
	mu      sync.Mutex
	servers [2]*server // dc1, dc2
	acked   map[int]bool
	rows    int
	split   []string // moments at which both accepted writes
	calls   []string // what bots asked for that changes something, in order
	leads   string   // the node that clients are led to

	stopTakes, promoteTakes time.Duration
	copyTakes               time.Duration                        // a base backup by a rejoin; 0 for none
	copying                 time.Time                            // since when one runs
	lingers                 time.Duration                        // a stopped server's process, after its shutdown checkpoint
	risen                   func(s *server)                      // may spoil what has just been promoted
	replayed                time.Time                            // from when on standbys have replayed what they received
	unheard                 map[string]bool                      // nodes that the bot's connections don't reach
	blind                   map[string]bool                      // nodes whose platform says nothing about power
	fault                   func(call, node string) error        // may fail a call of a bot, or hang it (errHang)
	doubt                   func(call, node string) error        // the same, but the call has had its effect
	hook                    sync.Mutex                           // guards fault
	locks                   map[string]*session                  // by node
	after                   map[string]func(w *world, s *server) // called with the lock held after a call that changed something
}

type kind string

const (
	row      kind = "row"
	mark     kind = "checkpoint"
	shutdown kind = "shutdown checkpoint"
	fork     kind = "end of recovery"
)

type record struct {
	kind     kind
	timeline uint32
	id       int    // of a row
	chain    uint64 // of this record and all before it: two logs with an equal last one are equal
}

// log appends a record.
func (s *server) log(k kind, id int) {
	r := record{kind: k, timeline: s.timeline, id: id}
	h := fnv.New64a()
	fmt.Fprint(h, s.chain(len(s.wal)), r)
	r.chain = h.Sum64()
	s.wal = append(s.wal, r)
}

// chain of the first n records.
func (s *server) chain(n int) uint64 {
	if n == 0 {
		return 0
	}
	return s.wal[n-1].chain
}

// continues says whether s has exactly what p begins with.
func (s *server) continues(p *server) bool {
	return len(p.wal) >= len(s.wal) && p.chain(len(s.wal)) == s.chain(len(s.wal))
}

type server struct {
	name, slot      string
	up, recovery    bool
	frozen          bool
	wal             []record
	timeline        uint32
	forks           []actions.Fork // of each timeline from the second on
	names, synced   string
	alone           uint32 // the note that it takes writes alone, by timeline
	slots           map[string]bool
	started, loaded time.Time
	stopAt, riseAt  time.Time // when the stop or promotion under way takes effect
	lingering       bool      // its shutdown checkpoint is written, its process is there
}

// newWorld is dc1 as primary with dc2 as its synchronous standby.
func newWorld() *world {
	w := &world{
		leads: "dc1", acked: map[int]bool{}, stopTakes: 15 * time.Millisecond, promoteTakes: 8 * time.Millisecond,
		unheard: map[string]bool{}, blind: map[string]bool{}, locks: map[string]*session{}, after: map[string]func(*world, *server){},
	}
	now := time.Now()
	for i, name := range []string{"dc1", "dc2"} {
		w.servers[i] = &server{
			name: name, slot: "twokey_" + name, up: true, recovery: i == 1, timeline: 1, started: now, loaded: now,
			slots: map[string]bool{},
		}
		w.servers[i].log(mark, 0)
	}
	w.servers[0].names, w.servers[1].names = "dc2", "dc1"
	w.servers[0].slots["twokey_dc2"] = true
	return w
}

func (w *world) server(name string) *server { return w.servers[index(name)] }

func (w *world) partner(s *server) *server {
	if s == w.servers[0] {
		return w.servers[1]
	}
	return w.servers[0]
}

func at(i int) actions.LSN { return 0x3000000 + 0x40*actions.LSN(i) }

func (s *server) end() actions.LSN { return at(len(s.wal)) }

func (s *server) serves() bool { return s.up && !s.recovery }

// accepts writes: one that was told to stop doesn't any more.
func (s *server) accepts() bool { return s.serves() && s.stopAt.IsZero() }

// settle lets everything happen whose time has come: stops, promotions, and
// then the stream. It also watches that never two servers accept writes.
func (w *world) settle() {
	now := time.Now()
	w.stream()
	for _, s := range w.servers {
		if s.up && !s.stopAt.IsZero() && !now.Before(s.stopAt) {
			w.completeStop(s)
		}
		if s.up && !s.riseAt.IsZero() && !now.Before(s.riseAt) {
			s.rise()
			if w.risen != nil {
				w.risen(s)
			}
		}
	}
	w.stream()
	for _, s := range w.servers {
		if s.names != "" && s.alone == s.timeline {
			w.split = append(w.split, fmt.Sprintf("%s may start alone while commits wait for %s, after %s", s.name, s.names, strings.Join(w.calls, ", ")))
		}
	}
	if w.servers[0].accepts() && w.servers[1].accepts() {
		w.split = append(w.split, fmt.Sprintf("%s after %s", now.Format("05.000"), strings.Join(w.calls, ", ")))
	}
}

// completeStop is a fast shutdown's end: its checkpoint reaches a standby that
// streams, and then its process ends.
func (w *world) completeStop(s *server) {
	if !s.recovery && !s.lingering {
		s.log(shutdown, 0)
		w.stream()
	}
	if w.lingers > 0 && !s.lingering {
		s.lingering, s.stopAt = true, time.Now().Add(w.lingers)
		return
	}
	w.down(s)
}

func (w *world) down(s *server) {
	s.up, s.lingering, s.stopAt, s.riseAt = false, false, time.Time{}, time.Time{}
	delete(w.locks, s.name)
}

func (s *server) rise() {
	s.forks = append(slices.Clone(s.forks), actions.Fork{Parent: s.timeline, At: s.end()})
	s.timeline++
	s.recovery, s.riseAt = false, time.Time{}
	s.log(fork, 0)
}

// streams says whether s receives from its partner: a cascade counts.
func (w *world) streams(s *server) bool {
	p := w.partner(s)
	return s.up && s.recovery && !s.frozen && p.up && s.continues(p)
}

func (w *world) stream() {
	for _, s := range w.servers {
		if p := w.partner(s); w.streams(s) && len(p.wal) > len(s.wal) {
			s.wal = append(s.wal, p.wal[len(s.wal):]...)
			s.timeline, s.forks = s.wal[len(s.wal)-1].timeline, slices.Clone(p.forks)
		}
	}
}

// write is a client's commit wherever somebody accepts it. It is acknowledged
// when that server waits for nobody, or when the one that it waits for has it.
func (w *world) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	for _, s := range w.servers {
		if !s.accepts() {
			continue
		}
		w.rows++
		s.log(row, w.rows)
		w.stream()
		if p := w.partner(s); s.names == "" || s.names == p.name && w.streams(p) {
			w.acked[w.rows] = true
		}
	}
}

// keepWriting is a client that commits until stop: every few milliseconds while
// somebody does something to the servers, seldom while nothing happens.
func (w *world) keepWriting(stop <-chan struct{}) {
	calls, idle := 0, 0
	for {
		every := 3 * time.Millisecond
		if idle++; idle > 200 {
			every = 200 * time.Millisecond
		}
		select {
		case <-stop:
			return
		case <-time.After(every):
			w.write()
		}
		if n := w.callCount(); n != calls {
			calls, idle = n, 0
		}
	}
}

func (w *world) callCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

// crash ends a server as a power cut does, and the bot can't reach its site.
func (w *world) crash(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	w.down(w.server(name))
}

// truth is what can be asked of the world at the end.
type truth struct {
	serving  []string
	split    []string
	lost     []int // acknowledged rows that the serving server lacks
	acked    int
	whole    bool // the other one streams and is waited for
	frozen   []string
	spurious []string // slots that keep WAL for nobody
}

func (w *world) truth() truth {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	t := truth{split: w.split, acked: len(w.acked)}
	for _, s := range w.servers {
		if s.frozen {
			t.frozen = append(t.frozen, s.name)
		}
		if s.recovery && len(s.slots) > 0 {
			t.spurious = append(t.spurious, s.name)
		}
		if !s.serves() {
			continue
		}
		t.serving = append(t.serving, s.name)
		t.lost = append(t.lost, w.missing(s)...)
		p := w.partner(s)
		t.whole = s.names == p.name && w.streams(p) && s.slots[p.slot]
	}
	return t
}

func (w *world) missing(s *server) []int {
	has := map[int]bool{}
	for _, r := range s.wal {
		if r.kind == row {
			has[r.id] = true
		}
	}
	var out []int
	for id := range w.acked {
		if !has[id] {
			out = append(out, id)
		}
	}
	return out
}
