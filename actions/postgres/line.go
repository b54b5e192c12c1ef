package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// errNoTLS is why a connection fails whose server has no TLS.
var errNoTLS = errors.New("the server speaks no TLS")

// line is what one database connection does on the network: its own
// connection, and those that the driver opens to cancel a statement in it.
type line struct {
	dial    DialFunc
	life    context.Context // ends when the line is cut
	cut     context.CancelFunc
	refused atomic.Bool // the server's first byte was its refusal of TLS
}

func newLine(dial DialFunc) *line {
	l := &line{dial: dial}
	l.life, l.cut = context.WithCancel(context.Background())
	return l
}

// connect is the driver's DialFunc.
func (l *line) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	c, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, line: l, release: context.AfterFunc(l.life, func() { c.Close() })}, nil
}

// wire notes a refusal of TLS, for the driver's own error for that has no type,
// and errors aren't told by text.
type wire struct {
	net.Conn
	line    *line
	release func() bool
	seen    bool // reads of one connection follow one another
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && !w.seen {
		w.seen = true
		w.line.refused.Store(b[0] == 'N')
	}
	return n, err
}

func (w *wire) Close() error {
	w.release()
	return w.Conn.Close()
}
