package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Options say how one cluster is reached, and the namespace that the bot uses
// there. Kubeconfig or InCluster, and Namespace, are needed.
type Options struct {
	Kubeconfig string // file
	Context    string // of the file; its current one when empty
	InCluster  bool   // the bot is a pod there and uses its service account
	Namespace  string
	// Timeout ends one request that gets no answer; 5 s when 0.
	Timeout time.Duration
	// LongestWait caps what the API server asks for by Retry-After; 5 s when 0.
	LongestWait time.Duration
	// Pace is the least time between two readings of one server's power, so that
	// readings in a row are of different moments; 200 ms when 0.
	Pace time.Duration
}

// Site is the access to one cluster's namespace.
type Site struct {
	opt       Options
	who       string // how the cluster is reached, for words
	host      string
	transport *http.Transport
	limit     *rate.Limiter
	skew      atomic.Pointer[time.Duration]
	groups    map[schema.GroupVersion]*rest.RESTClient
}

// perSecond is far below what an API server takes, and above what a wait polls.
const perSecond = 100

// Open reads how the cluster is reached; it connects to nothing. A way that
// can't be trusted or that could hang is refused: no TLS, certificates that
// nobody checks, programs that are to be run for a login.
func Open(o Options) (*Site, error) {
	o.Timeout, o.LongestWait, o.Pace = either(o.Timeout, 5*time.Second), either(o.LongestWait, 5*time.Second), either(o.Pace, 200*time.Millisecond)
	s := &Site{opt: o, limit: rate.NewLimiter(perSecond, perSecond), groups: map[schema.GroupVersion]*rest.RESTClient{}}
	config, err := s.way()
	if err == nil {
		err = trustworthy(config)
	}
	if err == nil {
		err = s.connectTo(config)
	}
	if err != nil {
		return nil, fmt.Errorf("the way to Kubernetes (%s): %w", s.who, err)
	}
	return s, nil
}

func either[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// way is how the cluster is reached, as configured.
func (s *Site) way() (*rest.Config, error) {
	if s.opt.InCluster {
		s.who = "the service account of the bot's own pod"
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			err = errors.New("the bot doesn't run as a pod; give a kubeconfig instead of in_cluster")
		}
		return config, err
	}
	s.who = "kubeconfig " + s.opt.Kubeconfig
	if s.opt.Context != "" {
		s.who += ", context " + s.opt.Context
	}
	raw, err := (&clientcmd.ClientConfigLoadingRules{ExplicitPath: s.opt.Kubeconfig}).Load()
	if err != nil {
		return nil, fmt.Errorf("the file can't be read: %w", err)
	}
	if err := hasContext(raw, s.opt.Context); err != nil {
		return nil, err
	}
	return clientcmd.NewNonInteractiveClientConfig(*raw, s.opt.Context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
}

func hasContext(raw *clientcmdapi.Config, name string) error {
	known := strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", ")
	switch {
	case name == "" && raw.CurrentContext == "":
		return fmt.Errorf("the file has no current context; name one: %s", either(known, "it has none at all"))
	case raw.Contexts[either(name, raw.CurrentContext)] == nil:
		return fmt.Errorf("the file has no context %q; it has: %s", either(name, raw.CurrentContext), either(known, "none"))
	}
	return nil
}

