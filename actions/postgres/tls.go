package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// errNoTLS is why a connection fails whose server has no TLS.
var errNoTLS = errors.New("the server speaks no TLS")

// watchTLS notes that the server's first byte was its refusal of TLS. The
// driver's own error for that has no type, and errors aren't told by text.
func watchTLS(dial DialFunc, refused *atomic.Bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &firstByte{Conn: c, refused: refused}, nil
	}
}

type firstByte struct {
	net.Conn
	refused *atomic.Bool
	seen    bool // reads of one connection follow one another
}

func (f *firstByte) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if n > 0 && !f.seen {
		f.seen = true
		f.refused.Store(b[0] == 'N')
	}
	return n, err
}
