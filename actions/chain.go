package actions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Link is one fence of a chain.
type Link struct {
	Name   string // as configured, e.g. "kube"
	Fencer Fencer
	// Machine: it takes the power from the machine below the server. That such
	// a one is on says nothing about the server.
	Machine bool
}

// Chain is a node's fences, in the order in which they are tried.
//
// One that can't tell whether the server is off doesn't stand in the way of
// another's proof: a platform that is lost with its site says nothing. But one
// that sees the server run does, whatever the others say: then one of them
// speaks of another server, a wrong instance in the configuration, say. So the
// server is off when any link reads it as off and none reads it as on, where a
// machine that is on doesn't contradict that its server is off:
//
//	server's fence   machine's fence   the chain
//	off              anything          off (a machine that runs may run nothing)
//	unknown          off               off
//	on               off               on, with an error: they contradict
//	on               on or unknown     on
//	unknown          on or unknown     unknown, with an error: why nobody can tell
type Chain struct {
	links []Link
	// patience bounds one link's share of the time when ctx has no deadline.
	patience time.Duration
}

var _ witnessed = (*Chain)(nil)

// NewChain makes a chain of at least one link. Names must differ: they say in
// the plan and in the proof which one is meant.
func NewChain(links ...Link) (*Chain, error) {
	names := map[string]bool{}
	for _, l := range links {
		if l.Name == "" || l.Fencer == nil || names[l.Name] {
			return nil, fmt.Errorf("a chain of fences needs a name of its own and a driver for each; %q has not", l.Name)
		}
		names[l.Name] = true
	}
	if len(links) == 0 {
		return nil, errors.New("a chain of fences has none")
	}
	return &Chain{links: links, patience: 20 * time.Second}, nil
}

// Describe implements [Fencer].
func (c *Chain) Describe() string {
	if len(c.links) == 1 {
		return c.links[0].text()
	}
	words := make([]string, len(c.links))
	for i, l := range c.links {
		words[i] = l.text()
	}
	return fmt.Sprintf("tried in this order until one is proven: %s; any one's proof is enough, unless another sees the server run",
		strings.Join(words, "; then "))
}

func (l Link) text() string { return fmt.Sprintf("%s (%s)", l.Name, l.Fencer.Describe()) }

// Off implements [Fencer]. It orders one after the other until the server is
// read as off, each within its even share of what is left of the time, so that
// one whose platform hangs leaves time for the next. The last one's proof is
// left to whoever reads.
//
// Errors: *[Uncertain] when one link failed and at least one order was or may
// have been taken; any other means that none was.
func (c *Chain) Off(ctx context.Context) error {
	var failed []error
	taken := false
	for i, l := range c.links {
		last := i == len(c.links)-1
		proven, err := c.tryLink(ctx, l, len(c.links)-i, last)
		if proven {
			return nil
		}
		_, perhaps := errors.AsType[*Uncertain](err)
		taken = taken || err == nil || perhaps
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", l.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	err := errors.Join(failed...)
	if err != nil && taken {
		return &Uncertain{Err: err}
	}
	return err
}

// tryLink orders one link and, unless it is the last, waits for the proof. The
// error is the order's alone: one that was taken and not proven is none.
func (c *Chain) tryLink(ctx context.Context, l Link, left int, last bool) (proven bool, err error) {
	share, cancel := c.share(ctx, l, left)
	defer cancel()
	err = l.Fencer.Off(share)
	_, perhaps := errors.AsType[*Uncertain](err)
	if last || err != nil && !perhaps {
		return false, err
	}
	_, unproven := readBack(share, l.Name, c)
	return unproven == nil, err
}

func (c *Chain) share(ctx context.Context, l Link, left int) (context.Context, context.CancelFunc) {
	patience := c.patience
	if deadline, bound := ctx.Deadline(); bound {
		patience = time.Until(deadline) / time.Duration(left)
	}
	return within(ctx, patience, "the fence by "+l.Name)
}

// Read implements [Fencer].
func (c *Chain) Read(ctx context.Context) (Power, error) {
	power, _, err := c.Witnesses(ctx)
	return power, err
}

// reading is what one link says.
type reading struct {
	Link

	power Power
	err   error
}

// linkPatience bounds one link's reading: a platform that hangs must not hold
// up what another one shows.
const linkPatience = 3 * time.Second

// Witnesses implements witnessed. It asks all links at once.
func (c *Chain) Witnesses(ctx context.Context) (Power, []string, error) {
	said := make([]reading, len(c.links))
	var group sync.WaitGroup
	for i, l := range c.links {
		group.Go(func() {
			ctx, cancel := within(ctx, linkPatience, "reading "+l.Name)
			defer cancel()
			power, err := l.Fencer.Read(ctx)
			said[i] = reading{l, power, err}
		})
	}
	group.Wait()
	return judgeReadings(said)
}

// judgeReadings is the table above.
func judgeReadings(said []reading) (Power, []string, error) {
	var server, machine verdicts
	var unclear []error
	for _, r := range said {
		to := &server
		if r.Machine {
			to = &machine
		}
		if err := to.add(r); err != nil {
			unclear = append(unclear, err)
		}
	}
	switch {
	case len(server.on) > 0 && len(server.off)+len(machine.off) > 0:
		return PowerOn, nil, contradiction(server.on, append(server.off, machine.off...))
	case len(server.off) > 0 && len(machine.on) > 0:
		return PowerOff, server.off, nil
	case len(server.off) > 0:
		return PowerOff, append(server.off, machine.off...), nil
	case len(machine.on) > 0 && len(machine.off) > 0:
		return PowerOn, nil, contradiction(machine.on, machine.off)
	case len(machine.off) > 0:
		return PowerOff, machine.off, nil
	case len(server.on) > 0, len(machine.on) > 0 && !server.asked:
		return PowerOn, nil, nil
	}
	return PowerUnknown, nil, errors.Join(unclear...)
}

// verdicts are the links of one kind that can tell, by what they say.
type verdicts struct {
	on, off []string
	asked   bool // there is one of this kind
}

func (v *verdicts) add(r reading) error {
	v.asked = true
	switch {
	case r.err != nil:
		return fmt.Errorf("%s can't tell: %w", r.Name, r.err)
	case r.power == PowerOff:
		v.off = append(v.off, r.text())
	case r.power == PowerOn:
		v.on = append(v.on, r.text())
	default:
		return fmt.Errorf("%s can't tell", r.Name)
	}
	return nil
}

func contradiction(on, off []string) error {
	return fmt.Errorf("they contradict each other: on says %s, off says %s; one of them looks at another server, so check the driver's settings",
		strings.Join(on, " and "), strings.Join(off, " and "))
}
