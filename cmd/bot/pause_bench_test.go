package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/load"
	"twokey/actions/local/sandbox"
	"twokey/approvals"
)

// leastRounds is how many rounds a comparison has at least, however short
// -benchtime is.
const leastRounds = 25

// BenchmarkSwitchover compares the write pause of a planned switchover, with
// every check, journal entry and message of the whole program, with the least
// that it takes on an identical pair (see floor). A client writes row after row
// through the posted connection string; the pause is its longest silence. Both
// pairs end in the same state: the old primary streams again, commits wait for it.
func BenchmarkSwitchover(b *testing.B) {
	for _, after := range []actions.After{actions.Degrade, actions.Block} {
		b.Run(string(after), func(b *testing.B) { benchmarkSwitchover(b, after, false) })
	}
}

// BenchmarkOnDisk is the same with the data on disk, where both wait
// longest for fsync.
func BenchmarkOnDisk(b *testing.B) {
	for _, after := range []actions.After{actions.Degrade, actions.Block} {
		b.Run(string(after), func(b *testing.B) { benchmarkSwitchover(b, after, true) })
	}
}

// BenchmarkFailover compares the time from the second approval to the first
// acknowledged write, after the primary was killed, with that from a bare
// pg_promote on an identical pair.
func BenchmarkFailover(b *testing.B) {
	c := newContest(b, "", false)
	var p paired
	c.rounds(func() {
		if len(p.ours)%2 == 0 {
			ours := c.failover()
			p.add(ours, c.bareFailover())
			return
		}
		bare := c.bareFailover()
		p.add(c.failover(), bare)
	})
	p.report(b, "vote-to-write-ms", "floor-ms", "vote-to-write/floor")
	c.report()
}

func benchmarkSwitchover(b *testing.B, after actions.After, disk bool) {
	c := newContest(b, after, disk)
	var p paired
	c.rounds(func() { // who comes first alternates
		if len(p.ours)%2 == 0 {
			ours := c.switchover()
			p.add(ours, c.bareSwitchover())
			return
		}
		bare := c.bareSwitchover()
		p.add(c.switchover(), bare)
	})
	p.report(b, "pause-ms", "floor-ms", "pause/floor")
	c.report()
}

// contest is two identical pairs, one with the bot and one without.
type contest struct {
	*world
	b     *testing.B
	after actions.After
	bare  *floor

	mu     sync.Mutex
	marks  map[string]time.Time       // of this round, by what happened
	phases map[string][]time.Duration // of all rounds
}

func newContest(b *testing.B, after actions.After, disk bool) *contest {
	b.Helper()
	c := &contest{b: b, after: after, marks: map[string]time.Time{}, phases: map[string][]time.Duration{}}
	c.world = newWorld(b, func(d *demo) {
		d.disk, d.at = disk, c.mark
		if after != "" {
			d.settings = fmt.Sprintf("    after_switchover: %s\n", after)
		}
	})
	c.load.Stop() // each round has its own
	c.bare = &floor{b: b, pair: c.secondPair(disk)}
	c.health(actions.HealthOK)
	return c
}

func (c *contest) secondPair(disk bool) *sandbox.Pair {
	c.b.Helper()
	p, err := sandbox.New(c.ctx(), sandbox.Options{Programs: c.pair.Nodes[0].Server.Programs, Memory: !disk, Janitor: c.keeper})
	c.must(err)
	c.b.Cleanup(func() {
		if err := p.Close(); err != nil {
			c.b.Error(err)
		}
	})
	c.must(makeLoadTable(c.ctx(), p))
	return p
}

// rounds runs the benchmark's rounds, and as many more as a comparison needs.
func (c *contest) rounds(one func()) {
	n := 0
	for c.b.Loop() {
		one()
		n++
	}
	for ; n < leastRounds; n++ {
		one()
	}
}

// mark notes when a labelled effect began and ended.
func (c *contest) mark(_ context.Context, p actions.Point) error {
	name := string(p.Op) + " begins"
	if p.After {
		name = string(p.Op) + " ended"
	}
	c.note(name)
	return nil
}

func (c *contest) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks[name] = time.Now()
}

// since adds this round's marks, as distances from a moment, to the phases.
func (c *contest) since(zero time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, at := range c.marks {
		c.phases[name] = append(c.phases[name], at.Sub(zero))
	}
	clear(c.marks)
}

func (c *contest) phase(name string, d time.Duration) { c.phases[name] = append(c.phases[name], d) }

// report logs where the time goes: medians with their quartiles, in order.
func (c *contest) report() {
	names := slices.SortedFunc(maps.Keys(c.phases), func(a, b string) int { return int(median(c.phases[a]) - median(c.phases[b])) })
	var text strings.Builder
	for _, name := range names {
		s := slices.Sorted(slices.Values(c.phases[name]))
		fmt.Fprintf(&text, "\n  %9.1f ms (%.1f to %.1f)  %s", inMilliseconds(median(s)), inMilliseconds(s[len(s)/4]), inMilliseconds(s[len(s)*3/4]), name)
	}
	c.b.Logf("median moments (and quartiles):%s", text.String())
}

