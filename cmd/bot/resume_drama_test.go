package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/actions/local/load"
	"twokey/approvals"
	"twokey/bot/slacksim"
	"twokey/store"
)

// drama is one request on a real pair, carried out by bots that are processes
// of their own: the first one may die, and another goes on from its store.
type drama struct {
	name  string
	kind  actions.Kind
	edit  func(*demo)   // before the pair is made
	begin func(*world)  // what happened before somebody asks
	ask   string        // the command
	fail  string        // the moment at which the first bot's step fails, "" for none
	end   func(*encore) // what must be so at the end, beside what must always be so
}

// encore is what is left when the request has ended and every bot is gone.
type encore struct {
	*world
	drama
	died    bool // the first bot did
	request approvals.Request
	outcome actions.Outcome
	posted  []string // the channel's messages, as people read them
}

// quickly bounds every wait, so that what ends by a deadline ends within a test.
const quickly = "timeouts: {observe: 2s, effect: 8s, stop: 12s, promote: 12s, fence: 12s, rejoin: 60s}\n"

// play lets the request run, with this for the first bot's environment.
func (d drama) play(t *testing.T, env ...string) *encore {
	t.Helper()
	w := newClosed(t)
	w.timeouts = quickly
	if d.edit != nil {
		d.edit(w.demo)
	}
	for _, step := range []stepFunc{w.openKeeper, w.openPair, w.openSlack, w.openLoad} {
		w.must(step(w.ctx()))
	}
	path, err := w.writeConfig()
	w.must(err)
	if d.fail != "" {
		env = append(env, failAt+"="+d.fail)
	}
	p := w.serve(path, env...)
	w.command(oncall, "verify", "proven")
	w.must(w.load.Until(w.ctx(), 30))
	if d.begin != nil {
		d.begin(w)
	}
	ts := w.ask(d.ask)
	w.press(dba1, ts, "approve")
	w.message(ts, "1 of 2 approvals")
	w.press(dba2, ts, "approve")
	e := &encore{world: w, drama: d}
	if w.follow(ts, p.gone) == stageDied {
		e.died = true
		w.must(w.died(p))
		p = w.serve(path)
		if got := w.follow(ts, p.gone); got != stageEnded {
			t.Fatalf("the second bot ended, too:\n%s", p.rest())
		}
	}
	w.must(p.cmd.Process.Signal(syscall.SIGTERM))
	w.must(p.ended())
	e.read(ts)
	return e
}

// serve runs `bot serve` as a process and lets Slack find it.
func (w *world) serve(config string, env ...string) *program {
	w.t.Helper()
	p := startProgramIn(w.t, env, "serve", "-c", config)
	w.slack.SetRequestURL("http://" + p.await(`"ready","listen":"([^"]+)"`))
	return p
}

// died makes sure that a bot ended by the kill that it was told to, and not otherwise.
func (w *world) died(p *program) error {
	err := p.ended()
	if state := p.cmd.ProcessState; state == nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the first bot was not killed, it ended with %w:\n%s", err, p.rest())
	}
	return nil
}

type stage int

const (
	stageHeld stage = iota
	stageEnded
	stageDied
)

// follow waits until the request's message shows its end, or the bot is gone,
// and types the statement where one is waited for.
func (w *world) follow(ts string, gone <-chan struct{}) stage {
	w.t.Helper()
	ctx, cancel := context.WithCancelCause(w.ctx())
	defer cancel(nil)
	defer context.AfterFunc(w.t.Context(), func() { cancel(nil) })()
	go func() {
		select {
		case <-gone:
			cancel(errGone)
		case <-ctx.Done():
		}
	}()
	stated := false
	for {
		var at stage
		err := w.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
			text := textOf(s, ts)
			switch {
			case slices.ContainsFunc(endings, func(e string) bool { return strings.Contains(text, e) }):
				at = stageEnded
				return true
			case !stated && strings.Contains(text, heldWords):
				at = stageHeld
				return true
			}
			return false
		})
		switch {
		case errors.Is(context.Cause(ctx), errGone):
			return stageDied
		case err != nil:
			w.must(err)
		case at == stageEnded:
			return at
		}
		if err := w.state(ctx, ts); err != nil && ctx.Err() == nil {
			w.must(err)
		}
		stated = true
	}
}

var errGone = errors.New("the bot is gone")

// endings are how a message's header says that an executed request has ended.
var endings = []string{": done", ": taken back", ": failed half way", ": outcome unknown", ": stale"}

const heldWords = "held, a person must decide"

