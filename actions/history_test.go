package actions_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
)

// life is a little pair whose truth is known: which commits were acknowledged,
// and which rows the standby holds. The bot looks at it now and then, and
// whatever it proves must be true. It is the oracle of the latch: it knows
// nothing of latches.
type life struct {
	at        time.Time
	rows      int          // written on dc1, in order
	acked     map[int]bool // rows whose commit was acknowledged
	waiting   []int        // rows whose commit still waits
	received  int          // rows that dc2 has flushed
	attached  bool         // dc2 streams from dc1
	shown     string       // dc1's names, as SHOW and pg_stat_replication tell them
	effective string       // the names that its checkpointer has processed
	changedAt time.Time    // dc1's settings were changed last
	conf      [2]time.Time
	started   [2]time.Time
	memory    actions.Remembered
	proven    int
}

func newLife() *life {
	return &life{
		at: noon, acked: map[int]bool{}, attached: true, shown: "dc2", effective: "dc2", changedAt: noon,
		conf: [2]time.Time{noon, noon}, started: [2]time.Time{noon, noon},
	}
}

func (l *life) tick() { l.at = l.at.Add(time.Second) }

// write commits a row: it is acknowledged at once when the primary waits for
// nobody, else when the standby has it.
func (l *life) write(*rapid.T) {
	l.rows++
	if l.effective == "" {
		l.acked[l.rows] = true
		return
	}
	l.waiting = append(l.waiting, l.rows)
}

// stream moves WAL to the standby and releases the commits that wait for it.
func (l *life) stream(t *rapid.T) {
	if l.attached {
		l.received += rapid.IntRange(0, l.rows-l.received).Draw(t, "rows streamed")
		l.release()
	}
}

func (l *life) release() {
	l.waiting = slices.DeleteFunc(l.waiting, func(row int) bool {
		free := row <= l.received || l.effective == ""
		if free {
			l.acked[row] = true
		}
		return free
	})
}

func (l *life) detach(*rapid.T) { l.attached = false }
func (l *life) attach(*rapid.T) { l.attached = true }

// reload changes the names; the checkpointer takes them over later.
func (l *life) reload(t *rapid.T) {
	l.shown = rapid.SampledFrom([]string{"", "dc2"}).Draw(t, "names")
	l.conf[0], l.changedAt = l.at, l.at
}

func (l *life) process(*rapid.T) {
	l.effective = l.shown
	l.release()
}

// aloneForAMoment is what a careless hand does between two looks.
func (l *life) aloneForAMoment(t *rapid.T) {
	l.shown, l.conf[0], l.changedAt = "", l.at, l.at
	l.process(t)
	l.write(t)
	l.tick()
	l.shown, l.conf[0], l.changedAt = "dc2", l.at, l.at
	if rapid.Bool().Draw(t, "processed at once") {
		l.process(t)
	}
}

// restartPrimary loses who waited (their clients see an error), and settles names.
func (l *life) restartPrimary(t *rapid.T) {
	l.started[0], l.conf[0], l.waiting = l.at, l.at, nil
	l.process(t)
}

func (l *life) restartStandby(*rapid.T) { l.started[1], l.conf[1] = l.at, l.at }

// restoreStandby sets the standby back to an older state; it may catch up again.
func (l *life) restoreStandby(t *rapid.T) {
	l.received = rapid.IntRange(0, l.received).Draw(t, "rows kept")
	l.restartStandby(t)
}

func lsnOf(rows int) actions.LSN { return 0x3000000 + actions.LSN(rows)*8 }

// evidence is what one look sees of it.
func (l *life) evidence(seePrimary, seeStandby bool) actions.Evidence {
	e := but(disaster, gone("dc2", actions.Silent, "silent"))
	e.At, e.Memory = l.at, l.memory
	if seePrimary {
		e.Nodes[0] = actions.Observation{Node: "dc1", At: l.at, Server: l.primary()}
	}
	if seeStandby {
		e.Nodes[1] = actions.Observation{Node: "dc2", At: l.at, Server: l.standby()}
	}
	return e
}

