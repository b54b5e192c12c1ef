package slacksim

import (
	"net/http"
	"time"
)

type faultMode int

const (
	faultNone faultMode = iota
	faultDown
	faultSlow
	faultGarbage
	faultRateLimit
	faultError
	faultLost
)

// Failure is a way for the Web API to misbehave. Make one with the functions
// below; the zero value heals.
type Failure struct {
	mode  faultMode
	wait  time.Duration
	code  string
	times int // how often it still happens; 0 means until healed
}

// Down closes the connection without an answer; nothing was done.
func Down() Failure { return Failure{mode: faultDown} }

// Slow answers rightly, after d. When the client gives up first, the work is
// not done.
func Slow(d time.Duration) Failure { return Failure{mode: faultSlow, wait: d} }

// Garbage answers 200 with an HTML page, as a proxy or an outage page does.
func Garbage() Failure { return Failure{mode: faultGarbage} }

// RateLimit answers 429 with Retry-After (whole seconds, rounded up).
func RateLimit(retryAfter time.Duration) Failure {
	return Failure{mode: faultRateLimit, wait: retryAfter}
}

// Error answers ok: false with Slack's error code, such as "internal_error".
func Error(code string) Failure { return Failure{mode: faultError, code: code} }

// Lost does the work and then closes the connection without an answer.
func Lost() Failure { return Failure{mode: faultLost} }

// Times limits a failure to the next n calls.
func (f Failure) Times(n int) Failure { f.times = n; return f }

// Any, as the method of Fail, stands for every method; ResponseURLs stands for
// the posts to response URLs. Acknowledgement names answers inside of one.
const (
	Any             = "*"
	ResponseURLs    = "response_url"
	Acknowledgement = "acknowledgement"
)

// Fail makes a method of the Web API misbehave until Heal, or as often as the
// failure's Times says. A method's own failure goes before that of Any.
func (w *Workspace) Fail(method string, f Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.mode == faultNone {
		delete(w.failures, method)
		return
	}
	w.failures[method] = &f
}

// Heal ends what Fail began; Any heals everything.
func (w *Workspace) Heal(method string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if method == Any {
		clear(w.failures)
	}
	delete(w.failures, method)
}

// fault takes the failure that applies to this call, counting it.
func (w *Workspace) fault(name string) *Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range []string{name, Any} {
		f, ok := w.failures[key]
		if !ok {
			continue
		}
		taken := *f
		if f.times--; f.times == 0 {
			delete(w.failures, key)
		}
		f.times = max(f.times, 0)
		return &taken
	}
	return nil
}

// misbehave answers instead of the method, or delays it. It reports whether the
// call is over.
func (w *Workspace) misbehave(rw http.ResponseWriter, r *http.Request, name string, f *Failure) bool {
	if f == nil {
		return false
	}
	switch f.mode {
	case faultDown:
		w.record(name, "down", 0)
		hangUp()
	case faultSlow:
		return !w.pause(r, f.wait)
	case faultGarbage:
		w.record(name, "garbage", http.StatusOK)
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write([]byte("<!DOCTYPE html><title>Server Error</title><h1>Something went wrong</h1>"))
		return true
	case faultRateLimit:
		w.tooMany(rw, name, wholeSeconds(f.wait))
		return true
	case faultError:
		w.answer(rw, name, http.StatusOK, nil, fail(f.code))
		return true
	}
	return false
}

// pause reports whether the time passed while the client was still there.
func (w *Workspace) pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-w.done:
	}
	return false
}

// hangUp closes the connection without an answer: net/http's own way to do so.
func hangUp() { panic(http.ErrAbortHandler) }

func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
