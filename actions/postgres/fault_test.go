package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"twokey/actions"
	"twokey/actions/local/sandbox"
	"twokey/actions/postgres"
	"twokey/secret"
)

const planted = "hunter2-planted"

var errRefused = syscall.ECONNREFUSED

// to makes a node that connects to a listener served by serve.
func to(t *testing.T, serve func(net.Conn), change ...func(*postgres.Options)) *postgres.Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	opt := postgres.Options{
		Node:     actions.Node{Name: "dc1", Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)},
		Password: secret.New(planted), SSLMode: "disable",
		Timeouts: actions.Timeouts{Observe: 300 * time.Millisecond},
	}
	for _, c := range change {
		c(&opt)
	}
	n, err := postgres.New(opt)
	must(t, err)
	t.Cleanup(n.Close)
	return n
}

// says answers the startup message with an error of that state.
func says(code, message string) func(net.Conn) {
	return func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
		b.Flush()
	}
}

// answers lets anybody in, and answers every query with the given document.
func answers(document string) func(net.Conn) {
	return func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		for b.Flush() == nil {
			m, err := b.Receive()
			if err != nil {
				return
			}
			switch m.(type) {
			case *pgproto3.Parse:
				b.Send(&pgproto3.ParseComplete{})
			case *pgproto3.Describe:
				b.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{1009, 1009, 25, 16}})
				b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("d"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}})
			case *pgproto3.Bind:
				b.Send(&pgproto3.BindComplete{})
			case *pgproto3.Execute:
				b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(document)}})
				b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
			case *pgproto3.Sync:
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			}
		}
	}
}

func drain(c net.Conn) {
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func TestEveryFailureHasItsClassAndNoSecret(t *testing.T) {
	t.Parallel()
	withTLS := func(o *postgres.Options) { o.SSLMode = "require" }
	refuse := func(o *postgres.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errRefused)}
		}
	}
	unknownHost := func(o *postgres.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "db.invalid", IsNotFound: true}
		}
	}
	for _, c := range []struct {
		what   string
		serve  func(net.Conn)
		change func(*postgres.Options)
		want   actions.Reach
	}{
		{"nobody listens", nil, refuse, actions.Unreachable},
		{"the host has no address", nil, unknownHost, actions.Unreachable},
		{"it takes the connection and ends it", func(net.Conn) {}, nil, actions.Unreachable},
		{"it takes the connection and says nothing", drain, nil, actions.Silent},
		{"it says nothing to a request for TLS", drain, withTLS, actions.Silent},
		{"it is starting up", says("57P03", "the database system is starting up"), nil, actions.Starting},
		{"it is shutting down", says("57P03", "the database system is shutting down"), nil, actions.Starting},
		{"it ends our session to shut down", says("57P01", "terminating connection due to administrator command"), nil, actions.Starting},
		{"a process of it crashed", says("57P02", "terminating connection because of crash of another server process"), nil, actions.Starting},
		{"the password is wrong", says("28P01", "password authentication failed"), nil, actions.Denied},
		{"pg_hba has no line for us", says("28000", "no pg_hba.conf entry"), nil, actions.Denied},
		{"the bot's database isn't there", says("3D000", `database "twokey" does not exist`), nil, actions.Denied},
		{"it has no connection left for us", says("53300", "sorry, too many clients already"), nil, actions.Denied},
		{"it has no TLS", func(c net.Conn) { c.Read(make([]byte, 8)); c.Write([]byte("N")) }, withTLS, actions.Denied},
		{"it says that something broke inside", says("XX000", "oops"), nil, actions.Garbled},
		{"it is a web server", func(c net.Conn) { c.Read(make([]byte, 8)); c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, nil, actions.Garbled},
		{"its document is none", answers("[1, 2"), nil, actions.Garbled},
		{"its document is of another shape", answers(`{"timeline": "one"}`), nil, actions.Garbled},
		{"its document has a position that is none", answers(`{"flush_lsn": "0-1"}`), nil, actions.Garbled},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			serve := c.serve
			if serve == nil {
				serve = func(net.Conn) {}
			}
			change := func(o *postgres.Options) {
				if c.change != nil {
					c.change(o)
				}
			}
			o := to(t, serve, change).Observe(t.Context())
			if o.Server != nil || o.Failure == nil || o.Failure.Reach != c.want {
				t.Fatalf("%+v, want %s", o.Failure, c.want)
			}
			if o.Failure.Text == "" || strings.Contains(o.Failure.Text, planted) {
				t.Errorf("the text is %q", o.Failure.Text)
			}
			if o.Node != "dc1" || o.At.IsZero() {
				t.Errorf("the observation is %+v", o)
			}
		})
	}
}

