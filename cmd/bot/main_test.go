package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/janitor"
	"twokey/actions/local/pgbin"
	"twokey/approvals"
	"twokey/bot/slacksim"
	"twokey/store"
)

// asProgram makes the test binary be the program itself, so that tests can run
// it as a process and kill it.
const asProgram = "TWOKEY_TEST_RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	janitor.MaybeRun()
	if os.Getenv(asProgram) != "" {
		test, err := fateOf(os.Getenv)
		if err != nil {
			panic(err)
		}
		os.Exit(mainWithin(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, test))
	}
	os.Exit(m.Run())
}

// halved leaves every second one of a long suite's cells, by the major that the
// tests run on: runs on 15 and on 17 walk all of them between them.
func halved[T any](t testing.TB, all []T) (half []T) {
	t.Helper()
	found, err := pgbin.FindOrFetch(t.Context(), pgbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range all {
		if i%2 == found.Major/2%2 {
			half = append(half, one)
		}
	}
	return half
}

// world is a real pair, a simulated Slack and a running bot, as the demo makes
// them, with handles for tests.
type world struct {
	*demo
	t testing.TB
}

// patience is the deadline of everything that a test waits for.
const patience = 2 * time.Minute

// newClosed is a world in which nothing is open yet; what is opened is closed
// when the test ends.
func newClosed(t testing.TB) *world {
	t.Helper()
	// A sweep that falls into a server's death would see it before its standby
	// does, and then nothing is proven: what sweeps do has tests of its own.
	d := &demo{sweeps: "@every 1h", flags: demoFlags{listen: "127.0.0.1:0"}, say: io.Discard, out: io.Discard, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return &world{d, t}
}

// newWorld opens a world and runs its bot until the test ends.
func newWorld(t testing.TB, edit func(*demo)) *world {
	t.Helper()
	w := newClosed(t)
	if edit != nil {
		edit(w.demo)
	}
	w.must(w.open(w.ctx()))
	w.run()
	return w
}

// run starts the bot; it is stopped when the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.service.run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			w.t.Errorf("the bot ended with: %v", err)
		}
	})
}

// ctx is bounded, so that a test that waits in vain says so.
func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeoutCause(w.t.Context(), patience, errors.New("the test waited in vain"))
	w.t.Cleanup(cancel)
	return ctx
}

// loses kills a node's server at once, with all its sessions, and waits until
// its partner has noticed: who asks before that sees a standby that streams from
// a primary that is gone, and nothing is proven.
func (w *world) loses(node string) {
	w.t.Helper()
	w.must(w.pair.Node(node).Server.Kill(w.ctx()))
	partner := w.pair.Actions().Partner(node).Name
	ctx := w.ctx()
	c, err := pgx.Connect(ctx, w.pair.Node(partner).AdminURL("postgres"))
	w.must(err)
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var receives bool
		w.must(c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')").Scan(&receives))
		if !receives {
			return
		}
		<-tick.C
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err == nil {
		return
	}
	if w.slack != nil {
		w.t.Logf("the channel:\n%s", w.slack.Transcript())
	}
	w.t.Fatal(err)
}

// say types a command and waits for an answer with the words.
func (w *world) command(who, text, expect string) {
	w.t.Helper()
	w.must(w.demo.command(w.ctx(), who, text, expect))
}

// ask requests a failover and returns its message.
func (w *world) ask(text string) (ts string) {
	w.t.Helper()
	_, err := w.slack.Command(w.ctx(), oncall, opsChannel, "/pg", text)
	w.must(err)
	ts, err = w.requestMessage(w.ctx())
	w.must(err)
	return ts
}

func (w *world) press(who, ts, button string) {
	w.t.Helper()
	_, err := w.slack.Press(w.ctx(), who, opsChannel, ts, button)
	w.must(err)
}

// request waits until the newest request is as wanted.
func (w *world) request(fit func(approvals.Request) bool) approvals.Request {
	w.t.Helper()
	wake, cancel := w.service.store.Subscribe()
	defer cancel()
	ctx := w.ctx()
	for {
		all, err := w.service.store.Requests(ctx, store.Filter{}, 1)
		w.must(err)
		if len(all) == 1 && fit(all[0]) {
			return all[0]
		}
		select {
		case <-wake:
		case <-ctx.Done():
			w.must(fmt.Errorf("%w; the request is %+v", context.Cause(ctx), all))
		}
	}
}

// in says whether a request is in one of the states.
func in(states ...approvals.State) func(approvals.Request) bool {
	return func(r approvals.Request) bool { return slices.Contains(states, r.State) }
}

// ended waits for the end of the newest request.
func (w *world) ended() (approvals.Request, actions.Outcome) {
	w.t.Helper()
	r := w.request(func(r approvals.Request) bool { return r.State.Ended() })
	out, err := outcomeOf(r)
	w.must(err)
	return r, out
}

// healthy waits until the pair is well, in its own words.
func (w *world) health(want actions.Health) actions.Report {
	w.t.Helper()
	ctx := w.ctx()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		rep, err := w.service.desk.Verify(ctx, w.pair.Name)
		w.must(err)
		if rep.Verdict.Health == want {
			return rep
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.must(fmt.Errorf("%w: health is %q, wanted %q: %s", context.Cause(ctx), rep.Verdict.Health, want, rep.Verdict.Headline))
		}
	}
}

// noLoss stops the load and checks that every acknowledged row is there.
func (w *world) noLoss() {
	w.t.Helper()
	w.must(w.load.Until(w.ctx(), 50))
	tally := w.load.Stop()
	conn, err := pgx.Connect(w.ctx(), w.pair.AppURL())
	w.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(w.ctx())) }()
	lost, err := w.load.Lost(w.ctx(), conn)
	w.must(err)
	if len(lost) > 0 || tally.Acknowledged == 0 {
		w.t.Errorf("%d of %d acknowledged rows are lost: %v", len(lost), tally.Acknowledged, lost)
	}
}

// shown waits for a message of the channel with all the words.
func (w *world) shown(words ...string) {
	w.t.Helper()
	err := w.slack.Wait(w.ctx(), func(s *slacksim.Snapshot) bool {
		for _, m := range s.Messages(opsChannel) {
			if containsAll(s.Plain(m, time.Now()), words) {
				return true
			}
		}
		return false
	})
	if err != nil {
		w.must(fmt.Errorf("the channel never showed %q: %w", words, err))
	}
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// runMain runs the program in this process and returns what it printed.
func runMain(t testing.TB, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = mainWith(args, streams{strings.NewReader(""), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}
