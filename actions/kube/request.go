package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// once sends one request. do must begin it by [Site.in], which repeats nothing.
func (s *Site) once(ctx context.Context, what string, do func(context.Context) error) error {
	if err := s.limit.Wait(ctx); err != nil {
		return &Error{What: what, Why: "it was not sent in time", Fix: fixOurselves, Nothing: true, Err: errors.Join(context.Cause(ctx), err)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.opt.Timeout, errTimeout{s.opt.Timeout})
	defer cancel()
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	return s.judge(ctx, what, do(traced), sent.Load())
}

// judge says what a request that failed, or not, was.
func (s *Site) judge(ctx context.Context, what string, err error, sent bool) error {
	if err == nil {
		return nil
	}
	e := &Error{What: what, Nothing: !sent}
	status, answered := errors.AsType[*apierrors.StatusError](err)
	switch {
	case answered && status.ErrStatus.Code != 0:
		e.said(s, status)
	case ctx.Err() != nil:
		e.Err, e.Why, e.Fix = context.Cause(ctx), context.Cause(ctx).Error(), fixWay
	case untrusted(err):
		e.Err, e.Why, e.Fix, e.Nothing = err, fmt.Sprintf("%s doesn't show a certificate that can be trusted (%s)", s.host, short(err.Error())), fixTrust, true
	case sent:
		e.Err, e.Why, e.Fix = err, fmt.Sprintf("no answer of the API server %s that could be understood (%s)", s.host, short(err.Error())), fixWay
	default:
		e.Err, e.Why, e.Fix = err, fmt.Sprintf("the API server %s can't be reached (%s)", s.host, short(err.Error())), fixWay
	}
	return e
}

func untrusted(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, stranger := errors.AsType[x509.UnknownAuthorityError](err)
	_, named := errors.AsType[x509.HostnameError](err)
	return unverified || stranger || named
}

// tries is how often something is asked that fails in passing.
const tries = 3

const firstPause = 100 * time.Millisecond

// pause waits before a request is repeated: what the API server asked for, else
// longer each time.
func (s *Site) pause(ctx context.Context, try int, err error) error {
	wait := firstPause << try
	if e, ok := errors.AsType[*Error](err); ok && e.after > 0 {
		wait = e.after
	}
	return s.sleep(ctx, wait)
}

// read asks until it has an answer that isn't a passing failure. It is for
// requests that change nothing.
func (s *Site) read(ctx context.Context, what string, do func(context.Context) error) error {
	var err error
	for try := range tries {
		if err = s.once(ctx, what, do); err == nil || !again(err, try) {
			return err
		}
		if try == tries-1 || s.pause(ctx, try, err) != nil {
			break
		}
	}
	return err
}

// again says whether another try may help. After the first refused login the
// token's file is read anew, so that is tried once more.
func again(err error, try int) bool {
	e, ok := errors.AsType[*Error](err)
	return !ok || e.passing() || e.Status == http.StatusUnauthorized && try == 0
}
