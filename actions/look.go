package actions

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/approvals"
)

// Report is one look at a pair.
type Report struct {
	Evidence Evidence           `json:"evidence"`
	Verdict  Verdict            `json:"verdict"`
	Open     *approvals.Request `json:"open,omitempty"` // the pair's open request
	Conn     ConnString         `json:"conn"`
}

// GuaranteeOff says since when acknowledged writes may be on one node only, and
// why, in the words that come first wherever a pair is shown; "" while the
// guarantee is on, or nobody knows that it is off.
func (rep Report) GuaranteeOff() string {
	since, health := rep.Evidence.Memory.Unprotected, rep.Verdict.Health
	if since.IsZero() && health != HealthUnprotected {
		return ""
	}
	text := "ZERO-LOSS GUARANTEE OFF"
	if since.IsZero() {
		text += ", since when is not known here"
	} else {
		text += " since " + clock(since)
	}
	if health != HealthUnprotected {
		return text + ": not yet shown that commits wait again"
	}
	return text + ": the primary acknowledges writes that may be on no standby"
}

// Paused says since when, by whom and why the pair is paused, in the words that
// stand wherever it is shown; "" while it isn't.
func (rep Report) Paused() string { return rep.Evidence.Memory.Paused.String() }

// Looking is how one look at a pair is made.
type Looking struct {
	Timeouts   Timeouts
	Thresholds Thresholds
	Now        func() time.Time
	Within     bool // look from within the nodes, too, where a driver can
}

