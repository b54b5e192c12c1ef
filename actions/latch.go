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
	l.L, l.Since, l.HighestFlush, l.SeenAt, l.ReadBy = 0, time.Time{}, 0, time.Time{}, time.Time{}
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
// the latch renewed when it still holds and opened when anything that was seen
// speaks against it.
func Remembering(e Evidence) Remembered {
	m, r := e.Memory, classify(e)
	m.LookedAt = e.At
	if r.primary != nil {
		m.Primary, m.PrimaryAt, m.Timeline, m.SystemID = r.from.Name, e.At, r.primary.Timeline, r.primary.SystemID
	}
	m.Gone = goneSince(e, r)
	m.Latch, m.Voided = renew(m, e, r)
	m.Unprotected = unprotectedSince(m, r, e)
	m.Replaying = r.waymark(m.Replaying, e.At)
	return m
}

// streaming says whether the standby, by its own word, receives WAL.
func streaming(r roles) bool {
	return r.standby != nil && r.standby.Receiver != nil && r.standby.Receiver.Status == "streaming"
}

// goneSince follows a primary that the bot can't see.
func goneSince(e Evidence, r roles) *Gone {
	if r.primary != nil {
		return nil
	}
	g := Gone{By: e.readBy()}
	if e.Memory.Gone != nil {
		g = *e.Memory.Gone
	}
	if at := heard(e, r); at.After(g.By) {
		g.HeardAt = at
	}
	if g.PartedAt.IsZero() && parted(r) {
		g.PartedAt = e.At
	}
	return &g
}

// parted says whether the standby has lost its stream of itself: a frozen one
// would have none however alive its primary is.
func parted(r roles) bool {
	return r.standby != nil && !streaming(r) && r.standby.ConninfoSet
}

// heard is when the standby got its last message from a primary, at the
// earliest, by the bot's clock; zero when it receives nothing.
func heard(e Evidence, r roles) time.Time {
	if !streaming(r) || r.standby.Receiver.LastMsgAt == nil {
		return time.Time{}
	}
	silence := r.standby.Now.Sub(*r.standby.Receiver.LastMsgAt)
	return e.Observation(r.to.Name).At.Add(-silence)
}

// renew gives the latch after a look, and the one that was voided last. While
// the standby is away the latch stays, as the primary then acknowledges
// nothing; so it does for a node that gave no answer.
func renew(m Remembered, e Evidence, r roles) (latch, voided *Latch) {
	old, voided := m.Latch, m.Voided
	if voided != nil && r.primary != nil && r.primary.Timeline != voided.Timeline {
		voided = nil
	}
	if old == nil {
		return nil, voided
	}
	if old.SeenAt.After(e.At) || !undisturbed(*old, r) { // a clock that was set back orders nothing any more
		return nil, old
	}
	l := *old
	if r.primary != nil {
		l.SeenAt = e.At
	}
	if latchHolds(old, r) {
		voided = nil
		if flushed := flushedByBoth(r); flushed > l.HighestFlush {
			l.HighestFlush, l.ReadBy = flushed, e.readBy()
		}
	}
	return &l, voided
}

// undisturbed says whether nothing that this look saw speaks against the latch.
func undisturbed(l Latch, r roles) bool {
	switch r.health {
	case HealthUnseen:
		return true
	case HealthPrimaryGone:
		return l.Standby == r.to.Name && l.SystemID == r.standby.SystemID
	case HealthHalfSeen:
		return l.primarySide() == keyOf(roles{primary: r.primary, standby: &Server{}, from: r.from, to: r.to}).primarySide() && guarded(r)
	case HealthOK:
		return l.key() == keyOf(r) && guarded(r) && !strayed(l, r)
	}
	return false
}

// primarySide is the part of the key that the primary alone shows.
func (l Latch) primarySide() Latch {
	l = l.key()
	l.StandbyConf, l.StandbyStart = time.Time{}, time.Time{}
	return l
}

// guarded says whether the primary acknowledges nothing past its standby, be
// that one there or not.
func guarded(r roles) bool {
	return acceptableNames(r.primary.Settings["synchronous_standby_names"], r.to.Name) && commitsWait(r.primary) && !r.openDoor()
}

// strayed says whether the standby is on another history than the latch's.
func strayed(l Latch, r roles) bool {
	if in := r.standby.Receiver; in != nil && in.Timeline != r.primary.Timeline {
		return true
	}
	s, attached := r.syncStandby()
	return attached && (s.Flush > r.primary.FlushLSN || s.Flush < l.L)
}

// flushedByBoth is the position that the primary and the standby itself both
// say is flushed. The two are not read at one instant: under load the later one
// is ahead, and only the lower may be held against the standby afterwards.
func flushedByBoth(r roles) LSN {
	s, _ := r.syncStandby()
	return min(s.Flush, r.standby.ReceiveLSN)
}

// setBack finds a latch, in force or voided, whose standby has less WAL now
// than it had flushed then. A look that overlapped with the one that found that
// may have read the standby before, so it can't be held against it.
func setBack(e Evidence, r roles) (*Latch, bool) {
	for _, l := range []*Latch{e.Memory.Latch, e.Memory.Voided} {
		if l != nil && l.Standby == r.to.Name && l.SystemID == r.standby.SystemID &&
			!e.At.Before(l.SeenAt) && e.At.After(l.ReadBy) && r.standby.ReceiveLSN < l.HighestFlush {
			return l, true
		}
	}
	return nil, false
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
	flushed := flushedByBoth(b)
	if flushed < l {
		return nil
	}
	latch := keyOf(b)
	latch.L, latch.Since, latch.SeenAt, latch.HighestFlush = l, then.At, then.At, flushed
	latch.ReadBy = then.readBy()
	return &latch
}

// unprotectedSince keeps the time since which the guarantee is off, because the
// primary acknowledged alone: until a latch shows that commits wait again.
func unprotectedSince(m Remembered, r roles, e Evidence) time.Time {
	switch {
	case r.primary == nil:
		return m.Unprotected
	case r.judgeHealth(e) == HealthUnprotected && m.Unprotected.IsZero():
		return e.At
	case latchHolds(m.Latch, r):
		return time.Time{}
	}
	return m.Unprotected
}
