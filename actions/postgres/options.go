package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"twokey/actions"
	"twokey/secret"
	"twokey/sql"
)

// DialFunc opens a network connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how the bot reaches one node.
type Options struct {
	Node actions.Node

	// Host and Port are where the bot connects to, when that isn't where the
	// clients do. A Host with a leading slash is a folder of Unix sockets.
	Host string
	Port uint16

	Database    string   // the bot's own; "" means sql.BotDatabase
	AppDatabase string   // the application's, for test rows and comparisons; may be empty
	Schemas     []string // of the application, compared by Fingerprint; none means public

	User     string      // "" means sql.BotRole
	Password secret.Text // none: from PassFile, or no password login at all
	PassFile string      // in libpq's format; read anew for each connection

	// SSLMode is libpq's; "" means verify-full, never less by default.
	SSLMode  string
	RootCert string // file with the CA certificates, or "system"
	Cert     string // client certificate and key, files
	Key      string

	Timeouts actions.Timeouts // zero values mean actions.DefaultTimeouts

	Dial DialFunc         // nil means TCP with short keepalives
	Now  func() time.Time // nil means time.Now
}

// Node is one server. It is safe for concurrent use; Close ends its sessions.
type Node struct {
	opt Options

	mu       sync.Mutex
	idle     *session // kept for the next look
	closed   bool
	unlogged actions.Unlogged

	ending sync.WaitGroup // connections that are being closed
	hurry  chan struct{}  // closed when that must take no longer
}

var (
	_ actions.Database = (*Node)(nil)
	_ actions.Session  = (*lock)(nil)
)

// New checks the options. It connects to nothing: that happens on first use.
func New(opt Options) (*Node, error) {
	fill(&opt)
	switch {
	case opt.Node.Name == "":
		return nil, errors.New("a node needs a name")
	case opt.Host == "" || opt.Port == 0:
		return nil, fmt.Errorf("node %s needs a host and a port to connect to", opt.Node.Name)
	case strings.Contains(opt.Host, ","):
		return nil, fmt.Errorf("node %s: host %q is a list, it must be one server", opt.Node.Name, opt.Host)
	}
	n := &Node{opt: opt, hurry: make(chan struct{})}
	if _, err := n.config(opt.Database, 0); err != nil {
		return nil, fmt.Errorf("node %s: %w", opt.Node.Name, err)
	}
	return n, nil
}

func fill(o *Options) {
	orElse(&o.Host, o.Node.Host)
	orElse(&o.Port, o.Node.Port)
	orElse(&o.Database, sql.BotDatabase)
	orElse(&o.User, sql.BotRole)
	orElse(&o.SSLMode, "verify-full")
	if len(o.Schemas) == 0 {
		o.Schemas = []string{"public"}
	}
	def := actions.DefaultTimeouts()
	orElse(&o.Timeouts.Observe, def.Observe)
	orElse(&o.Timeouts.Effect, def.Effect)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = dialer().DialContext
	}
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// dialer finds out within some 11 s that the other end is gone.
func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount,
	}}
}

const (
	keepIdle     = 5 * time.Second
	keepInterval = 2 * time.Second
	keepCount    = 3
)

// closeGrace is how long connections may take to end in good order.
const closeGrace = time.Second

// Close ends the kept session and waits until every connection that was given
// up is really closed; what takes longer than a moment is cut. Sessions of
// Lock are their holder's to close, before this.
func (n *Node) Close() {
	n.mu.Lock()
	idle, again := n.idle, n.closed
	n.idle, n.closed = nil, true
	n.mu.Unlock()
	if again {
		n.ending.Wait()
		return
	}
	if idle != nil {
		n.end(idle.conn)
	}
	timer := time.AfterFunc(closeGrace, func() { close(n.hurry) })
	defer timer.Stop()
	n.ending.Wait()
}
