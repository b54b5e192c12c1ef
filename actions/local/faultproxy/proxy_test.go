package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twokey/actions/local/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an echo server behind a proxy, and one client of it.
type bench struct {
	t      *testing.T
	proxy  *faultproxy.Proxy
	client net.Conn
	lines  *bufio.Reader
}

func newBench(t *testing.T) *bench {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	b := &bench{t: t}
	b.must(err)
	served := make(chan struct{})
	go func() { defer close(served); echo(l) }()
	t.Cleanup(func() { _ = l.Close(); <-served })
	addr, _ := l.Addr().(*net.TCPAddr)
	b.proxy, err = faultproxy.New(t.Context(), addr.Port)
	b.must(err)
	t.Cleanup(func() { b.must(b.proxy.Close()) })
	b.connect()
	return b
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			_, _ = io.Copy(c, c) // ends with the client
		}()
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) connect() {
	b.t.Helper()
	c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", port(b.proxy)))
	b.must(err)
	b.t.Cleanup(func() { _ = c.Close() })
	b.client, b.lines = c, bufio.NewReader(c)
}

func port(p *faultproxy.Proxy) string {
	return strings.TrimPrefix((&net.TCPAddr{Port: p.Port()}).String(), ":")
}

func (b *bench) send(text string) {
	b.t.Helper()
	_, err := io.WriteString(b.client, text+"\n")
	b.must(err)
}

// hears reads one line within the time.
func (b *bench) hears(within time.Duration) (string, error) {
	b.must(b.client.SetReadDeadline(time.Now().Add(within)))
	line, err := b.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

const (
	soon    = 10 * time.Second
	silence = 50 * time.Millisecond
)

func (b *bench) echoes(text string) {
	b.t.Helper()
	b.send(text)
	if got, err := b.hears(soon); err != nil || got != text {
		b.t.Fatalf("sent %q, heard %q: %v", text, got, err)
	}
}

func (b *bench) silent() {
	b.t.Helper()
	if got, err := b.hears(silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		b.t.Fatalf("heard %q (%v) where nothing may come", got, err)
	}
}

func (b *bench) reset() {
	b.t.Helper()
	if got, err := b.hears(soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		b.t.Fatalf("heard %q (%v) instead of a reset", got, err)
	}
}

// refused expects a reset of a new connection, in the middle of connecting or after.
func (b *bench) refused() {
	b.t.Helper()
	c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", port(b.proxy)))
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	b.client, b.lines = c, bufio.NewReader(c)
	b.reset()
}

func TestPassesOnWhatIsSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.echoes("one")
	b.echoes(strings.Repeat("long ", 20_000))
	b.must(b.client.(*net.TCPConn).CloseWrite())
	if _, err := b.hears(soon); !errors.Is(err, io.EOF) {
		t.Errorf("the end in good order is not passed on: %v", err)
	}
}

func TestCutResetsOldConnectionsAndNewOnes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.echoes("one")
	b.proxy.Set(faultproxy.Cut())
	b.reset()
	b.refused()
	b.proxy.Set(faultproxy.Healed())
	b.connect()
	b.echoes("two")
}

func TestBlackHoleAcceptsAndSaysNothingUntilItHeals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.echoes("one")
	b.proxy.Set(faultproxy.Hole())
	b.send("two")
	b.silent()
	old, lines := b.client, b.lines
	b.connect()
	b.send("three")
	b.silent()
	b.proxy.Set(faultproxy.Healed())
	if got, err := b.hears(soon); got != "three" {
		t.Errorf("the new connection heard %q: %v", got, err)
	}
	b.client, b.lines = old, lines
	if got, err := b.hears(soon); got != "two" {
		t.Errorf("the old connection heard %q: %v", got, err)
	}
}

func TestOneWayKeepsTheAnswersBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.proxy.Set(faultproxy.OneWay())
	b.send("one")
	b.silent()
	b.proxy.Set(faultproxy.Rule{HoldUp: true}) // the answer to "one" may pass now; what is asked may not
	if got, err := b.hears(soon); got != "one" {
		t.Errorf("heard %q: %v", got, err)
	}
	b.send("two")
	b.silent()
}

func TestSlowDelaysEachWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.proxy.Set(faultproxy.Slow(30 * time.Millisecond))
	began := time.Now()
	b.echoes("one")
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
}

func TestResetInTheMiddleOfAMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.echoes("one")
	b.proxy.Set(faultproxy.MidMessage(6))
	b.send("0123456789")
	got := make([]byte, 16)
	b.must(b.client.SetReadDeadline(time.Now().Add(soon)))
	n, err := io.ReadFull(b.client, got)
	if n > 6 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes arrived (%v), at most 6 and a reset were due", n, err)
	}
	b.connect() // each connection passes so many bytes
	b.echoes("four")
}

func TestNobodyListensBehind(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	b := &bench{t: t}
	b.must(err)
	addr, _ := l.Addr().(*net.TCPAddr)
	b.must(l.Close())
	b.proxy, err = faultproxy.New(t.Context(), addr.Port)
	b.must(err)
	t.Cleanup(func() { b.must(b.proxy.Close()) })
	b.refused()
}

func TestCloseEndsHeldConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.proxy.Set(faultproxy.Hole())
	b.send("one")
	b.silent()
	b.must(b.proxy.Close())
	if n := b.proxy.Open(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	b.reset()
	b.proxy.Set(faultproxy.Healed()) // too late, and harmless
	if err := b.proxy.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
