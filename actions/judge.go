package actions

import (
	"fmt"
	"slices"
	"time"
)

// Judge is the verdict on evidence. It is pure: it reads no clock and no
// server, and the same evidence always gives the same verdict.
func Judge(e Evidence) Verdict {
	r := classify(e)
	v := Verdict{Health: r.judgeHealth(e), Primary: r.from.Name, Standby: r.to.Name, Checks: checks(e, r)}
	v.Loss, v.Why, v.AsOf = judgeLoss(e, r)
	if latchHolds(e.Memory.Latch, r) {
		v.Since = e.Memory.Latch.Since
	}
	var obstacle string
	v.Possible, obstacle = judgeKind(v, r)
	v.Headline = headline(v, e)
	if obstacle != "" {
		v.Why = obstacle
	}
	return v
}

// judgeLoss says whether every acknowledged write is on the standby.
func judgeLoss(e Evidence, r roles) (Loss, string, time.Time) {
	switch r.health {
	case HealthOK:
		return lossBothSeen(e, r)
	case HealthPrimaryGone:
		return lossFromMemory(e, r)
	case HealthHalfSeen:
		return LossUnproven, fmt.Sprintf("%s does not answer, so what it holds is not known", r.to.Name), e.At
	}
	return LossUnproven, "no primary and standby of one system were seen", e.At
}

func lossBothSeen(e Evidence, r roles) (Loss, string, time.Time) {
	if l, is := setBack(e, r); is {
		return LossCertain, fmt.Sprintf("%s holds WAL up to %s, but had flushed %s before: it was set back", r.to.Name, r.standby.ReceiveLSN, l.HighestFlush), e.At
	}
	switch {
	case !synchronousNow(r):
		return LossUnproven, "commits don't provably wait for the standby now; see the checks", e.At
	case !e.HasMemory:
		return LossUnproven, "without the bot's store it is not known since when commits have waited", e.At
	case !latchHolds(e.Memory.Latch, r):
		return LossUnproven, "commits wait for the standby now, but not yet shown to have done so since the last change of settings", e.At
	}
	return LossNone, "every commit since waits for the standby's flush", e.At
}

// lossFromMemory judges with the primary out of reach: on what was seen before.
func lossFromMemory(e Evidence, r roles) (Loss, string, time.Time) {
	if !e.HasMemory {
		return LossUnproven, "the primary does not answer, and without the bot's store nothing is known of before", e.At
	}
	if l, is := setBack(e, r); is {
		return LossCertain, fmt.Sprintf("%s holds WAL up to %s, but had flushed %s before: acknowledged writes are missing", r.to.Name, r.standby.ReceiveLSN, l.HighestFlush), l.SeenAt
	}
	l := e.Memory.Latch
	if l == nil || l.Standby != r.to.Name || l.Primary != r.from.Name || l.SystemID != r.standby.SystemID {
		return LossUnproven, fmt.Sprintf("%s was not shown to be synchronous before %s went away", r.to.Name, r.from.Name), e.At
	}
	if doubt := doubtOfLatch(l, e, r); doubt != "" {
		return LossUnproven, doubt, l.SeenAt
	}
	return LossNone, fmt.Sprintf("assuming that nobody changed %s's settings since %s", r.from.Name, clock(l.SeenAt)), l.SeenAt
}

// doubtOfLatch says why a latch can't speak for a primary that is out of
// reach, "" when it can.
func doubtOfLatch(l *Latch, e Evidence, r roles) string {
	s := r.standby
	switch {
	case l.SeenAt.After(e.At):
		return fmt.Sprintf("%s was seen later than this look, or the clock was set back", r.from.Name)
	case !e.Memory.Unprotected.IsZero():
		return fmt.Sprintf("%s has acknowledged alone since %s", r.from.Name, clock(e.Memory.Unprotected))
	case !durable(s):
		return fmt.Sprintf("%s runs with fsync or full_page_writes off", r.to.Name)
	case s.newestTimeline() > l.Timeline: // older is only a control file that lags until the next restartpoint
		return fmt.Sprintf("%s is on timeline %d, the primary was on %d", r.to.Name, s.newestTimeline(), l.Timeline)
	case !s.StartedAt.Equal(l.StandbyStart):
		return fmt.Sprintf("%s was restarted since %s", r.to.Name, clock(l.SeenAt))
	}
	return doubtOfSilence(r, goneSince(e, r))
}