// trustworthy refuses ways over which anybody could answer, and those on which
// a program or a person would be waited for.
func trustworthy(c *rest.Config) error {
	at, _, err := rest.DefaultServerUrlFor(c)
	switch {
	case err != nil:
		return fmt.Errorf("the server's address can't be used: %w", err)
	case at.Scheme != "https" && !loopback(at.Hostname()):
		return errors.New("the server's address is not https: anybody on the way could say that a server is off; give its https address")
	case c.Insecure:
		return errors.New("insecure-skip-tls-verify is set: anybody on the way could say that a server is off; give certificate-authority instead")
	case c.ExecProvider != nil || c.AuthProvider != nil:
		return errors.New("the user logs in by a program, which could hang or ask somebody; give a token, tokenFile or client certificate, best of a service account")
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// connectTo makes a transport of this site's own, so that it can be closed.
// HTTP/1.1 alone: a connection whose request was given up is closed with it,
// where one of HTTP/2 would be used again although nobody answers on it.
func (s *Site) connectTo(c *rest.Config) error {
	c.NextProtos = []string{"http/1.1"}
	config, err := rest.TLSConfigFor(c)
	if err != nil {
		return err
	}
	proxy := http.ProxyFromEnvironment
	if c.Proxy != nil {
		proxy = c.Proxy
	}
	s.transport = &http.Transport{
		Proxy: proxy, DialContext: (&net.Dialer{Timeout: s.opt.Timeout}).DialContext, TLSClientConfig: config,
		TLSHandshakeTimeout: s.opt.Timeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 8,
	}
	var below http.RoundTripper = clock{s}
	if c.BearerTokenFile != "" {
		below = fileToken{c.BearerTokenFile, below}
		c.BearerToken, c.BearerTokenFile = "", ""
	}
	wrapped, err := rest.HTTPWrappersForConfig(c, below)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     wrapped,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the login is for this address only
	}
	for _, gv := range versions {
		if err := s.group(c, gv, client); err != nil {
			return err
		}
	}
	return nil
}

// group makes the client of one API group.
func (s *Site) group(c *rest.Config, gv schema.GroupVersion, client *http.Client) error {
	c = rest.CopyConfig(c)
	c.GroupVersion, c.APIPath, c.NegotiatedSerializer = &gv, "/apis", codecs
	if gv.Group == "" {
		c.APIPath = "/api"
	}
	c.UserAgent, c.QPS, c.WarningHandler = "twokey", -1, rest.NoWarnings{}
	base, path, err := rest.DefaultServerUrlFor(c)
	if err != nil {
		return err
	}
	s.host = base.Host
	content := rest.ClientContentConfig{
		AcceptContentTypes: runtime.ContentTypeJSON, ContentType: runtime.ContentTypeJSON, GroupVersion: gv,
		Negotiator: runtime.NewClientNegotiator(codecs, gv),
	}
	s.groups[gv], err = rest.NewRESTClient(bare(base), path, content, nil, client)
	return err
}

// bare is an address without anything that could be a login.
func bare(u *url.URL) *url.URL {
	c := *u
	c.User = nil
	return &c
}

// Close ends idle connections.
func (s *Site) Close() { s.transport.CloseIdleConnections() }

// Namespace that everything of the bot's is in.
func (s *Site) Namespace() string { return s.opt.Namespace }

// Way is how the cluster is reached, for words.
func (s *Site) Way() string { return s.who }

// The parts of the API that are used.
var (
	versions = []schema.GroupVersion{
		corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion,
		coordinationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion,
	}
	known  = newScheme()
	codecs = serializer.NewCodecFactory(known).WithoutConversion()
)

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, authorizationv1.AddToScheme,
		autoscalingv1.AddToScheme, // what the subresource scale speaks
	} {
		if err := add(s); err != nil { // a mistake in this list, which any test shows
			panic(err)
		}
	}
	return s
}

// fileToken logs in by what stands in a file at the moment: a pod's token is
// renewed there. The library would look once a minute.
type fileToken struct {
	path string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t fileToken) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := os.ReadFile(t.path)
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return t.next.RoundTrip(r)
}

// clock notes how the API server's clock stands to this machine's.
type clock struct{ *Site }

// RoundTrip implements http.RoundTripper.
func (c clock) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if at, perr := http.ParseTime(resp.Header.Get("Date")); perr == nil {
		skew := time.Until(at) // whole seconds: good enough for heartbeats
		c.skew.Store(&skew)
	}
	return resp, nil
}

// Skew is how far the API server's clock was ahead of this machine's when it
// answered last, to the second; false before its first answer.
func (s *Site) Skew() (time.Duration, bool) {
	skew := s.skew.Load()
	if skew == nil {
		return 0, false
	}
	return *skew, true
}

// now is the API server's time.
func (s *Site) now() time.Time {
	skew, _ := s.Skew()
	return time.Now().Add(skew)
}

// in begins a request to one API group, which is sent once.
func (s *Site) in(gv schema.GroupVersion, verb string) *rest.Request {
	return s.groups[gv].Verb(verb).MaxRetries(0)
}

func (s *Site) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