func TestAnswerWithinTheDeadlineIsTakenOneAfterIsNot(t *testing.T) {
	t.Parallel()
	n := to(t, answers(`{"system_id": "1"}`))
	if o := n.Observe(t.Context()); o.Server == nil || o.Server.SystemID != "1" {
		t.Errorf("%+v", o.Failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := n.Observe(ctx); o.Failure == nil || o.Failure.Reach != actions.Silent {
		t.Errorf("with no time at all: %+v", o)
	}
}

func TestStoppedServerIsSilentAndTheNextLookSeesItAgain(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	server(t, p.a)
	must(t, p.Nodes[0].Server.Freeze(t.Context()))
	o := p.a.Observe(timeout(t, 300*time.Millisecond))
	must(t, p.Nodes[0].Server.Thaw(t.Context()))
	if o.Failure == nil || o.Failure.Reach != actions.Silent {
		t.Errorf("%+v", o.Failure)
	}
	eventually(t, "it answers again", func() bool { return p.a.Observe(t.Context()).Server != nil })
}

// cut is a connection that can be cut, with what was asked last still sent.
type cut struct {
	net.Conn
	after func(written int) bool
}

func (c *cut) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil && c.after(n) {
		c.Conn.Close()
	}
	return n, err
}

// A connection that breaks right after the statement left: it may have been
// carried out, and must be reported so.
func TestEffectWithoutAnAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	armed := false
	dialer := &net.Dialer{}
	p := newBundle(t, nil)
	n := p.node(t, 0, func(o *postgres.Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			writes := 0
			return &cut{Conn: c, after: func(int) bool {
				mu.Lock()
				defer mu.Unlock()
				writes++
				return armed && writes == 4 // startup and two of the login come first
			}}, nil
		}
	})
	mu.Lock()
	armed = true
	mu.Unlock()
	if err := n.SetSyncNames(t.Context(), "dc2"); !isUncertain(err) {
		t.Errorf("names: %v", err)
	}
	if err := n.ProbeWrite(t.Context()); !isUncertain(err) {
		t.Errorf("probe: %v", err)
	}
	if err := n.Checkpoint(t.Context()); err == nil || isUncertain(err) {
		t.Errorf("a checkpoint, which may be asked for again: %v", err)
	}
	refused := p.node(t, 0, func(o *postgres.Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }
	})
	for what, err := range map[string]error{
		"names": refused.SetSyncNames(t.Context(), "dc2"), "probe": refused.ProbeWrite(t.Context()),
		"slot": refused.EnsureSlot(t.Context(), "twokey_x"),
	} {
		if err == nil || isUncertain(err) || !errors.Is(err, errRefused) {
			t.Errorf("%s over no connection at all: %v", what, err)
		}
	}
}