// state types the pair's name, as dba-1.
func (w *world) state(ctx context.Context, ts string) error {
	if _, err := w.slack.Press(ctx, dba1, opsChannel, ts, "statement"); err != nil {
		return err
	}
	var view slacksim.View
	err := w.slack.Wait(ctx, func(s *slacksim.Snapshot) bool {
		for _, v := range s.Modals(dba1) {
			if v.Submit != "" {
				view = v
			}
		}
		return view.ID != "" || !strings.Contains(textOf(s, ts), heldWords)
	})
	if err != nil || view.ID == "" { // the statement of before the bot's death counts
		return err
	}
	_, err = w.slack.SubmitModal(ctx, dba1, view.ID, map[string]string{"text": w.pair.Name})
	return err
}

func textOf(s *slacksim.Snapshot, ts string) string {
	for _, m := range s.Messages(opsChannel) {
		if m.TS == ts {
			return m.Text
		}
	}
	return ""
}

// read takes the end from the store, which no bot holds any more, and from the channel.
func (e *encore) read(ts string) {
	e.t.Helper()
	s, err := store.Open(filepath.Join(e.pair.Dir, "twokey.db"), store.Options{Log: e.log})
	e.must(err)
	defer func() { e.must(s.Close()) }()
	all, err := s.Requests(e.ctx(), store.Filter{}, 1)
	e.must(err)
	if len(all) != 1 {
		e.t.Fatal("the store has no request")
	}
	e.request = all[0]
	e.outcome, err = outcomeOf(e.request)
	e.must(err)
	snap := e.slack.Snapshot()
	for _, m := range snap.Messages(opsChannel) {
		if m.TS == ts {
			e.posted = append([]string{snap.Plain(m, time.Now())}, e.posted...)
		} else {
			e.posted = append(e.posted, snap.Plain(m, time.Now()))
		}
	}
}

// serverState is what a superuser sees of one node.
type serverState struct {
	up       bool
	standby  bool
	names    string
	conninfo string
	slots    []string // that keep WAL, with " active" where somebody streams through it
	streams  []string // name/state/sync_state of what streams from it
}

func (w *world) serverState(node string) (s serverState) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx(), w.pair.Node(node).AdminURL("postgres"))
	if err != nil {
		return s
	}
	defer func() { _ = conn.Close(context.WithoutCancel(w.ctx())) }() // only read from
	s.up = true
	w.must(conn.QueryRow(w.ctx(), `SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'), current_setting('primary_conninfo'),
		ARRAY(SELECT slot_name || CASE WHEN active THEN ' active' ELSE '' END FROM pg_replication_slots WHERE active OR restart_lsn IS NOT NULL ORDER BY 1),
		ARRAY(SELECT application_name || '/' || state || '/' || sync_state FROM pg_stat_replication ORDER BY 1)`).
		Scan(&s.standby, &s.names, &s.conninfo, &s.slots, &s.streams))
	return s
}

// wantWhole: one primary with one synchronous standby, each with the other's
// name, the standby's slot in use and no other that keeps WAL, and nothing frozen.
func (w *world) wantWhole(primary, standby string) {
	w.t.Helper()
	is := w.until(func() (string, bool) {
		p, s := w.serverState(primary), w.serverState(standby)
		return fmt.Sprintf("%s %+v\n%s %+v", primary, p, standby, s), p.up && s.up && !p.standby && s.standby &&
			p.names == standby && s.names == primary &&
			slices.Equal(p.slots, []string{w.pair.Node(standby).Slot() + " active"}) && len(s.slots) == 0 &&
			slices.Equal(p.streams, []string{standby + "/streaming/sync"}) && strings.Contains(s.conninfo, "application_name='"+standby+"'")
	})
	if is != "" {
		w.t.Errorf("%s and its standby %s are not whole:\n%s", primary, standby, is)
	}
}

// until asks for some seconds, and returns "" when it was as wanted, else how it was last.
func (w *world) until(ask func() (is string, ok bool)) string {
	w.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		is, ok := ask()
		if ok {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return is
		}
	}
}

