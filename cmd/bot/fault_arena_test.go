package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
	"twokey/actions/local/faultproxy"
	"twokey/actions/local/load"
	"twokey/actions/local/sandbox"
)

// The nodes of every arena. old is the primary at the beginning.
const (
	oldNode = "dc1"
	newNode = "dc2"
)

var nodeNames = []string{oldNode, newNode}

// link is one of the three ways that a fault can break.
type link string

const (
	linkOld  link = "bot–dc1"
	linkNew  link = "bot–dc2"
	linkPair link = "dc1–dc2"
)

// arena is a world whose links go through proxies, with writers that stick to
// one node each, so that two primaries would be found by the first row.
type arena struct {
	*world
	proxies map[link][]*faultproxy.Proxy
	writers map[string]*load.Load
	points  points
	looks   sync.RWMutex // held while nobody may look
	asked   atomic.Bool  // from when on the world may be shown as it was
}

// arenaOptions are what a fault or a self-test needs beforehand.
type arenaOptions struct {
	degrade  bool // after a switchover, too
	block    bool // after a failover, too
	noDriver bool // nobody can fence dc1
	settings map[string]string
	env      []string
	prepare  func(node, dir string) error
	wrap     func(*arena, map[string]actions.Hands)
}

// quickTimeouts make faults end in seconds. They are still long enough for a
// machine on which several arenas share two cores.
const quickTimeouts = "timeouts: {observe: 2500ms, effect: 4s, stop: 5s, promote: 5s, fence: 6s, rejoin: 25s}\n"

func newArena(t *testing.T, o arenaOptions) *arena {
	t.Helper()
	a := &arena{world: newClosed(t), proxies: map[link][]*faultproxy.Proxy{}, writers: map[string]*load.Load{}}
	a.timeouts, a.settings = quickTimeouts, o.pairKeys()
	a.sandbox = sandbox.Options{Route: a.route, Settings: o.settings, Env: o.env, Prepare: o.prepare}
	a.at = a.points.at
	a.wrap = func(hands map[string]actions.Hands) { a.direct(hands, o) }
	for _, step := range []stepFunc{a.openKeeper, a.openProxies, a.openPair, a.openBotLinks, a.openSlack, a.openService, a.openWriters} {
		a.must(step(a.ctx()))
	}
	a.run()
	a.health(actions.HealthOK)
	a.must(a.writers[oldNode].Until(a.ctx(), 20))
	return a
}

// patient bounds a whole walk.
func (a *arena) patient() context.Context {
	ctx, cancel := context.WithTimeoutCause(a.t.Context(), 6*time.Minute, errors.New("the walk takes too long"))
	a.t.Cleanup(cancel)
	return ctx
}

func (o arenaOptions) pairKeys() (text string) {
	if o.degrade {
		text += "    after_switchover: degrade\n"
	}
	if o.block {
		text += "    after_failover: block\n"
	}
	return text
}

// openProxies only sees to it that proxies end after the pair does.
func (a *arena) openProxies(context.Context) error {
	a.onClose(func() error {
		var errs []error
		for _, l := range a.proxies {
			for _, p := range l {
				errs = append(errs, p.Close())
			}
		}
		return errors.Join(errs...)
	})
	return nil
}

// route puts a proxy between a node and its partner; sandbox asks for it.
func (a *arena) route(_ string, port int) (int, error) { return a.proxy(linkPair, port) }

func (a *arena) proxy(l link, port int) (int, error) {
	p, err := faultproxy.New(context.Background(), port)
	if err != nil {
		return 0, err
	}
	a.proxies[l] = append(a.proxies[l], p)
	return p.Port(), nil
}

// openBotLinks puts a proxy before each node, which the bot's file names.
func (a *arena) openBotLinks(context.Context) (err error) {
	a.ports = map[string]int{}
	for _, n := range a.pair.Nodes {
		l := linkOld
		if n.Name == newNode {
			l = linkNew
		}
		if a.ports[n.Name], err = a.proxy(l, n.Port); err != nil {
			return err
		}
	}
	return nil
}

// direct gives the bot's drivers the servers' own ports: what starts a server
// and what reads its processes doesn't go through a network.
func (a *arena) direct(hands map[string]actions.Hands, o arenaOptions) {
	h := hands[a.pair.Name]
	for _, n := range a.pair.Nodes {
		h.Machines[n.Name] = n.Machine()
	}
	if o.noDriver {
		delete(h.Machines, oldNode)
	}
	if o.wrap != nil {
		o.wrap(a, hands)
	}
}

func (a *arena) set(l link, r faultproxy.Rule) {
	for _, p := range a.proxies[l] {
		p.Set(r)
	}
}

// sessionsPerNode write beside each other to each node.
const sessionsPerNode = 3

