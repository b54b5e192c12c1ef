package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const host = "127.0.0.1"

// Proxy forwards connections to one port of this machine.
type Proxy struct {
	listener net.Listener
	target   string
	done     sync.WaitGroup

	mu      sync.Mutex
	rule    Rule
	changed chan struct{} // closed when another rule is set, or the proxy
	closed  bool
	links   map[*link]struct{}
}

// New listens on a free port and forwards to the target port, of 127.0.0.1 both.
// The caller must call [Proxy.Close].
func New(ctx context.Context, target int) (*Proxy, error) {
	var cfg net.ListenConfig
	l, err := cfg.Listen(ctx, "tcp4", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("proxy for port %d: %w", target, err)
	}
	p := &Proxy{
		listener: l, target: net.JoinHostPort(host, fmt.Sprint(target)),
		changed: make(chan struct{}), links: map[*link]struct{}{},
	}
	p.done.Go(p.accept)
	return p, nil
}

// Port is where clients connect to.
func (p *Proxy) Port() int {
	addr, _ := p.listener.Addr().(*net.TCPAddr)
	return addr.Port
}

// Set replaces the rule, for open connections and new ones alike.
func (p *Proxy) Set(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.rule = r
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		l.down.sent = 0
		if r.Cut {
			l.reset()
		}
	}
}

// Close ends every connection and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	if !p.end() {
		return nil
	}
	err := p.listener.Close()
	p.done.Wait()
	return err
}

// end resets every connection; false means that it was closed before.
func (p *Proxy) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.closed = true
	close(p.changed)
	for l := range p.links {
		l.reset()
	}
	return true
}

// Open is how many connections there are.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // it was closed
		}
		p.done.Go(func() { p.serve(c) })
	}
}

// serve forwards one client's connection until either side ends it.
func (p *Proxy) serve(client net.Conn) {
	l := &link{client: client}
	if !p.enter(l) {
		abort(client)
		return
	}
	defer p.leave(l)
	dialer := net.Dialer{Timeout: 5 * time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp4", p.target)
	if err != nil {
		return // nobody listens there: leaving resets the client, too
	}
	if !p.join(l, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, &l.up, client, server, func(r Rule) bool { return r.HoldUp }) })
	both.Go(func() { p.pump(l, &l.down, server, client, func(r Rule) bool { return r.HoldDown }) })
	both.Wait()
}

func (p *Proxy) enter(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.rule.Cut {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// join adds the server's side, unless the link was reset while it was dialed.
func (p *Proxy) join(l *link, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.server = server
	if l.broken {
		abort(server)
	}
	return !l.broken
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.reset()
	delete(p.links, l)
}

// pump copies one direction, as the rule of each moment says.
func (p *Proxy) pump(l *link, f *flow, from, to net.Conn, holds func(Rule) bool) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.pass(l, f, to, buf[:n], holds) {
			return
		}
		if err != nil {
			p.finish(l, to, holds, err)
			return
		}
	}
}

// finish hands on how a direction ended: in good order or not, and not before
// the rule lets it through.
func (p *Proxy) finish(l *link, to net.Conn, holds func(Rule) bool, err error) {
	if _, ok := p.await(l, holds); !ok {
		return
	}
	half, ok := to.(*net.TCPConn)
	if errors.Is(err, io.EOF) && ok && half.CloseWrite() == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.reset()
}

// pass hands one piece on; false means that the link is reset.
func (p *Proxy) pass(l *link, f *flow, to net.Conn, piece []byte, holds func(Rule) bool) bool {
	rule, ok := p.await(l, holds)
	if !ok || !p.delay(rule.Delay) {
		return false
	}
	cut := false
	if rule.ResetAfter > 0 && f == &l.down {
		piece, cut = p.shorten(f, piece, rule.ResetAfter)
	}
	_, err := to.Write(piece)
	if err == nil && !cut {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.reset()
	return false
}

// shorten gives what may still be sent of a piece, and whether that is the end.
func (p *Proxy) shorten(f *flow, piece []byte, most int) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := max(0, most-f.sent)
	if len(piece) < room {
		f.sent += len(piece)
		return piece, false
	}
	return piece[:room], true
}

// await returns the rule once it lets this direction through.
func (p *Proxy) await(l *link, holds func(Rule) bool) (Rule, bool) {
	for {
		p.mu.Lock()
		rule, changed, closed := p.rule, p.changed, p.closed || l.broken
		p.mu.Unlock()
		if closed {
			return rule, false
		}
		if !holds(rule) {
			return rule, true
		}
		<-changed
	}
}

// delay waits; a new rule ends the wait.
func (p *Proxy) delay(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	p.mu.Lock()
	changed, closed := p.changed, p.closed
	p.mu.Unlock()
	if closed {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	}
	return true
}

// link is one client's connection and the one to the server.
type link struct {
	client, server net.Conn
	up, down       flow
	broken         bool
}

// flow is one direction of a link.
type flow struct{ sent int } // bytes since the rule was set

// reset breaks both sides; the proxy's lock is held.
func (l *link) reset() {
	if l.broken {
		return
	}
	l.broken = true
	abort(l.client)
	if l.server != nil {
		abort(l.server)
	}
}

// abort closes with a reset instead of an end in good order.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be gone already
	}
	_ = c.Close()
}
