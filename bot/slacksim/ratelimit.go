package slacksim

import (
	"fmt"
	"time"
)

var errRateLimited = fail("ratelimited")

// rateLimited is a call that found no token in its bucket.
type rateLimited struct{ wait int } // whole seconds

func (r *rateLimited) Error() string { return fmt.Sprintf("no call for %d s", r.wait) }

// bucket is a token bucket on the workspace's clock.
type bucket struct {
	tokens float64
	at     time.Time
}

const (
	postsPerSecond = 1.0 // to one channel
	postBurst      = 3.0
)

// limited takes a token for the call and returns 0, or the whole seconds until
// there will be one. Posting is limited by channel, the rest by its tier.
func (w *Workspace) limited(name string, m method, channel string) int {
	if !w.opt.RateLimits {
		return 0
	}
	switch {
	case name == "chat.postMessage":
		return w.take(name+" "+channel, postsPerSecond, postBurst)
	case m.tier > 0:
		perSecond := float64(m.tier) / 60
		return w.take(name, perSecond, float64(m.tier))
	}
	return 0
}

func (w *Workspace) take(key string, perSecond, burst float64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.opt.Now()
	b, ok := w.buckets[key]
	if !ok {
		b = &bucket{tokens: burst, at: now}
		w.buckets[key] = b
	}
	b.tokens = min(burst, b.tokens+perSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.tokens < 1 {
		return wholeSeconds(time.Duration((1 - b.tokens) / perSecond * float64(time.Second)))
	}
	b.tokens--
	return 0
}
