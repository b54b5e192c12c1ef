package bot

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"twokey/approvals"
)

const (
	seenFor = 10 * time.Minute
	seenMax = 100_000 // keys in memory; the oldest go first
)

// inFlight knows the deliveries that this process has taken on. A second copy
// of one of them needs no work: its work is under way or done.
type inFlight struct {
	now func() time.Time

	mu    sync.Mutex
	taken map[keyHash]struct{}
	order []takenKey
}

// keyHash stands for a key: of many, only what tells them apart is kept.
type keyHash [16]byte

func hashOf(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:len(keyHash{})])
}

type takenKey struct {
	key keyHash
	at  int64 // nanoseconds
}

func newInFlight(now func() time.Time) *inFlight {
	return &inFlight{now: now, taken: map[keyHash]struct{}{}}
}

// take says whether key is new to this process.
func (f *inFlight) take(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	hash, now := hashOf(key), f.now().UnixNano()
	n := 0
	for n < len(f.order) && (len(f.order)-n > seenMax || now-f.order[n].at > int64(seenFor)) {
		delete(f.taken, f.order[n].key)
		n++
	}
	f.order = f.order[n:]
	if _, known := f.taken[hash]; known {
		return false
	}
	f.taken[hash] = struct{}{}
	f.order = append(f.order, takenKey{key: hash, at: now})
	return true
}

// forget lets the next copy of key be worked on, because nobody took this one.
func (f *inFlight) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.taken, hashOf(key))
}

// once does the work of a delivery unless a copy of it was worked on to the
// end, judged by what is stored. A first copy that was begun and never finished
// (the bot was killed in between, the store failed) leaves its work to the next
// copy: that one may be the only one that gets through. If the store can't
// tell, the work is done; each use case is idempotent besides.
func (b *Bot) once(ctx context.Context, key string, work func() error) error {
	if !b.fresh(ctx, "begun/"+key) && !b.fresh(ctx, "done/"+key) {
		return nil
	}
	err := work()
	if err == nil || approvals.Refused(err) != "" {
		b.fresh(context.WithoutCancel(ctx), "done/"+key)
	}
	return err
}

// fresh says whether key is new to the store, and leaves it there.
func (b *Bot) fresh(ctx context.Context, key string) bool {
	first, err := b.opt.Outbox.Seen(ctx, key, seenFor)
	if err != nil {
		b.opt.Log.Error("a delivery can't be remembered", "error", err)
	}
	return first || err != nil
}