func (l *life) primary() *actions.Server {
	s := healthyPrimary()
	s.Settings["synchronous_standby_names"] = l.shown
	s.StartedAt, s.ConfLoaded, s.FlushLSN = l.started[0], l.conf[0], lsnOf(l.rows)
	if !l.attached {
		s.Standbys = nil
		return s
	}
	w := &s.Standbys[0]
	w.Flush, w.Replay = lsnOf(l.received), lsnOf(l.received)
	if l.shown == "" {
		w.SyncState = "async"
	}
	return s
}

func (l *life) standby() *actions.Server {
	s := healthyStandby()
	s.StartedAt, s.ConfLoaded, s.ReceiveLSN, s.ReplayLSN = l.started[1], l.conf[1], lsnOf(l.received), lsnOf(l.received)
	if !l.attached {
		s.Receiver, s.Receivers = nil, 0
	}
	return s
}

// look is one look of the bot; what it proves is held against the truth.
func (l *life) look(t *rapid.T) {
	seePrimary, seeStandby := rapid.Bool().Draw(t, "dc1 answers"), rapid.Bool().Draw(t, "dc2 answers")
	l.judge(t, l.evidence(seePrimary, seeStandby))
}

func (l *life) judge(t *rapid.T, e actions.Evidence) {
	before := l.memory
	e.Memory = actions.Remembering(e)
	l.memory = e.Memory
	v := actions.Judge(e)
	lost := l.lost()
	switch {
	case v.Loss == actions.LossNone && lost > 0 && !l.changedAt.After(v.AsOf):
		t.Fatalf("%q, but acknowledged row %d is not on the standby (it holds %d of %d; names shown %q, in force %q)\n%s\nlatch before: %+v",
			v.Headline, lost, l.received, l.rows, l.shown, l.effective, shown(e), before.Latch)
	case v.Loss == actions.LossNone:
		l.proven++
	}
}

// lost is an acknowledged row that the standby doesn't hold, 0 when there is none.
func (l *life) lost() int {
	for row := range l.acked {
		if row > l.received {
			return row
		}
	}
	return 0
}

// verify looks at both, lets a checkpoint make the names effective, and looks
// again: what a desk does to close the latch.
func (l *life) verify(t *rapid.T) {
	first := l.evidence(true, true)
	l.judge(t, first)
	l.tick()
	l.process(t)
	from := lsnOf(l.rows)
	if rapid.Bool().Draw(t, "a write comes between") {
		l.write(t)
	}
	l.stream(t)
	then := l.evidence(true, true)
	if latch := actions.Arm(first, then, from); latch != nil && l.memory.Latch == nil {
		l.memory.Latch, l.memory.Voided = latch, nil
	}
	l.judge(t, l.evidence(true, true))
}

// TestWhatIsProvenIsTrue lets a pair live, and the bot look at it, in any order.
func TestWhatIsProvenIsTrue(t *testing.T) {
	t.Parallel()
	proven := 0
	rapid.Check(t, func(t *rapid.T) {
		l := newLife()
		l.verify(t)
		one := func(of ...func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				l.tick()
				of[rapid.IntRange(0, len(of)-1).Draw(t, "which")](t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": one(l.write), "stream": one(l.stream), "look": one(l.look), "verify": one(l.verify),
			"network":  one(l.attach, l.attach, l.detach),
			"settings": one(l.reload, l.process, l.aloneForAMoment, l.aloneForAMoment),
			"restart":  one(l.restartPrimary, l.restartStandby, l.restoreStandby),
		})
		proven += l.proven
	})
	if proven < 20 {
		t.Errorf("only %d verdicts proved anything: the property was hardly tried", proven)
	}
	t.Logf("%d verdicts proved that nothing was lost", proven)
}
