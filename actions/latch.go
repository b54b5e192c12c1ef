package actions

import "time"

// keyOf is the part of a latch that must not change.
func keyOf(r roles) Latch {
	return Latch{
		SystemID: r.primary.SystemID, Timeline: r.primary.Timeline,
		Primary: r.from.Name, Standby: r.to.Name,
		Names:       r.primary.Settings["synchronous_standby_names"],
		PrimaryConf: r.primary.ConfLoaded.UTC(), PrimaryStart: r.primary.StartedAt.UTC(),
		StandbyConf: r.standby.ConfLoaded.UTC(), StandbyStart: r.standby.StartedAt.UTC(),
	}
}

func (l Latch) key() Latch {
	l.L, l.Since, l.HighestFlush, l.SeenAt = 0, time.Time{}, 0, time.Time{}
	return l
}

// latchHolds says whether the latch is for exactly this world: nothing was
// reloaded or restarted since, and the standby is past L.
func latchHolds(l *Latch, r roles) bool {
	if l == nil || !synchronousNow(r) {
		return false
	}
	s, _ := r.syncStandby()
	return l.key() == keyOf(r) && s.Flush >= l.L
}

// Remembering is what one look leaves behind: the memory with what was seen,
// the latch renewed when it still holds and opened when it doesn't.
func Remembering(e Evidence) Remembered {
	m, r := e.Memory, classify(e)
	m.LookedAt = e.At
	if r.primary != nil {
		m.Primary, m.PrimaryAt, m.Timeline, m.SystemID = r.from.Name, e.At, r.primary.Timeline, r.primary.SystemID
	}
	if streaming(r) {
		m.StreamingAt = e.At
	}
	if r.primary != nil && r.standby != nil {
		m.Latch = renew(m.Latch, e, r)
	}
	m.Unprotected = unprotectedSince(m, r, e)
	return m
}

// streaming says whether the standby, by its own word, receives WAL.
func streaming(r roles) bool {
	return r.standby != nil && r.standby.Receiver != nil && r.standby.Receiver.Status == "streaming"
}

func renew(old *Latch, e Evidence, r roles) *Latch {
	if !latchHolds(old, r) {
		return nil
	}
	l := *old
	s, _ := r.syncStandby()
	l.SeenAt = e.At
	l.HighestFlush = max(l.HighestFlush, s.Flush)
	return &l
}

// Arm closes the latch on evidence that was gathered after a CHECKPOINT had
// returned on the primary; first is the evidence from before that CHECKPOINT.
// The position that must be flushed is the primary's flush position right
// after the checkpoint, L. It returns nil while the standby isn't there yet,
// or when anything changed in between.
func Arm(first, then Evidence, l LSN) *Latch {
	a, b := classify(first), classify(then)
	if !synchronousNow(a) || !synchronousNow(b) || keyOf(a) != keyOf(b) {
		return nil
	}
	s, _ := b.syncStandby()
	if s.Flush < l {
		return nil
	}
	latch := keyOf(b)
	latch.L, latch.Since, latch.SeenAt, latch.HighestFlush = l, then.At, then.At, s.Flush
	return &latch
}

// unprotectedSince keeps the time since which the primary has acknowledged
// alone; it ends when synchronous commit is seen again.
func unprotectedSince(m Remembered, r roles, e Evidence) time.Time {
	if r.primary == nil {
		return m.Unprotected
	}
	switch r.judgeHealth(e) {
	case HealthUnprotected:
		if m.Unprotected.IsZero() {
			return e.At
		}
		return m.Unprotected
	}
	return time.Time{}
}