// writing begins to write into an emptied table, one row after the other, as
// fast as the acknowledgements come.
func (c *contest) writing(p *sandbox.Pair, primary *sandbox.Node) *load.Load {
	c.b.Helper()
	conn, err := pgx.Connect(c.ctx(), primary.AdminURL(p.Database))
	c.must(err)
	_, err = conn.Exec(c.ctx(), "TRUNCATE load.writes")
	c.must(errors.Join(err, conn.Close(c.ctx())))
	cfg, err := pgx.ParseConfig(p.AppURL())
	c.must(err)
	l := load.Start(c.ctx(), load.Options{Config: cfg, Table: pgx.Identifier{"load", "writes"}, Sessions: 1, Patience: 10 * time.Second})
	c.must(l.Until(c.ctx(), 300))
	return l
}

// written ends a load and fails when an acknowledged row is not there.
func (c *contest) written(p *sandbox.Pair, l *load.Load) {
	c.b.Helper()
	c.must(l.Until(c.ctx(), 100))
	l.Stop()
	conn, err := pgx.Connect(c.ctx(), p.AppURL())
	c.must(err)
	lost, err := l.Lost(c.ctx(), conn)
	c.must(errors.Join(err, conn.Close(c.ctx())))
	if len(lost) > 0 {
		c.b.Fatalf("%d acknowledged rows are lost", len(lost))
	}
}

// switchover asks, approves twice and waits for the end of one switchover.
func (c *contest) switchover() time.Duration {
	c.b.Helper()
	l := c.writing(c.pair, c.primary())
	began := c.approved(actions.KindSwitchover)
	c.written(c.pair, l)
	pause, last := l.Silence(began, time.Time{})
	c.note("acknowledged again")
	c.marks["acknowledged again"] = last.Add(pause)
	c.since(last)
	return pause
}

// approved asks, approves twice, and waits for the end and the whole pair. It
// returns the moment right before the second approval. People's own ways, a
// press in Slack, say, come before that moment; what the bot then tells Slack is
// told while it works, as always.
func (c *contest) approved(kind actions.Kind) time.Time {
	c.b.Helper()
	desk := c.service.desk
	r, err := desk.Ask(c.ctx(), actions.Question{Pair: c.pair.Name, Kind: kind, Requester: "oncall", Reason: "a round of the benchmark", Place: opsChannel})
	c.must(err)
	_, err = desk.Approve(c.ctx(), r.ID, approvals.Ballot{Person: "dba-1", Digest: string(r.Digest()), Place: r.Place})
	c.must(err)
	began := time.Now()
	_, err = desk.Approve(c.ctx(), r.ID, approvals.Ballot{Person: "dba-2", Digest: string(r.Digest()), Place: r.Place})
	c.must(err)
	r, out := c.ended()
	if r.State != approvals.Succeeded || out.Kind != kind || len(out.Todo) > 0 || out.Synchronous.IsZero() {
		c.b.Fatalf("the request ended %s (%s), left to do %v: %s", r.State, out.Kind, out.Todo, r.Why)
	}
	return began
}

// primary is the node that takes writes now.
func (c *contest) primary() *sandbox.Node {
	return c.pair.Node(c.health(actions.HealthOK).Verdict.Primary)
}

func (c *contest) bareSwitchover() time.Duration {
	c.b.Helper()
	l := c.writing(c.bare.pair, c.bare.from())
	session := c.bare.prepare(c.ctx(), c.after)
	began := time.Now()
	stopped, promoted, streaming := c.bare.switchover(c.ctx(), session)
	c.bare.finish(c.ctx(), session, c.after)
	c.written(c.bare.pair, l)
	pause, last := l.Silence(began.Add(-time.Millisecond), time.Time{})
	shift := began.Sub(last)
	for name, d := range map[string]time.Duration{"stopped": stopped, "promoted": promoted, "streaming": streaming} {
		c.phase("floor: "+name, d+shift)
	}
	c.phase("floor: acknowledged again", pause)
	return pause
}

// deadFor is how long a primary is dead before anybody asks: people need longer.
// It keeps the standby's first attempts to stream again out of the comparison,
// one of which can hold up a bare promotion for a whole retry interval.
const deadFor = 300 * time.Millisecond

// failover kills the primary, asks, approves twice, and measures from the
// second approval on.
func (c *contest) failover() time.Duration {
	c.b.Helper()
	primary := c.primary()
	l := c.writing(c.pair, primary)
	c.must(primary.Server.Kill(c.ctx()))
	time.Sleep(deadFor)
	began := c.approved(actions.KindFailover)
	c.written(c.pair, l)
	took := l.Next(began).Sub(began)
	c.marks["acknowledged again"] = began.Add(took)
	c.since(began)
	return took
}

func (c *contest) bareFailover() time.Duration {
	c.b.Helper()
	f := c.bare
	l := c.writing(f.pair, f.from())
	c.must(f.from().Server.Kill(c.ctx()))
	time.Sleep(deadFor)
	session := f.admin(c.ctx(), f.to())
	f.run(c.ctx(), session, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()", "CHECKPOINT")
	began := time.Now()
	f.run(c.ctx(), session, promotion)
	f.until(c.ctx(), session, risen)
	c.phase("floor: promoted", time.Since(began))
	f.bringBack(c.ctx(), session)
	f.finish(c.ctx(), session, actions.Degrade)
	c.written(f.pair, l)
	took := l.Next(began).Sub(began)
	c.phase("floor: acknowledged again", took)
	return took
}
