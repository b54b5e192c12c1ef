package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const maxMessage = 64 << 20 // bytes; a longer one is no answer of a server that we asked

var errClosed = errors.New("this node's connections were closed")

// config is made anew for each connection, so that a rotated password or
// certificate is seen. timeout becomes the server's own statement_timeout; 0
// leaves the server's setting.
func (n *Node) config(database string, timeout time.Duration) (*pgx.ConnConfig, error) {
	if n.opt.PassFile != "" {
		if _, err := os.Stat(n.opt.PassFile); err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
	}
	cfg, err := pgx.ParseConfig(n.keywords(database))
	if err != nil {
		return nil, fmt.Errorf("connection settings: %w", err) // without a password: none is in there
	}
	if p := n.opt.Password.Reveal(); p != "" {
		cfg.Password = p
	}
	cfg.MaxProtocolMessageBodyLen = maxMessage
	// Nothing of the environment may steer a session: the parameters are these.
	cfg.RuntimeParams = map[string]string{
		"application_name":     "twokey",
		"search_path":          "pg_catalog",
		"client_min_messages":  "warning",
		"client_encoding":      "UTF8",
		"TimeZone":             "UTC",
		"DateStyle":            "ISO",
		"jit":                  "off",
		"plan_cache_mode":      "force_generic_plan",
		"idle_session_timeout": "0",
		"tcp_keepalives_idle":  seconds(keepIdle), "tcp_keepalives_interval": seconds(keepInterval),
		"tcp_keepalives_count": strconv.Itoa(keepCount),
	}
	if timeout > 0 {
		cfg.RuntimeParams["statement_timeout"] = milliseconds(timeout)
		cfg.RuntimeParams["lock_timeout"] = milliseconds(timeout)
		cfg.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(timeout)
	}
	return cfg, nil
}

// keywords names every setting that the environment could otherwise fill in.
func (n *Node) keywords(database string) string {
	passfile := n.opt.PassFile
	if passfile == "" {
		passfile = os.DevNull
	}
	var b strings.Builder
	for _, kv := range [][2]string{
		{"host", n.opt.Host}, {"port", strconv.Itoa(int(n.opt.Port))}, {"dbname", database}, {"user", n.opt.User},
		{"sslmode", n.opt.SSLMode}, {"sslrootcert", n.opt.RootCert}, {"sslcert", n.opt.Cert}, {"sslkey", n.opt.Key},
		{"sslpassword", ""}, {"sslsni", "1"}, {"sslcertmode", "allow"}, {"sslnegotiation", "postgres"},
		{"password", ""}, {"passfile", passfile}, {"channel_binding", "prefer"}, {"require_auth", ""},
		{"target_session_attrs", "any"}, {"connect_timeout", "0"},
		{"min_protocol_version", "3.0"}, {"max_protocol_version", "3.0"},
	} {
		fmt.Fprintf(&b, "%s='%s' ", kv[0], strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(kv[1]))
	}
	return b.String()
}

func seconds(d time.Duration) string      { return strconv.Itoa(int(d / time.Second)) }
func milliseconds(d time.Duration) string { return strconv.Itoa(int(max(1, d.Milliseconds()))) }

// connect opens a connection whose statements the server itself ends after timeout.
// warned, where given, is set when the server sends a warning.
func (n *Node) connect(ctx context.Context, database string, timeout time.Duration, warned ...*atomic.Bool) (*pgx.Conn, error) {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	cfg, err := n.config(database, timeout)
	if err != nil {
		return nil, err
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		for _, w := range warned {
			w.Store(w.Load() || notice.SeverityUnlocalized == "WARNING")
		}
	}
	l := newLine(n.opt.Dial)
	cfg.DialFunc = l.connect
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		l.cut()
		if l.refused.Load() && cfg.TLSConfig != nil {
			err = errors.Join(errNoTLS, err)
		}
		return nil, err
	}
	c.PgConn().CustomData()[lineKey] = l
	return c, nil
}

const lineKey = "twokey line"

// end closes a connection without making anybody wait for it; Close does.
// After a broken call the driver first tries to cancel the statement, in the
// background and for long when nobody answers; Close cuts that short.
func (n *Node) end(c *pgx.Conn) {
	l, ours := c.PgConn().CustomData()[lineKey].(*line)
	if !ours {
		panic("a connection that connect didn't make")
	}
	n.ending.Go(func() {
		defer l.cut()
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		c.Close(ctx)
		select {
		case <-c.PgConn().CleanupDone():
		case <-n.hurry:
			l.cut()
			<-c.PgConn().CleanupDone()
		}
	})
}

// work runs do on a connection of its own, bounded on both sides by ctx.
func (n *Node) work(ctx context.Context, database string, do func(*pgx.Conn) error, warned ...*atomic.Bool) error {
	c, err := n.connect(ctx, database, remaining(ctx, n.opt.Timeouts.Effect), warned...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", n.opt.Node.Name, err)
	}
	defer n.end(c)
	return do(c)
}

// remaining is the time left until the deadline of ctx, or def without one.
func remaining(ctx context.Context, def time.Duration) time.Duration {
	if t, ok := ctx.Deadline(); ok {
		return max(time.Until(t), time.Millisecond)
	}
	return def
}
