package vultr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vultr/govultr/v3"
	"golang.org/x/time/rate"

	"twokey/secret"
)

// DefaultURL is where the API is.
const DefaultURL = "https://api.vultr.com"

// Options are how the API is reached. Only Key is needed.
type Options struct {
	Key secret.Text
	URL string // [DefaultURL] when empty
	// Timeout ends one request that gets no answer; 10 s when 0.
	Timeout time.Duration
	// LongestWait caps what the API asks for by Retry-After; 5 s when 0.
	LongestWait time.Duration
	// Pace is the least time between two readings of one instance or record, so
	// that readings in a row are of different moments; 500 ms when 0.
	Pace time.Duration
}

// API is one account's access, for any number of instances and records.
type API struct {
	opt       Options
	transport *http.Transport
	limit     *rate.Limiter
}

// perSecond stays well below the 30 requests that the API takes from one address.
const perSecond = 10

// New checks the options; it connects to nothing.
func New(o Options) (*API, error) {
	if o.Key.Empty() || strings.ContainsFunc(o.Key.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the API key is empty or has characters that no key has; copy it anew from the customer portal")
	}
	o.URL = either(o.URL, DefaultURL)
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("the API's address can't be used; leave it out, or write https://host")
	}
	o.Timeout, o.LongestWait, o.Pace = either(o.Timeout, 10*time.Second), either(o.LongestWait, 5*time.Second), either(o.Pace, 500*time.Millisecond)
	dial := &net.Dialer{Timeout: o.Timeout}
	return &API{opt: o, limit: rate.NewLimiter(perSecond, perSecond), transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: o.Timeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
	}}, nil
}

func either[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Close ends idle connections.
func (a *API) Close() { a.transport.CloseIdleConnections() }

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// checkID keeps what is no id from becoming a part of a path.
func checkID(what, id string) error {
	if !uuid.MatchString(id) {
		return fmt.Errorf("the id of the %s, %q, is none: it must be a UUID in small letters, as the customer portal's address shows it", what, id)
	}
	return nil
}

// once sends one request, through a client of its own: what its answer was can
// only be seen below the library, which keeps neither status nor headers.
func (a *API) once(ctx context.Context, what string, do func(context.Context, *govultr.Client) error) error {
	if err := a.limit.Wait(ctx); err != nil {
		return &Error{What: what, Why: "it was not sent in time", Fix: fixLimit, Nothing: true, Err: errors.Join(context.Cause(ctx), err)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.opt.Timeout, errTimeout{a.opt.Timeout})
	defer cancel()
	seen := &exchange{api: a}
	client := govultr.NewClient(&http.Client{
		Transport:     seen,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for this address only
	})
	client.SetRetryLimit(0)
	if err := client.SetBaseURL(a.opt.URL); err != nil {
		return &Error{What: what, Why: "the API's address can't be used", Fix: fixAddress, Nothing: true}
	}
	return seen.judge(ctx, what, do(ctx, client))
}

// errTimeout is this driver's own deadline for one answer.
type errTimeout struct{ after time.Duration }

func (e errTimeout) Error() string        { return fmt.Sprintf("the API gave no answer within %s", e.after) }
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// exchange is one request and its answer, as seen on the connection.
type exchange struct {
	api    *API
	sent   atomic.Bool // a connection was had: something may have arrived
	status int
	body   []byte
	after  string // the header Retry-After
	err    error
}

// largestAnswer is far more than any answer that this driver asks for.
const largestAnswer = 1 << 20

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.sent.Store(true) }})
	r = r.Clone(ctx)
	r.Header.Set("Authorization", "Bearer "+x.api.opt.Key.Reveal())
	resp, err := x.api.transport.RoundTrip(r)
	if err != nil {
		x.err = err
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if x.body, x.err = io.ReadAll(io.LimitReader(resp.Body, largestAnswer)); x.err != nil {
		return nil, x.err
	}
	x.status, x.after = resp.StatusCode, resp.Header.Get("Retry-After")
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(x.body)), int64(len(x.body))
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		resp.Header.Set("Content-Type", kind) // the library reads nothing with a charset beside it
	}
	return resp, nil
}

// judge says what an exchange that the library calls failed, or not, was.
func (x *exchange) judge(ctx context.Context, what string, err error) error {
	e := &Error{What: what}
	switch {
	case err == nil && x.status < 300:
		return nil
	case ctx.Err() != nil && x.status == 0:
		e.Err, e.Why, e.Fix = context.Cause(ctx), context.Cause(ctx).Error(), fixWay
		e.Nothing = !x.sent.Load()
	case x.status == 0:
		e.Err, e.Why, e.Fix = x.err, x.api.hide(fmt.Sprintf("no answer from %s (%v)", x.api.host(), either(x.err, err))), fixWay
		e.Nothing = !x.sent.Load()
	case x.status < 300:
		e.Status, e.Why, e.Fix = x.status, "the answer is not the API's JSON", fixAddress
	default:
		e.said(x.status, x.api.hide(string(x.body)))
		e.after = x.wanted()
	}
	return e
}

// hide cuts the key out of what others say.
func (a *API) hide(text string) string {
	return strings.ReplaceAll(text, a.opt.Key.Reveal(), a.opt.Key.String())
}

func (a *API) host() string {
	u, err := url.Parse(a.opt.URL)
	if err != nil {
		return "the API"
	}
	return u.Host
}

// wanted is how long the API asks to be left alone, no longer than the cap.
func (x *exchange) wanted() time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(x.after, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(x.after); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), x.api.opt.LongestWait)
}

// tries is how often something is asked, or ordered, that fails in passing.
const tries = 3

// pause waits before a request is repeated: what the API asked for, else longer
// each time.
func pause(ctx context.Context, try int, err error) error {
	wait := firstPause << try
	if e, ok := errors.AsType[*Error](err); ok && e.after > 0 {
		wait = e.after
	}
	return sleep(ctx, wait)
}

const firstPause = 200 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// read asks until it has an answer that isn't a passing failure. It is for
// requests that change nothing.
func (a *API) read(ctx context.Context, what string, do func(context.Context, *govultr.Client) error) error {
	var err error
	for try := range tries {
		if err = a.once(ctx, what, do); err == nil || final(err) {
			return err
		}
		if try == tries-1 || pause(ctx, try, err) != nil {
			break
		}
	}
	return err
}