// Observe reads both nodes and their platforms at once. It always returns
// within the deadline for one observation: a node that hangs costs only its
// own answer. What is remembered is not in it.
func Observe(ctx context.Context, p Pair, hands Hands, how Looking) Evidence {
	e := Evidence{Pair: p, At: how.Now(), Thresholds: how.Thresholds, Platform: map[string]Platform{}}
	platforms, insides := [2]Platform{}, [2]*Inside{}
	var group errgroup.Group
	for i, n := range p.Nodes {
		group.Go(func() error {
			ctx, cancel := within(ctx, how.Timeouts.Observe, "observing "+n.Name)
			defer cancel()
			e.Nodes[i] = hands.Databases[n.Name].Observe(ctx)
			return nil
		})
		group.Go(func() error {
			ctx, cancel := within(ctx, how.Timeouts.Observe, "reading the power of "+n.Name)
			defer cancel()
			platforms[i] = platformOf(ctx, hands, n.Name)
			return nil
		})
		group.Go(func() error {
			ctx, cancel := within(ctx, how.Timeouts.Observe, "looking from within "+n.Name)
			defer cancel()
			insides[i] = insideOf(ctx, hands, n.Name, how)
			return nil
		})
	}
	e.Endpoints = make([]EndpointSeen, len(hands.Endpoints))
	for i, point := range hands.Endpoints {
		group.Go(func() error {
			ctx, cancel := within(ctx, how.Timeouts.Observe, "reading where clients are led")
			defer cancel()
			e.Endpoints[i] = endpointSeen(ctx, point)
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error: what went wrong is in the evidence
	for i, n := range p.Nodes {
		platforms[i].Inside = insides[i]
		e.Platform[n.Name] = platforms[i]
	}
	return e
}

func insideOf(ctx context.Context, hands Hands, node string, how Looking) *Inside {
	m, can := hands.Machines[node].(Insider)
	if !can || !how.Within {
		return nil
	}
	at := how.Now()
	in := m.Inside(ctx)
	in.At = at
	return &in
}

func platformOf(ctx context.Context, hands Hands, node string) Platform {
	_, canStop := hands.Machines[node]
	f, canFence := hands.fencer(node)
	p := Platform{CanStop: canStop, CanFence: canFence, Power: PowerUnknown}
	if !canFence {
		return p
	}
	p.FenceText = f.Describe()
	power, err := f.Read(ctx)
	if err != nil {
		p.Problem = err.Error()
		return p
	}
	p.Power = power
	return p
}

func (d *Desk) observe(ctx context.Context, p Pair, withinNodes bool) Evidence {
	return Observe(ctx, p, d.opt.Hands[p.Name], Looking{d.opt.Timeouts, d.opt.Thresholds, d.opt.Now, withinNodes})
}

// look observes a pair, adds what is remembered, judges, and remembers what
// was seen.
func (d *Desk) look(ctx context.Context, name string) (Report, error) {
	p, err := d.pair(name)
	if err != nil {
		return Report{}, err
	}
	e := d.observe(ctx, p, true)
	d.remember(ctx, &e)
	return d.report(ctx, e)
}

// remember joins the evidence with the memory and writes back what it leaves
// behind, in one transaction. A look that began before the newest one doesn't
// overwrite that one's memory; one that seems to have begun longer before than
// a look can take shows that the clock was set back, and counts.
func (d *Desk) remember(ctx context.Context, e *Evidence) {
	// Whoever asked may have no more time: what was seen counts for the next one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.opt.Timeouts.Effect)
	defer cancel()
	m, err := d.opt.Memory.Revise(ctx, e.Pair.Name, func(m Remembered) (Remembered, []approvals.Event) {
		if behind := m.LookedAt.Sub(e.At); behind > 0 && behind <= 2*d.opt.Timeouts.Observe {
			return m, nil
		}
		fresh := *e
		fresh.Memory, fresh.HasMemory = m, true
		return Remembering(fresh), nil
	})
	if err != nil { // a full disk, say: people must still see how the pair stands, but nothing is proven
		d.opt.Log.Error("what was seen can't be remembered", "pair", e.Pair.Name, "error", err)
		return
	}
	e.Memory, e.HasMemory = m, true
}

func (d *Desk) report(ctx context.Context, e Evidence) (Report, error) {
	rep := Report{Evidence: e, Verdict: Judge(e)}
	rep.Conn = e.Pair.Conn(rep.Verdict.Primary)
	open, err := d.opt.Store.Open(ctx)
	for i := range open {
		if open[i].Subject.Pair == e.Pair.Name {
			rep.Open = &open[i]
		}
	}
	return rep, err
}

// arm looks, and where only the latch is missing shows it. It returns when that
// is done or ctx ends.
func (d *Desk) arm(ctx context.Context, p Pair) (Report, error) {
	rep, err := d.look(ctx, p.Name)
	if err != nil || !onlyUnlatched(rep.Evidence) {
		return rep, err
	}
	if err := d.checkpointPrimary(ctx, rep.Evidence); err != nil {
		return rep, err
	}
	return d.closeLatch(ctx, p, rep.Evidence)
}

// onlyUnlatched says whether the pair is synchronous and that was not yet shown.
func onlyUnlatched(e Evidence) bool {
	r := classify(e)
	return synchronousNow(r) && !latchHolds(e.Memory.Latch, r)
}

// checkpointPrimary returns when a CHECKPOINT is done that was asked for after
// the evidence was read: then the checkpointer has surely taken over the
// settings that stand in it.
func (d *Desk) checkpointPrimary(ctx context.Context, e Evidence) error {
	return d.opt.Hands[e.Pair.Name].Databases[classify(e).from.Name].Checkpoint(ctx)
}

// arming is the showing of one pair's latch. On a large and busy primary its
// CHECKPOINT takes minutes, longer than anybody who asks waits.
type arming struct {
	pair  Pair
	first Evidence
	done  chan struct{} // closed when it has ended, well or not
}

// showLatch has the latch shown by Run, or finds that it is being shown. The
// channel is closed when that has ended.
func (d *Desk) showLatch(p Pair, first Evidence) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, under := d.arming[p.Name]; under {
		return a.done
	}
	a := arming{p, first, make(chan struct{})}
	d.arming[p.Name] = a
	d.arms <- a // never blocks: there is room for every pair
	return a.done
}

// show is the work of one arming, for Run.
func (d *Desk) show(ctx context.Context, a arming) {
	ctx, cancel := within(ctx, d.opt.Timeouts.Rejoin, "showing that "+a.pair.Name+" is synchronous")
	defer cancel()
	err := d.checkpointPrimary(ctx, a.first)
	if err == nil {
		_, err = d.closeLatch(ctx, a.pair, a.first)
	}
	if err != nil {
		d.opt.Log.Warn("the latch was not shown; the next check tries again", "pair", a.pair.Name, "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.arming, a.pair.Name)
	close(a.done)
}

func (d *Desk) closeLatch(ctx context.Context, p Pair, first Evidence) (Report, error) {
	var latch *Latch
	var l LSN
	err := poll(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		then := d.observe(ctx, p, false)
		r := classify(then)
		if !synchronousNow(r) {
			return false, errors.New("the pair stopped being synchronous while that was to be shown")
		}
		if l == 0 {
			l = r.primary.FlushLSN
		}
		latch = Arm(first, then, l)
		return latch != nil || keyOf(r) != keyOf(classify(first)), nil
	})
	if err != nil || latch == nil {
		rep, lerr := d.look(ctx, p.Name)
		return rep, errors.Join(err, lerr)
	}
	if err := d.keepLatch(ctx, p.Name, latch); err != nil {
		return Report{}, err
	}
	return d.look(ctx, p.Name)
}

// keepLatch puts the latch into the memory, unless a newer look is there: that
// one may have seen what voids it.
func (d *Desk) keepLatch(ctx context.Context, pair string, l *Latch) error {
	_, err := d.opt.Memory.Revise(ctx, pair, func(m Remembered) (Remembered, []approvals.Event) {
		if !l.SeenAt.Before(m.LookedAt) {
			m.Latch, m.Voided, m.LookedAt, m.Unprotected = l, nil, l.SeenAt, time.Time{}
		}
		return m, nil
	})
	return err
}
