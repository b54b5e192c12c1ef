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
	return s.within(ctx, s.opt.Timeout, what, do)
}

// within is once with a time of its own for the whole answer.
func (s *Site) within(ctx context.Context, timeout time.Duration, what string, do func(context.Context) error) error {
	if err := s.limit.Wait(ctx); err != nil {
		return &Error{What: what, Why: "it was not sent in time", Fix: fixOurselves, Nothing: true, Err: errors.Join(context.Cause(ctx), err)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout{timeout})
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
	return s.readWithin(ctx, s.opt.Timeout, what, do)
}

func (s *Site) readWithin(ctx context.Context, timeout time.Duration, what string, do func(context.Context) error) error {
	var err error
	for try := range tries {
		if err = s.within(ctx, timeout, what, do); err == nil || !again(err, try) {
			return err
		}
		if try == tries-1 || s.pause(ctx, try, err) != nil {
			break
		}
	}
	return err
}

// again says whether another try may help. A login that was refused is tried once
// more: its token's file may be renewed at this moment.
func again(err error, try int) bool {
	e, ok := errors.AsType[*Error](err)
	return !ok || e.passing() || e.Status == http.StatusUnauthorized && try == 0
}

// conflictTries is how often a change is made anew on a fresh read: others, the
// cluster's own controllers among them, change the same objects.
const conflictTries = 10

// change reads an object and changes it, which fails when somebody has changed
// it in between; then it is read and changed anew. look says whether there is
// anything to do; put sends the change with the version that was read.
//
// What failed in passing is repeated, too: the version that is sent along keeps
// a change from being made twice, or from arriving late, behind another one.
//
// Errors: *[Error] when no change was made, *[actions.Uncertain] when one may
// have been.
func (s *Site) change(ctx context.Context, look func(context.Context) (needed bool, err error), put func(context.Context) error) error {
	failed, err := s.changeOnce(ctx, look, put)
	if err != nil || failed == nil {
		return errors.Join(uncertain(failed), err)
	}
	if needed, err := look(ctx); err == nil && !needed { // an order whose answer was lost
		return nil
	}
	return uncertain(failed)
}

// changeOnce gives the worst failure of a change, nil when it was made; err is
// that of a look.
func (s *Site) changeOnce(ctx context.Context, look func(context.Context) (bool, error), put func(context.Context) error) (failed, err error) {
	passing, conflicts := 0, 0
	for {
		needed, err := look(ctx)
		switch {
		case err != nil:
			return failed, err
		case !needed: // whatever has failed before
			return nil, nil
		}
		if err = put(ctx); err == nil {
			return nil, nil
		}
		failed = worse(failed, err)
		if statusOf(err) == http.StatusConflict {
			if conflicts++; conflicts < conflictTries && ctx.Err() == nil {
				continue // a fresh read shows what is new
			}
			return failed, nil
		}
		passing++
		if passing >= tries || !again(err, passing-1) || s.pause(ctx, passing-1, err) != nil {
			return failed, nil
		}
	}
}

// worse keeps the error of the order about which less is known.
func worse(a, b error) error {
	if e, ok := errors.AsType[*Error](a); ok && !e.Nothing {
		return a
	}
	return b
}