func TestClosedNodeAsksNothing(t *testing.T) {
	t.Parallel()
	n := to(t, answers("{}"))
	n.Close()
	n.Close()
	if o := n.Observe(t.Context()); o.Failure == nil {
		t.Errorf("%+v", o)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	good := postgres.Options{Node: actions.Node{Name: "dc1", Host: "h", Port: 5432}, SSLMode: "disable"}
	for what, change := range map[string]func(*postgres.Options){
		"no name":                        func(o *postgres.Options) { o.Node.Name = "" },
		"no host":                        func(o *postgres.Options) { o.Node.Host = "" },
		"no port":                        func(o *postgres.Options) { o.Node.Port = 0 },
		"two hosts":                      func(o *postgres.Options) { o.Host = "a,b" },
		"an sslmode that isn't one":      func(o *postgres.Options) { o.SSLMode = "yes" },
		"a certificate that isn't there": func(o *postgres.Options) { o.SSLMode, o.RootCert = "verify-full", "/nonexistent/ca" },
		"a passfile that isn't there":    func(o *postgres.Options) { o.PassFile = "/nonexistent/pass" },
	} {
		o := good
		o.Password = secret.New(planted)
		change(&o)
		if _, err := postgres.New(o); err == nil || strings.Contains(fmt.Sprintf("%v %#v", err, err), planted) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := postgres.New(good); err != nil {
		t.Error(err)
	}
}

func TestPasswordFileIsReadAnewForEachConnection(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	file := filepath.Join(t.TempDir(), "pass")
	write := func(password string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte("127.0.0.1:*:*:twokey_bot:"+password+"\n"), 0o600))
	}
	write("wrong")
	n := p.node(t, 0, func(o *postgres.Options) { o.Password, o.PassFile = secret.Text{}, file })
	if o := n.Observe(t.Context()); o.Failure == nil || o.Failure.Reach != actions.Denied {
		t.Errorf("with the wrong password: %+v", o)
	}
	write(p.BotPassword.Reveal())
	server(t, n)
}

func TestTLSIsVerifiedUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	dir, ca := certificate(t)
	_, otherCA := certificate(t)
	p, err := sandbox.New(t.Context(), sandbox.Options{Memory: true})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	b := &bundle{Pair: p}
	node := p.Nodes[0]
	for _, f := range []string{"server.crt", "server.key"} {
		raw, err := os.ReadFile(filepath.Join(dir, f))
		must(t, err)
		must(t, node.Server.User.WriteFile(filepath.Join(node.Dir, f), raw, 0o600))
	}
	b.admin(t, 0, "postgres", "ALTER SYSTEM SET ssl_cert_file = '"+node.Dir+"/server.crt'", "ALTER SYSTEM SET ssl_key_file = '"+node.Dir+"/server.key'",
		"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
	verified := b.node(t, 0, func(o *postgres.Options) { o.SSLMode, o.RootCert = "", ca })
	eventually(t, "the server speaks TLS", func() bool { return verified.Observe(t.Context()).Server != nil })
	admin := b.adminConn(t, 0, "postgres")
	if !ask[bool](t, admin, "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'twokey_bot'") {
		t.Error("a session runs without TLS")
	}
	for what, change := range map[string]func(*postgres.Options){
		"another authority": func(o *postgres.Options) { o.SSLMode, o.RootCert = "", otherCA },
		"another host name": func(o *postgres.Options) { o.SSLMode, o.RootCert, o.Host = "", ca, "localhost" },
	} {
		if o := b.node(t, 0, change).Observe(t.Context()); o.Failure == nil || o.Failure.Reach != actions.Denied {
			t.Errorf("%s: %+v", what, o.Failure)
		}
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 into a folder, and
// gives the file to trust.
func certificate(t *testing.T) (dir, ca string) {
	t.Helper()
	dir = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "twokey test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: raw}} {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir, filepath.Join(dir, "server.crt")
}

// A server that hangs in the middle of a statement doesn't hold up the end.
func TestCloseIsPromptWhateverTheServerDoes(t *testing.T) {
	t.Parallel()
	p := newBundle(t, nil)
	n := p.node(t, 0)
	server(t, n)
	must(t, p.Nodes[0].Server.Freeze(t.Context()))
	o := n.Observe(timeout(t, 200*time.Millisecond))
	closed := make(chan struct{})
	go func() {
		n.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(12 * time.Second): // the driver alone would take 15 s
		t.Error("closing takes as long as the server hangs")
	}
	must(t, p.Nodes[0].Server.Thaw(t.Context()))
	<-closed
	if o.Failure == nil {
		t.Error("a server that was stopped has answered")
	}
}
