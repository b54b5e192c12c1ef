package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"

	"twokey/actions"
	"twokey/actions/postgres"
	"twokey/approvals"
)

// What a test tells the bot that it runs as a process of its own. Only the test
// binary's TestMain reads them: the program itself knows none of it.
const (
	dieAt     = "TWOKEY_TEST_DIE_AT"   // a moment: there the process kills itself with SIGKILL
	sleepAt   = "TWOKEY_TEST_SLEEP_AT" // a moment: there it stops itself with SIGSTOP
	failAt    = "TWOKEY_TEST_FAIL_AT"  // a moment before or after a labelled effect, which fails there
	momentsTo = "TWOKEY_TEST_MOMENTS"  // a file to which it writes every moment that it comes to
)

// fate stands between every two effects of an execution: labelled effects, the
// calls of machines and of the journal, and each statement on the wire that
// changes something. Such a moment has a name: what, where, the how manieth
// time, and whether it is before or after.
type fate struct {
	die, sleep, fail string
	moments          *os.File

	mu    sync.Mutex
	armed bool // from the claim of the request to the record of its end
	count map[string]int
}

// fateOf makes the seams that the environment asks for.
func fateOf(getenv func(string) string) (seams, error) {
	f := &fate{die: getenv(dieAt), sleep: getenv(sleepAt), fail: getenv(failAt), count: map[string]int{}}
	if path := getenv(momentsTo); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return seams{}, err
		}
		f.moments = file // open until the process ends
	}
	return seams{at: f.at, wrap: f.wrap, journal: func(j actions.Journal) actions.Journal { return fatedJournal{j, f} }, dial: f.dial}, nil
}

// reach is called at every moment, in the goroutine that has come there.
func (f *fate) reach(moment string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return
	}
	f.count[moment]++
	if n := f.count[moment]; n > 1 {
		moment = fmt.Sprintf("%s (%d)", moment, n)
	}
	if f.moments != nil {
		if _, err := f.moments.WriteString(moment + "\n"); err != nil {
			panic(err)
		}
	}
	switch moment {
	case f.die:
		f.signal(syscall.SIGKILL)
	case f.sleep:
		f.signal(syscall.SIGSTOP)
	}
}

// signal ends or stops this process, and doesn't return before that has
// happened and, after a stop, is over: the kernel takes a moment.
func (f *fate) signal(sig syscall.Signal) {
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGCONT)
	defer signal.Stop(woken)
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		panic(err)
	}
	<-woken
}

func (f *fate) around(what string, do func() error) error {
	f.reach("before " + what)
	err := do()
	f.reach("after " + what)
	return err
}

func (f *fate) arm(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = on
}

func (f *fate) at(_ context.Context, p actions.Point) error {
	moment := momentOf(p)
	f.reach(moment)
	switch {
	case moment != f.fail:
		return nil
	case p.After: // it was done: whoever sees it fail can't know
		return &actions.Uncertain{Err: errInjected}
	}
	return errInjected
}

var errInjected = errors.New("injected")

func momentOf(p actions.Point) string {
	when := "before"
	if p.After {
		when = "after"
	}
	return fmt.Sprintf("%s step %s %s", when, p.Op, p.Node)
}

func (f *fate) wrap(hands map[string]actions.Hands) {
	for _, h := range hands {
		for node, m := range h.Machines {
			h.Machines[node] = fatedMachine{m, node, f}
		}
	}
}

// fatedMachine has a moment before and after every order to a machine.
type fatedMachine struct {
	actions.Machine
	node string
	fate *fate
}

func (m fatedMachine) around(what string, do func() error) error {
	return m.fate.around("machine "+m.node+" "+what, do)
}

func (m fatedMachine) Off(ctx context.Context) error {
	return m.around("off", func() error { return m.Machine.Off(ctx) })
}

func (m fatedMachine) Stop(ctx context.Context) error {
	return m.around("stop", func() error { return m.Machine.Stop(ctx) })
}

func (m fatedMachine) Stopped(ctx context.Context) error {
	return m.around("stopped", func() error { return m.Machine.Stopped(ctx) })
}

func (m fatedMachine) StopHard(ctx context.Context) error {
	return m.around("stop hard", func() error { return m.Machine.StopHard(ctx) })
}

func (m fatedMachine) Start(ctx context.Context) error {
	return m.around("start", func() error { return m.Machine.Start(ctx) })
}

func (m fatedMachine) Follow(ctx context.Context, name string) error {
	return m.around("follow", func() error { return m.Machine.Follow(ctx, name) })
}

func (m fatedMachine) Rejoin(ctx context.Context, order actions.RejoinOrder, progress func(string)) (report actions.RejoinReport, err error) {
	err = m.around("rejoin", func() error {
		report, err = m.Machine.Rejoin(ctx, order, progress)
		return err
	})
	return report, err
}

// fatedJournal has a moment before and after every transaction of the journal.
type fatedJournal struct {
	actions.Journal
	fate *fate
}

func (j fatedJournal) Claim(ctx context.Context, request, attempt string) (r approvals.Request, err error) {
	j.fate.arm(true)
	err = j.fate.around("journal claim", func() error {
		r, err = j.Journal.Claim(ctx, request, attempt)
		return err
	})
	return r, err
}

func (j fatedJournal) Record(ctx context.Context, request string, e actions.Entry) error {
	what := fmt.Sprintf("journal %s %s %s", e.Phase, e.Op, e.Node)
	return j.fate.around(what, func() error { return j.Journal.Record(ctx, request, e) })
}

func (j fatedJournal) Finish(ctx context.Context, request string, cause approvals.Cause, why string, out actions.Outcome) error {
	defer j.fate.arm(false)
	return j.fate.around("journal end", func() error { return j.Journal.Finish(ctx, request, cause, why, out) })
}

// dial gives connections that have a moment before and after each statement
// that changes something is sent. After means: sent, and not yet answered; the
// moment before the next one is: answered.
func (f *fate) dial(node string) postgres.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return fatedConn{c, node, f}, err
	}
}

type fatedConn struct {
	net.Conn
	node string
	fate *fate
}

// effective finds the statement in a Parse or Query message, where it begins.
var effective = regexp.MustCompile(`(?s)(?:^Q....|\x00)(ALTER SYSTEM \w+ \w+|CHECKPOINT|SELECT pg_reload_conf|SELECT pg_promote|SELECT pg_try_advisory_lock|SELECT twokey\.(?:ensure_slot|drop_slot|resume_replay|end_standby_sessions)|BEGIN|INSERT INTO [\w.]+)`)

func (c fatedConn) Write(b []byte) (n int, err error) {
	m := effective.FindSubmatch(b)
	if m == nil {
		return c.Conn.Write(b)
	}
	err = c.fate.around("sql "+c.node+" "+string(m[1]), func() error {
		n, err = c.Conn.Write(b)
		return err
	})
	return n, err
}
