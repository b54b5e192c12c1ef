package slacksim

import (
	"fmt"
	"time"
)

// trigger is a permission to open one modal, for three seconds.
type trigger struct {
	user, channel string
	expires       time.Time
	used          bool
}

func (w *Workspace) newTrigger(user, channel string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.opt.Now()
	w.pruneLocked(now)
	w.ids++
	id := fmt.Sprintf("%d.%d.%s", now.UnixMilli(), w.ids, randomHex(16))
	w.triggers[id] = &trigger{user: user, channel: channel, expires: now.Add(triggerLife)}
	return id
}

func (w *Workspace) redeemable(id string) (*trigger, error) {
	t, ok := w.triggers[id]
	switch {
	case !ok:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case !w.opt.Now().Before(t.expires):
		return nil, fail("expired_trigger_id")
	}
	return t, nil
}
