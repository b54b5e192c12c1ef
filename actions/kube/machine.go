package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"twokey/actions"
)

// MachineOptions say which server it is. Node, StatefulSet and Order are needed.
type MachineOptions struct {
	Node        string // its name in the pair, and sync name
	StatefulSet string // whose one pod it is
	Order       string // the ConfigMap that its guard reads
	// Observe asks the server itself by SQL, and Partner its partner.
	Observe, Partner func(context.Context) actions.Observation
	// Report asks the server what its guard has left.
	Report func(context.Context) (actions.GuardReport, error)
	// NewID names an order; random when nil.
	NewID func() string
	Log   *slog.Logger // nil tells nobody
}

// Machine gives the power over one node's server, which is the one pod of a
// StatefulSet and starts by the guard.
type Machine struct {
	site *Site
	opt  MachineOptions
	pace *rate.Limiter

	mu      sync.Mutex
	witness *witness // what is known of the pods' end
	version string   // of the StatefulSet as this driver has last written it
}

var (
	_ actions.Machine     = (*Machine)(nil)
	_ actions.Sealer      = (*Machine)(nil)
	_ actions.Lingerer    = (*Machine)(nil)
	_ actions.AloneKeeper = (*Machine)(nil)
)

// Machine of a StatefulSet of this site. It is not looked at yet.
func (s *Site) Machine(o MachineOptions) (*Machine, error) {
	for what, value := range map[string]string{"node": o.Node, "StatefulSet": o.StatefulSet, "order's ConfigMap": o.Order} {
		if value == "" {
			return nil, fmt.Errorf("a server in Kubernetes needs the name of its %s", what)
		}
	}
	if o.Observe == nil || o.Partner == nil || o.Report == nil {
		return nil, errors.New("a server in Kubernetes needs a way to be asked, and one to ask its partner")
	}
	if o.NewID == nil {
		o.NewID = rand.Text
	}
	return &Machine{site: s, opt: o, pace: rate.NewLimiter(rate.Every(s.opt.Pace), 1)}, nil
}

func (m *Machine) name() string { return m.site.opt.Namespace + "/" + m.opt.StatefulSet }

func (m *Machine) log() *slog.Logger {
	if m.opt.Log != nil {
		return m.opt.Log
	}
	return slog.New(slog.DiscardHandler)
}

func (m *Machine) noted() *witness {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.witness
}

func (m *Machine) note(w *witness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.witness = w
}

func (m *Machine) lastWritten() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version
}

func (m *Machine) wrote(version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == "" || older(m.version, version) {
		m.version = version
	}
}

// ErrNotPrimary means that the server that was to be stopped is a standby.
var ErrNotPrimary = errors.New("the server is a standby, not the primary that was to be stopped")

// ErrStillPrimary means that the server runs as a primary: it must be stopped or
// fenced first.
var ErrStillPrimary = errors.New("the server still runs as a primary")

// Between two looks while something is waited for: what writers wait for, what
// people do, and anything else. The first makes no more requests than [perSecond].
const atOnce, soon, later = 20 * time.Millisecond, 40 * time.Millisecond, 250 * time.Millisecond

// Stop implements [actions.Machine]: it scales to 0. The pod's own stop signal,
// SIGINT, makes it a fast shutdown. A server that answers as a standby is
// refused with [ErrNotPrimary].
func (m *Machine) Stop(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, stopLook)
	defer cancel()
	seen := make(chan struct{})
	var o actions.Observation
	go func() { // beside the API server: writers wait
		defer close(seen)
		o = m.opt.Observe(look)
	}()
	defer func() { cancel(); <-seen }()
	return m.order0(ctx, func(context.Context, set) error {
		<-seen
		if o.Server != nil && o.Server.InRecovery {
			return fmt.Errorf("stop StatefulSet %s: %w", m.name(), ErrNotPrimary)
		}
		return nil
	})
}

// stopLook bounds the last look before a stop: what was seen before counts for a
// server that doesn't answer now.
const stopLook = time.Second

