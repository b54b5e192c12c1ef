package actions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// bundle is everything that a test of a desk needs, within one bubble of time.
type bundle struct {
	*testing.T
	world   *world
	ledger  *ledger
	pair    actions.Pair
	policy  approvals.Policy
	check   func(approvals.Person) error // an account's look-up
	roster  approvals.Roster             // nil where the policy has no group
	factors approvals.Factors            // nil, as codes, where the policy asks for none
	codes   approvals.Codes
	unled   map[string]bool    // nodes without a machine
	seals   bool               // machines tell that a server won't come back before it has ended
	clock   func() time.Time   // of the bots; nil for the bubble's
	keep    func(*being) books // where bots keep their books; nil for the ledger
	ids     int
}

// inBubble runs a test with simulated time, clients that write all the while,
// and a check at the end that nobody was ever split.
func inBubble(t *testing.T, test func(b *bundle)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{T: t, world: newWorld(), ledger: newLedger(), pair: ordersPair(), policy: testPolicy(), unled: map[string]bool{}}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); b.world.keepWriting(stop) }()
		t.Cleanup(func() { close(stop); <-done })
		test(b)
	})
}

// books are the three ports of a store.
type books interface {
	approvals.Store
	actions.Journal
	actions.Memory
}

// bot is one desk at work.
type bot struct {
	*bundle
	desk  *actions.Desk
	being *being
	stop  context.CancelFunc
	ended chan error

	mu     sync.Mutex
	points []actions.Point // that it came by
}

type atPoint func(b *bot, p actions.Point) error

// start begins a new bot on the same world and ledger.
func (b *bundle) start(hook atPoint) *bot {
	b.Helper()
	o := b.prepare(hook)
	o.run()
	return o
}

// prepare makes a bot whose desk doesn't run yet.
func (b *bundle) prepare(hook atPoint) *bot {
	b.Helper()
	o := &bot{bundle: b, being: newBeing(), ended: make(chan error, 1)}
	desk, err := actions.NewDesk(b.options(o, hook))
	if err != nil {
		b.Fatal(err)
	}
	o.desk = desk
	b.Cleanup(o.end)
	return o
}

func (b *bundle) options(o *bot, hook atPoint) actions.Options {
	var k books = book{b.ledger, o.being}
	if b.keep != nil {
		k = b.keep(o.being)
	}
	now := time.Now
	if b.clock != nil {
		now = b.clock
	}
	return actions.Options{
		Pairs: []actions.Pair{b.pair}, Hands: map[string]actions.Hands{b.pair.Name: b.hands(o.being)},
		Policy: b.policy, Directory: directory{b}, Roster: b.roster, Factors: b.factors, Codes: b.codes, Store: k, Journal: k, Memory: k,
		Timeouts: actions.DefaultTimeouts(), Thresholds: actions.DefaultThresholds(), Now: now,
		NewID: func() string { b.ids++; return fmt.Sprintf("%04d", b.ids) }, NewNonce: func() string { return "nonce" },
		Log: slog.New(slog.NewTextHandler(b.Output(), nil)),
		At: func(_ context.Context, p actions.Point) error {
			o.mu.Lock()
			o.points = append(o.points, p)
			o.mu.Unlock()
			if hook == nil {
				return nil
			}
			return hook(o, p)
		},
	}
}

func (b *bundle) hands(who *being) actions.Hands {
	h := actions.Hands{Databases: map[string]actions.Database{}, Machines: map[string]actions.Machine{}}
	for i, s := range b.world.servers {
		name := b.pair.Nodes[i].Name
		h.Databases[name] = database{b.world, who, s}
		if !b.unled[name] {
			h.Machines[name] = machine{b.world, who, s}
		}
		if b.seals {
			h.Machines[name] = sealing{machine{b.world, who, s}}
		}
	}
	h.Endpoints = []actions.Endpoint{endpoint{b.world, who}}
	return h
}

type directory struct{ b *bundle }

func (d directory) Check(_ context.Context, who approvals.Person) error {
	if d.b.check == nil {
		return nil
	}
	return d.b.check(who)
}

