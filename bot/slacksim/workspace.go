package slacksim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrClosed is returned by everything that was still waiting at Close.
var ErrClosed = errors.New("the simulated workspace is closed")

// Workspace is one simulated Slack workspace with one app installed. It is safe
// for use by many goroutines. Close it, also when it was never started.
type Workspace struct {
	opt     Options
	client  *http.Client // to the app
	handler http.Handler
	methods map[string]method
	done    chan struct{} // closed by Close
	owned   sync.WaitGroup
	context context.Context // of everything the workspace does by itself
	cancel  context.CancelFunc

	mu         sync.Mutex
	st         state
	changed    chan struct{} // closed and replaced at every change
	base       string        // where this workspace is reached, without trailing slash
	requestURL string
	lastTS     int64 // microseconds
	ids        uint64
	triggers   map[string]*trigger
	urls       map[string]*responseURL
	pruneAt    int // how many triggers and URLs make it worth to look for old ones
	failures   map[string]*Failure
	buckets    map[string]*bucket
	uploads    map[string]*upload
	sockets    sockets
	server     *http.Server
	closed     bool
}

// New makes a workspace. It starts no goroutine and opens no port by itself.
func New(opt Options) *Workspace {
	opt = opt.withDefaults()
	w := &Workspace{
		opt: opt, done: make(chan struct{}), changed: make(chan struct{}), st: newState(),
		client: appClient(), methods: methods(),
		requestURL: strings.TrimRight(opt.RequestURL, "/"),
		triggers:   map[string]*trigger{}, urls: map[string]*responseURL{}, failures: map[string]*Failure{},
		buckets: map[string]*bucket{}, uploads: map[string]*upload{}, sockets: newSockets(),
	}
	w.context, w.cancel = context.WithCancel(context.Background())
	w.handler = w.routes()
	w.furnish()
	return w
}

func (w *Workspace) furnish() {
	for _, a := range w.opt.Accounts {
		w.SetAccount(a)
	}
	for _, c := range w.opt.Channels {
		w.SetChannel(c)
	}
	for _, g := range w.opt.Groups {
		w.SetGroup(g)
	}
}

// appClient reaches the app the way Slack does: directly, without following
// redirects, and with connections of its own that Close can end.
func appClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Team is the workspace's id. It and the next three are what the app is configured with.
func (w *Workspace) Team() string { return w.opt.Team }

// BotToken is what the app's calls of the Web API carry.
func (w *Workspace) BotToken() string { return w.opt.BotToken }

// AppToken is what opens Socket Mode.
func (w *Workspace) AppToken() string { return w.opt.AppToken }

// SigningSecret is what deliveries to the app are signed with.
func (w *Workspace) SigningSecret() string { return w.opt.SigningSecret }

// Handler serves the Web API under /api/, response URLs, files, Socket Mode and
// the web page under /. A server other than Start's must call SetBaseURL.
func (w *Workspace) Handler() http.Handler { return w.handler }

// APIURL is where a Slack client must be pointed at: base + "/api/".
func (w *Workspace) APIURL(base string) string { return strings.TrimRight(base, "/") + "/api/" }

// SetBaseURL says where Handler is reached, for response URLs and permalinks.
func (w *Workspace) SetBaseURL(base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base = strings.TrimRight(base, "/")
}

// SetRequestURL says where the app is reached (see Options.RequestURL).
func (w *Workspace) SetRequestURL(base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requestURL = strings.TrimRight(base, "/")
}

// Start serves the workspace on a free port of the loopback interface until
// Close, or until ctx ends. It returns the address, without a trailing slash.
func (w *Workspace) Start(ctx context.Context) (baseURL string, err error) {
	return w.Listen(ctx, "127.0.0.1:0")
}

// Listen is Start on a given address.
func (w *Workspace) Listen(ctx context.Context, address string) (baseURL string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("simulated workspace: listen on %s: %w", address, err)
	}
	baseURL = "http://" + l.Addr().String()
	server := &http.Server{Handler: w.handler, ReadHeaderTimeout: 10 * time.Second}
	if err := w.adopt(server, baseURL); err != nil {
		return "", errors.Join(err, l.Close())
	}
	w.spawn(func(context.Context) { w.serve(server, l) })
	stop := context.AfterFunc(ctx, func() { w.cancel() })
	w.spawn(func(own context.Context) { <-own.Done(); stop(); w.shut() })
	return baseURL, nil
}

func (w *Workspace) adopt(server *http.Server, baseURL string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ErrClosed
	case w.server != nil:
		return errors.New("simulated workspace: already started")
	}
	w.server, w.base = server, baseURL
	return nil
}

func (w *Workspace) serve(server *http.Server, l net.Listener) {
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		w.opt.Log.Error("simulated workspace stopped serving", "error", err)
	}
}

// spawn runs do in a goroutine that Close waits for; after Close it does nothing.
func (w *Workspace) spawn(do func(ctx context.Context)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.owned.Go(func() { do(w.context) })
}

// Close stops serving, ends deliveries and Socket Mode connections, and returns
// when every goroutine of the workspace has ended. Closing twice is harmless.
func (w *Workspace) Close() error {
	w.shut()
	w.owned.Wait()
	return nil
}

func (w *Workspace) shut() {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	server := w.server
	w.mu.Unlock()
	if already {
		return
	}
	w.cancel()
	close(w.done)
	if server != nil {
		stop(server)
	}
	w.client.CloseIdleConnections()
}

// stop lets handlers finish (they watch done), then cuts what is left. Its only
// error would be the listener's, which is closed either way.
func stop(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// tsLocked makes the next timestamp id: seconds.microseconds, never the same twice.
func (w *Workspace) tsLocked() string {
	now := w.opt.Now().UnixMicro()
	w.lastTS = max(w.lastTS+1, now)
	return fmt.Sprintf("%d.%06d", w.lastTS/1e6, w.lastTS%1e6)
}

// idLocked makes an id in Slack's look: a letter for the kind, then capitals.
func (w *Workspace) idLocked(kind string) string {
	w.ids++
	return fmt.Sprintf("%s0%09X", kind, w.ids)
}

func (w *Workspace) newID(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.idLocked(kind)
}

func (w *Workspace) newTS() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tsLocked()
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