// doubtOfSilence says why a primary that does not answer may be alive, and may
// have been changed since it was seen, "" when nothing says so.
func doubtOfSilence(r roles, g *Gone) string {
	switch {
	case streaming(r):
		return fmt.Sprintf("%s does not answer, but %s still streams from it: if it is gone, %s notices, and then this can be proven; if it is not, its settings may change unseen",
			r.from.Name, r.to.Name, r.to.Name)
	case !g.HeardAt.IsZero():
		return fmt.Sprintf("%s heard from %s at %s, when that one no longer answered the bot, so its settings may have changed unseen",
			r.to.Name, r.from.Name, clock(g.HeardAt))
	case g.PartedAt.IsZero():
		return fmt.Sprintf("%s was frozen before it had noticed that %s is gone, so nothing says that it was", r.to.Name, r.from.Name)
	}
	return ""
}

// newestTimeline that a server knows of: a standby's control file lags behind
// what it receives.
func (s *Server) newestTimeline() uint32 {
	if s.Receiver == nil {
		return s.Timeline
	}
	return max(s.Timeline, s.Receiver.Timeline)
}

// judgeKind says what can be done, and else what stands in the way.
func judgeKind(v Verdict, r roles) (Kind, string) {
	switch r.health {
	case HealthOK:
		if c, found := v.obstacle(); found {
			return KindAuto, fmt.Sprintf("a switchover is not possible: %s: %s", c.Title, c.Detail)
		}
		return KindSwitchover, ""
	case HealthPrimaryGone:
		if c, found := v.obstacle(failoverChecks...); found {
			return KindAuto, fmt.Sprintf("a failover is not possible: %s: %s", c.Title, c.Detail)
		}
		return KindFailover, ""
	}
	return KindAuto, noKind[r.health]
}

var noKind = map[Health]string{
	HealthHalfSeen:     "the primary works and the standby does not answer: there is nothing to fail over to. Bring the standby back.",
	HealthMismatch:     "the two nodes are not a primary and standby of one system. Check the addresses in the config.",
	HealthTwoPrimaries: "both nodes accept writes. Stop the one whose timeline is lower at once; twokey does not choose between them.",
	HealthNoPrimary:    "both nodes are in recovery. If a failover was under way, its request says who goes on; else see the runbook.",
	HealthUnseen:       "neither node answers. Check the network between the bot and the nodes first.",
}

// obstacle finds the first failed check; of the given ids only, when any are given.
func (v Verdict) obstacle(ids ...string) (Check, bool) {
	for _, c := range v.Checks {
		if c.Status == Bad && (len(ids) == 0 || slices.Contains(ids, c.ID)) {
			return c, true
		}
	}
	return Check{}, false
}

// headline is the verdict in one sentence.
func headline(v Verdict, e Evidence) string {
	switch v.Loss {
	case LossCertain:
		return "Acknowledged writes would be lost: " + v.Why + "."
	case LossUnproven:
		return "Zero acknowledged loss: not proven: " + v.Why + "."
	}
	if v.Primary != "" && v.Health == HealthPrimaryGone {
		return fmt.Sprintf("Zero acknowledged loss: proven as of %s (%s ago), %s.", clock(v.AsOf), age(e.At.Sub(v.AsOf)), v.Why)
	}
	return fmt.Sprintf("Zero acknowledged loss: proven, synchronous since %s, seen %s ago.", clock(v.Since), age(e.At.Sub(v.AsOf)))
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func age(d time.Duration) string {
	if d < time.Second {
		return "0 s"
	}
	if d < 2*time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return d.Round(time.Minute).String()
}