// judge holds the end against the promise.
func (e *encore) judge() {
	e.t.Helper()
	defer func() {
		if e.t.Failed() {
			e.t.Logf("ended %s: %s\nleft to do: %q\nthe channel:\n%s", e.request.State, e.request.Why, e.outcome.Todo, e.slack.Transcript())
		}
	}()
	e.judgeMessages()
	e.judgeAcknowledgements()
	from, to := e.outcome.OldPrimary, e.outcome.NewPrimary
	switch e.request.State {
	case approvals.Succeeded:
		if e.noDriver != "" {
			e.wantAlone(to)
			break
		}
		if len(e.outcome.Todo) > 0 {
			e.wantReason()
			break
		}
		e.wantWhole(to, from)
	case approvals.Aborted:
		e.judgeTakenBack()
	case approvals.Unknown, approvals.Failed:
		if len(e.outcome.Todo) == 0 {
			e.t.Errorf("it ended %s and tells nobody what to do", e.request.State)
		}
		e.atMostOnePrimary()
		return // who serves must be looked at, so that is not asked for
	default:
		e.t.Errorf("it ended %s: %s", e.request.State, e.request.Why)
	}
	if e.drama.end != nil {
		e.drama.end(e)
	}
	e.atMostOnePrimary()
	e.noLoss()
}

// wantReason: something may be left for people only where a step was made to
// fail, and then the promoted node serves all the same.
func (e *encore) wantReason() {
	e.t.Helper()
	if e.fail == "" {
		e.t.Errorf("it succeeded, but leaves to people: %q", e.outcome.Todo)
	}
	if s := e.serverState(e.outcome.NewPrimary); !s.up || s.standby {
		e.t.Errorf("%s is said to be the primary, and is %+v", e.outcome.NewPrimary, s)
	}
}

// wantAlone: a promoted node that takes writes without a standby, as its policy says.
func (w *world) wantAlone(node string) {
	w.t.Helper()
	if s := w.serverState(node); !s.up || s.standby || s.names != "" {
		w.t.Errorf("%s does not serve alone: %+v", node, s)
	}
}

// judgeTakenBack: as if nobody had asked. A node that was fenced, or dead
// before, is started by hand first, as it stands.
func (e *encore) judgeTakenBack() {
	e.t.Helper()
	old := e.pair.Nodes[0].Name
	if e.kind == actions.KindRejoin {
		return
	}
	if e.kind == actions.KindFailover {
		if s := e.serverState(e.pair.Nodes[1].Name); !s.standby || s.conninfo == "" || s.names != old || len(s.slots) > 0 {
			e.t.Errorf("the standby is not as it was: %+v", s)
		}
		_, err := e.pair.Nodes[0].Server.Start(e.ctx())
		e.must(err)
	}
	e.wantWhole(old, e.pair.Nodes[1].Name)
}

func (e *encore) atMostOnePrimary() {
	e.t.Helper()
	a, b := e.serverState(e.pair.Nodes[0].Name), e.serverState(e.pair.Nodes[1].Name)
	if a.up && b.up && !a.standby && !b.standby {
		e.t.Error("both nodes are out of recovery")
	}
}

// judgeMessages: what people read is what is true.
func (e *encore) judgeMessages() {
	e.t.Helper()
	word := map[approvals.State]string{
		approvals.Succeeded: "done", approvals.Aborted: "taken back", approvals.Failed: "failed half way", approvals.Unknown: "outcome unknown",
	}[e.request.State]
	if word == "" || !strings.Contains(e.posted[0], word) {
		e.t.Errorf("the request ended %s, and its message says:\n%s", e.request.State, e.posted[0])
	}
	for _, todo := range e.outcome.Todo {
		start := todo[:min(len(todo), 40)]
		if !slices.ContainsFunc(e.posted, func(m string) bool { return strings.Contains(m, start) }) {
			e.t.Errorf("no message says what is left to do: %s", todo)
		}
	}
	serving := e.outcome.Serving
	if serving == "" {
		if strings.Contains(e.posted[0], "serves as before") {
			e.t.Errorf("nobody knows who serves, and the message says:\n%s", e.posted[0])
		}
		return
	}
	if s := e.serverState(serving); !s.up || s.standby {
		e.t.Errorf("%s is said to serve, and is %+v", serving, s)
	}
}

// judgeAcknowledgements: first one node acknowledged, then perhaps the other,
// never one between the other's.
func (e *encore) judgeAcknowledgements() {
	e.t.Helper()
	acks := e.load.Acks()
	slices.SortFunc(acks, func(a, b load.Ack) int { return a.Sent.Compare(b.Sent) })
	var servers []string
	for _, a := range acks {
		if len(servers) == 0 || servers[len(servers)-1] != a.Server {
			servers = append(servers, a.Server)
		}
	}
	if len(servers) > 2 {
		e.t.Errorf("the nodes acknowledged in turn: %v", servers)
	}
}

// scribe returns the moments that a drama comes to when nobody dies.
func (d drama) scribe(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moments")
	e := d.play(t, momentsTo+"="+path)
	e.judge()
	text, err := os.ReadFile(path)
	e.must(err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
