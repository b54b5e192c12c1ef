package actions

import "time"

// Waymark is a position of the primary that the standby had not replayed when
// it was looked at. As long as it still has not, the standby is late by at least
// the time since then, whatever the servers' own clocks and counters say: with
// replay paused, replay_lag stays at its last small value.
type Waymark struct {
	LSN      LSN       `json:"lsn"`
	Timeline uint32    `json:"timeline"`
	At       time.Time `json:"at"`
}

// waymark gives what is to be remembered after a look: the old one while it is
// not passed, else the primary's end, nil where nothing is left to replay or
// nothing is known.
func (r roles) waymark(old *Waymark, at time.Time) *Waymark {
	if r.primary == nil {
		return old
	}
	s, ok := r.syncStandby()
	switch {
	case !ok || s.Replay == 0 || s.Replay >= r.primary.FlushLSN:
		return nil
	case old != nil && old.Timeline == r.primary.Timeline && s.Replay < old.LSN && !old.At.After(at):
		return old
	}
	return &Waymark{LSN: r.primary.FlushLSN, Timeline: r.primary.Timeline, At: at}
}

// lateBy is the age of the oldest change that the standby has not replayed, 0
// where there is none or nothing is known: the greater one of what the primary
// says and what was seen.
func (r roles) lateBy(e Evidence) time.Duration {
	s, ok := r.syncStandby()
	if !ok || s.Replay == 0 || s.Replay >= r.primary.FlushLSN {
		return 0
	}
	var late time.Duration
	if s.ReplayLag != nil {
		late = *s.ReplayLag
	}
	if m := e.Memory.Replaying; m != nil && m.Timeline == r.primary.Timeline && s.Replay < m.LSN {
		late = max(late, e.At.Sub(m.At))
	}
	return late
}

// Late is by how much the standby is late in replaying, nil unless bytes are
// behind and something is known.
func (rep Report) Late() *time.Duration {
	r := classify(rep.Evidence)
	if r.primary == nil || r.replayBehind() == 0 {
		return nil
	}
	late := r.lateBy(rep.Evidence)
	if late == 0 {
		return nil
	}
	return &late
}
