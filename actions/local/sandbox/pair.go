package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/secret"
	pairsql "twokey/sql"
)

// host is where all servers of the sandbox listen, and from where they reach each other.
const host = "127.0.0.1"

// AppRole is the role of the application: it writes the demo's load.
const AppRole = "app"

// Pair is a running pair. Which node is the primary may change; Nodes keep their order.
type Pair struct {
	// Dir holds everything of the pair.
	Dir   string
	Name  string
	Nodes [2]*Node
	// Database is the application's.
	Database string
	// Passwords of the roles, the same on both nodes because roles are replicated.
	BotPassword, AppPassword, AdminPassword, ReplicationPassword secret.Text

	held []port
}

// Node is one of a pair.
type Node struct {
	Name   string
	Dir    string
	Port   int
	Server local.Server
	// Upstream is how the node reaches its partner.
	Upstream local.Upstream

	pair *Pair
}

// patience bounds how long a server may take to stop at the end.
const patience = 5 * time.Second

// New makes a pair and returns when its standby is synchronous. On an error nothing is left. The caller must
// call [Pair.Close].
func New(ctx context.Context, o Options) (*Pair, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("make a pair: %w", err)
	}
	user, err := local.ServerUser()
	if err != nil {
		return nil, fmt.Errorf("make a pair: %w", err)
	}
	if o.Programs, err = o.programs(ctx); err != nil {
		return nil, err
	}
	for range attempts {
		var p *Pair
		p, err = attempt(ctx, o, user)
		if !errors.Is(err, errPortTaken) {
			return p, err
		}
	}
	return nil, err
}

// attempts is how often New tries other ports when somebody takes them between choosing and listening.
const attempts = 5

var errPortTaken = errors.New("another program took the port meanwhile")

func attempt(ctx context.Context, o Options, user *local.User) (*Pair, error) {
	p, err := newPair(o, user)
	if err == nil {
		err = p.bringUp(ctx, o)
	}
	if err == nil {
		return p, nil
	}
	if p != nil {
		err = errors.Join(err, p.Close())
	}
	return nil, fmt.Errorf("make pair %s: %w", o.Pair, err)
}

// newPair chooses folder, ports and passwords; nothing runs yet.
func newPair(o Options, user *local.User) (*Pair, error) {
	dir, err := os.MkdirTemp(o.Dir, "twokey-"+o.Pair+"-")
	if err != nil {
		return nil, err
	}
	p := &Pair{
		Dir: dir, Name: o.Pair, Database: o.Database,
		BotPassword: password(), AppPassword: password(), AdminPassword: password(), ReplicationPassword: password(),
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the servers' user must get through
		return p, err
	}
	if o.Janitor != nil {
		if err := o.Janitor.Folder(dir); err != nil {
			return p, err
		}
	}
	for i, name := range o.Nodes {
		if p.Nodes[i], err = p.newNode(name, o, user); err != nil {
			return p, err
		}
	}
	for _, n := range p.Nodes {
		if n.Upstream, err = n.upstream(o.Route); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Pair) newNode(name string, o Options, user *local.User) (*Node, error) {
	taken, err := takePort()
	if err != nil {
		return nil, err
	}
	p.held = append(p.held, taken)
	n := &Node{Name: name, Dir: filepath.Join(p.Dir, name), Port: taken.number, pair: p}
	n.Server = local.Server{
		Programs:   o.Programs,
		DataDir:    n.file("data"),
		ConfigFile: n.file("postgresql.conf"),
		Port:       n.Port,
		LogFile:    n.file("log"),
		User:       user,
		Env:        o.Env,
	}
	if err := os.Mkdir(n.Dir, 0o700); err != nil {
		return n, err
	}
	if o.Prepare != nil {
		if err := o.Prepare(name, n.Dir); err != nil {
			return n, err
		}
	}
	if err := user.Own(n.Dir); err != nil {
		return n, err
	}
	if o.Janitor != nil {
		return n, o.Janitor.Server(n.Server.DataDir)
	}
	return n, nil
}

func (n *Node) upstream(route func(string, int) (int, error)) (local.Upstream, error) {
	u := local.Upstream{
		Host: host, Port: n.partner().Port, User: pairsql.ReplicationRole, Database: pairsql.BotDatabase,
		Passfile: n.file("passfile"), SSLMode: "disable", Slot: n.Slot(),
	}
	if route == nil {
		return u, nil
	}
	port, err := route(n.Name, u.Port)
	u.Port = port
	return u, err
}

func (n *Node) partner() *Node {
	if n.pair.Nodes[0] == n {
		return n.pair.Nodes[1]
	}
	return n.pair.Nodes[0]
}

// Machine is the power over this node's server.
func (n *Node) Machine() *local.Machine {
	return &local.Machine{Server: n.Server, Upstream: n.Upstream, Include: n.file("replication.conf")}
}

// Slot is the slot on the partner that this node streams from.
func (n *Node) Slot() string { return "twokey_" + n.Name }

func password() secret.Text { return secret.New(rand.Text()) }

// Node returns the node of that name, nil when there is none.
func (p *Pair) Node(name string) *Node {
	for _, n := range p.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Actions describes the pair to the domain.
func (p *Pair) Actions() actions.Pair {
	described := actions.Pair{
		Name: p.Name, Database: p.Database, SSLMode: "disable", User: AppRole,
		AfterSwitchover: actions.Block, AfterFailover: actions.Degrade,
	}
	for i, n := range p.Nodes {
		described.Nodes[i] = actions.Node{
			Name: n.Name, Site: n.Name, Host: host, Port: uint16(n.Port), Slot: n.Slot(), Source: host,
		}
	}
	return described
}

// AppURL is the application's connection string, with its password: whichever node takes writes.
func (p *Pair) AppURL() string {
	hosts := []string{p.Nodes[0].address(), p.Nodes[1].address()}
	return p.url(AppRole, p.AppPassword, strings.Join(hosts, ","), p.Database, "&target_session_attrs=read-write")
}

// BotURL is the bot's connection string for this node, with its password.
func (n *Node) BotURL(database string) string {
	return n.pair.url(pairsql.BotRole, n.pair.BotPassword, n.address(), database, "")
}

// AdminURL is a superuser's connection string for this node, with its password.
func (n *Node) AdminURL(database string) string {
	return n.pair.url(local.Superuser, n.pair.AdminPassword, n.address(), database, "")
}

func (n *Node) address() string { return host + ":" + strconv.Itoa(n.Port) }

func (p *Pair) url(role string, password secret.Text, hosts, database, more string) string {
	return "postgresql://" + url.UserPassword(role, password.Reveal()).String() + "@" + hosts + "/" + database +
		"?sslmode=disable&connect_timeout=2" + more
}

// Close ends both servers, whoever started them and whatever state they are in, and removes the folder.
func (p *Pair) Close() error {
	problems := []error{p.Stop()}
	problems = append(problems, os.RemoveAll(p.Dir))
	return errors.Join(problems...)
}

// Stop ends both servers and lets the ports go, but keeps the folder.
func (p *Pair) Stop() error {
	var problems []error
	for _, n := range p.Nodes {
		if n != nil {
			problems = append(problems, n.Server.End(context.Background(), patience))
		}
	}
	for _, held := range p.held {
		held.release()
	}
	p.held = nil
	return errors.Join(problems...)
}