// openWriters makes one load per node. What a standby refuses is surely not
// written; the moment it becomes a primary, its writers are acknowledged.
func (a *arena) openWriters(ctx context.Context) error {
	if err := a.makeTable(ctx); err != nil {
		return err
	}
	for i, n := range a.pair.Nodes {
		cfg, err := a.appConfig(n)
		if err != nil {
			return err
		}
		a.writers[n.Name] = load.Start(context.WithoutCancel(ctx), load.Options{
			Config: cfg, Table: pgx.Identifier{"load", "writes"}, Sessions: sessionsPerNode, Every: 4 * time.Millisecond,
			Patience: 8 * time.Second, From: int64(i) << 40, Stay: true,
		})
		a.onClose(func() error { a.writers[n.Name].Stop(); return nil })
	}
	return nil
}

func (a *arena) makeTable(ctx context.Context) error {
	return a.asAdmin(ctx, oldNode, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `CREATE SCHEMA load; CREATE TABLE load.writes (id bigint PRIMARY KEY); CREATE TABLE load.tail (t text);
			GRANT USAGE ON SCHEMA load TO `+sandbox.AppRole+`; GRANT SELECT, INSERT ON load.writes TO `+sandbox.AppRole)
		return err
	})
}

// appConfig connects as the application to this one node, whatever its role.
func (a *arena) appConfig(n *sandbox.Node) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(a.pair.AppURL())
	if err != nil {
		return nil, err
	}
	cfg.Port, cfg.Fallbacks, cfg.ValidateConnect = uint16(n.Port), nil, nil
	return cfg, nil
}

// asAdmin asks a server directly, past every proxy. A server that is stopped or
// hangs is an error soon.
func (a *arena) asAdmin(ctx context.Context, node string, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return a.session(ctx, node, func(c *pgx.Conn) error { return do(ctx, c) })
}

// session is asAdmin within the caller's own deadline.
func (a *arena) session(ctx context.Context, node string, do func(*pgx.Conn) error) error {
	cfg, err := pgx.ParseConfig(a.pair.Node(node).AdminURL(a.pair.Database))
	if err != nil {
		return err
	}
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // only asked
	return do(c)
}

const askPatience = 4 * time.Second

func (a *arena) exec(ctx context.Context, node string, statements ...string) error {
	return a.asAdmin(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
		for _, s := range statements {
			if _, err := c.Exec(ctx, s); err != nil {
				return fmt.Errorf("%s: %s: %w", node, s, err)
			}
		}
		return nil
	})
}

// standing is what one server is, as it says itself.
type standing struct {
	node     string
	up       bool // it answers
	primary  bool
	timeline uint32
}

func (a *arena) standing(ctx context.Context, node string) standing {
	s := standing{node: node}
	err := a.asAdmin(ctx, node, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT NOT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN
			(SELECT timeline_id FROM pg_control_checkpoint()) ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END`).
			Scan(&s.primary, &s.timeline)
	})
	s.up = err == nil
	return s
}

// primaries are the nodes that are out of recovery now.
func (a *arena) primaries(ctx context.Context) (all []standing) {
	for _, n := range nodeNames {
		if s := a.standing(ctx, n); s.up && s.primary {
			all = append(all, s)
		}
	}
	return all
}

// primary is the one node that takes writes, errNothing when there is none.
func (a *arena) primary(ctx context.Context) (string, error) {
	all := a.primaries(ctx)
	if len(all) != 1 {
		return "", fmt.Errorf("%w: %d primaries", errNothing, len(all))
	}
	return all[0].node, nil
}

// errNothing: what a fault would break isn't there at that moment.
var errNothing = errors.New("there is nothing to break")

// points lets a test act at one of the labelled operations.
type points struct {
	mu   sync.Mutex
	acts []act
	seen []actions.Point
}

// act is done once, when the point is reached.
type act struct {
	at   actions.Point // of any node
	do   func(context.Context) error
	done bool
}

// on arms an act; it runs in the bot's own goroutine, between it and its effect.
func (p *points) on(op actions.Op, after bool, do func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts = append(p.acts, act{at: actions.Point{Op: op, After: after}, do: do})
}

func (p *points) at(ctx context.Context, at actions.Point) error {
	for _, do := range p.due(at) {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// over: what has not happened by now doesn't any more, whatever reaches its point.
func (p *points) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts = nil
}

func (p *points) due(at actions.Point) (all []func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, at)
	for i := range p.acts {
		if a := &p.acts[i]; !a.done && a.at.Op == at.Op && a.at.After == at.After {
			a.done = true
			all = append(all, a.do)
		}
	}
	return all
}

func (p *points) reached(op actions.Op, after bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.seen, func(at actions.Point) bool { return at.Op == op && at.After == after })
}