func (o *bot) run() {
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	go func() { o.ended <- o.desk.Run(ctx) }()
}

// end tells the bot to end, and waits until it has.
func (o *bot) end() {
	if o.stop == nil {
		return
	}
	o.stop()
	<-o.ended
	o.stop = nil
}

// die is the bot's sudden death, wherever it is.
func (o *bot) die() error {
	o.being.die()
	return errDead
}

func (o *bot) passed() []actions.Point {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.points)
}

// ask opens a request, and two people approve it.
func (o *bot) ask(q actions.Question) approvals.Request {
	o.Helper()
	r := o.open(q)
	o.approve(r, "dba-1")
	return o.approve(r, "dba-2")
}

func (o *bot) open(q actions.Question) approvals.Request {
	o.Helper()
	q.Pair, q.Requester, q.Place = o.pair.Name, "oncall", "ops"
	r, err := o.desk.Ask(o.Context(), q)
	if err != nil {
		o.Fatalf("asking: %v", err)
	}
	return r
}

func (o *bot) approve(r approvals.Request, who approvals.Person) approvals.Request {
	o.Helper()
	out, err := o.desk.Approve(o.Context(), r.ID, ballot(r, who))
	if err != nil {
		o.Fatalf("approval of %s: %v", who, err)
	}
	return out
}

func ballot(r approvals.Request, who approvals.Person) approvals.Ballot {
	return approvals.Ballot{Person: who, Via: "test", Digest: string(r.Digest()), Place: r.Place}
}

// request reads the ledger as it is, past every being.
func (b *bundle) request(id string) approvals.Request {
	b.Helper()
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	r, err := b.ledger.load(id)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// await waits until a request is as wanted, for at most two simulated hours.
func (b *bundle) await(id string, what string, fit func(approvals.Request) bool) approvals.Request {
	b.Helper()
	late := time.After(2 * time.Hour)
	for {
		changed := b.ledger.change()
		r := b.request(id)
		if fit(r) {
			return r
		}
		select {
		case <-changed:
		case <-late:
			b.Fatalf("request %s never came to %s: it is %s (%s)", id, what, r.State, r.Why)
		}
	}
}

func (b *bundle) awaitEnd(id string) approvals.Request {
	b.Helper()
	return b.await(id, "its end", func(r approvals.Request) bool { return r.State.Ended() })
}

func (b *bundle) awaitState(id string, s approvals.State) approvals.Request {
	b.Helper()
	return b.await(id, string(s), func(r approvals.Request) bool { return r.State == s || r.State.Ended() })
}

func (b *bundle) outcome(r approvals.Request) actions.Outcome {
	b.Helper()
	var out actions.Outcome
	if len(r.Outcome) == 0 {
		return out
	}
	if err := json.Unmarshal(r.Outcome, &out); err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *bundle) entries(id string) []actions.Entry {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return slices.Clone(b.ledger.journal[id])
}

// wantState is the request's end, with its reason in the message.
func (b *bundle) wantState(r approvals.Request, want ...approvals.State) {
	b.Helper()
	if !slices.Contains(want, r.State) {
		b.Errorf("the request is %s, want %s: %s\ntodo: %q", r.State, want, r.Why, b.outcome(r).Todo)
	}
}

// wantServing: exactly one server accepts writes, it is the wanted one, nothing
// that was acknowledged is missing there, and never two accepted writes.
func (b *bundle) wantServing(want string) truth {
	b.Helper()
	<-time.After(5 * time.Second) // whatever is still under way happens now
	t := b.world.truth()
	if len(t.split) > 0 {
		b.Errorf("two servers accepted writes at once: %s", t.split[0])
	}
	if !slices.Equal(t.serving, []string{want}) {
		b.Errorf("serving: %q, want %q", t.serving, want)
	}
	if len(t.lost) > 0 {
		b.Errorf("%d of %d acknowledged rows are lost", len(t.lost), t.acked)
	}
	if t.acked == 0 {
		b.Error("nothing was acknowledged: the test shows nothing")
	}
	return t
}