// Sealed implements [actions.Sealer]: it returns when no pod is wanted and the
// deletion of the one that there was is under way, which its kubelet has taken
// over. A kubelet never begins a container of such a pod again.
//
// Writers wait for it, so what is wanted is read again beside the pods. It counts
// only if that is the same as before they were read.
func (m *Machine) Sealed(ctx context.Context) error {
	before, err := m.readSet(ctx)
	return m.await(ctx, atOnce, "it can come back", func(ctx context.Context) error {
		if err != nil { // of the reading before
			before, err = m.readSet(ctx)
		}
		if err != nil {
			return err
		}
		was := before
		read := make(chan struct{})
		go func() {
			defer close(read)
			before, err = m.readSet(ctx)
		}()
		ending := m.ending(ctx, was)
		<-read
		switch {
		case err != nil:
			return err
		case was.wanted != 0 || before.wanted != 0:
			return errors.New("a pod is wanted")
		case was.uid != before.uid || was.generation != before.generation:
			return errors.New("somebody changes what is wanted")
		}
		return ending
	})
}

// ending returns nil when the end of every pod is under way at its kubelet.
func (m *Machine) ending(ctx context.Context, s set) error {
	pods, version, err := m.pods(ctx, s)
	if err != nil {
		return err
	}
	m.note(m.noted().with(s, pods, version))
	for _, p := range pods {
		switch {
		case p.ended():
		case !p.deleting:
			return fmt.Errorf("%s is not to be ended yet", p)
		case !p.seen:
			return fmt.Errorf("the kubelet of node %s has not taken the end of %s over", p.node, p)
		}
	}
	return nil
}

// Stopped implements [actions.Machine]: it waits until the server is off, as
// [Machine.Read] has it.
func (m *Machine) Stopped(ctx context.Context) error {
	return m.await(ctx, later, "it has not ended", func(ctx context.Context) error {
		power, err := m.power(ctx)
		if err == nil && power != actions.PowerOff {
			err = errors.New("its pod runs")
		}
		return err
	})
}

// StopHard implements [actions.Machine]. Nothing here ends a pod before its
// grace period is over: that takes a deletion by force, after which nobody knows
// whether it runs.
func (m *Machine) StopHard(ctx context.Context) error {
	if err := m.Off(ctx); err != nil {
		if _, perhaps := errors.AsType[*actions.Uncertain](err); !perhaps {
			return err
		}
	}
	err := m.Stopped(ctx)
	if err != nil {
		err = fmt.Errorf("%w. Its kubelet kills it when the pod's grace period (terminationGracePeriodSeconds) is over, not sooner", err)
	}
	return err
}

// Lingers implements [actions.Lingerer]: it is what is left of the pod's grace
// period.
func (m *Machine) Lingers(ctx context.Context) (time.Duration, error) {
	s, err := m.readSet(ctx)
	if err != nil {
		return 0, err
	}
	pods, _, err := m.pods(ctx, s)
	longest := time.Duration(0)
	for _, p := range pods {
		left := p.grace
		if p.deleting {
			left = p.deadline.Sub(m.site.now())
		}
		longest = max(longest, left)
	}
	return longest, err
}

// await asks every so often until ask returns nil or ctx ends; then the error
// says what was waited for, why it ended, and what was seen last.
func (m *Machine) await(ctx context.Context, every time.Duration, what string, ask func(context.Context) error) error {
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if end, ok := errors.AsType[final](err); ok {
			return end.error
		}
		if ctx.Err() == nil || last == nil { // else it only says that the time is over
			last = err
		}
		if m.site.sleep(ctx, every) != nil {
			return fmt.Errorf("StatefulSet %s: %s: %w (%w)", m.name(), what, last, context.Cause(ctx))
		}
	}
}

// final is an error after which nothing is waited for any more.
type final struct{ error }

// Address is where the server's pod is reached within its cluster; "" while it has
// no address. It changes with every new pod.
func (m *Machine) Address(ctx context.Context) (ip string, port int32, err error) {
	s, err := m.readSet(ctx)
	if err != nil {
		return "", 0, err
	}
	pods, _, err := m.pods(ctx, s)
	if err != nil {
		return "", 0, err
	}
	for _, p := range pods {
		if !p.deleting && p.address != "" && p.port != 0 {
			return p.address, p.port, nil
		}
	}
	return "", 0, nil
}
