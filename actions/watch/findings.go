package watch

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"twokey/actions"
)

// Rules say from when what is seen is worth telling. What is late or behind by
// less is judged by the evidence's own thresholds.
type Rules struct {
	For           time.Duration // how long a mild trouble must last before people are told
	CriticalBytes uint64        // replay behind, told at once
	CriticalTime  time.Duration
	SlotBytes     uint64 // WAL held by one slot
	Quiet         Quiet
}

// DefaultRules are 5 minutes, 256 MiB, 60 s and 1 GiB, without quiet hours.
func DefaultRules() Rules {
	return Rules{For: 5 * time.Minute, CriticalBytes: 256 << 20, CriticalTime: time.Minute, SlotBytes: 1 << 30}
}

// Quiet are the hours in which mild troubles wait: from one time of the day to
// another, over midnight where that comes first. The zero value is none.
type Quiet struct{ From, To time.Duration }

// At says whether it is quiet at that time of the day.
func (q Quiet) At(t time.Time) bool {
	of := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	if q.From <= q.To {
		return q.From <= of && of < q.To
	}
	return of >= q.From || of < q.To
}

// sight is whether a trouble is seen.
type sight int

const (
	unclear sight = iota // nothing speaks for or against it
	absent
	present
)

// finding is what one look says about one kind of trouble.
type finding struct {
	code  string
	sight sight
	level actions.Level
	hold  time.Duration // it must last so long before people are told
	text  string
}

// findings judges a look. Every code is in it once.
func findings(rep actions.Report, r Rules) []finding {
	out := healthFindings(rep)
	out = append(out, standbyUnseen(rep, r), lagging(rep, r))
	return append(out, slots(rep, r)...)
}

// healthCodes are the healths that are troubles by themselves.
var healthCodes = []struct {
	health actions.Health
	code   string
	level  actions.Level
}{
	{actions.HealthTwoPrimaries, actions.TroubleTwoPrimaries, actions.LevelCritical},
	{actions.HealthUnprotected, actions.TroubleUnprotected, actions.LevelCritical},
	{actions.HealthNoPrimary, actions.TroubleNoPrimary, actions.LevelCritical},
	{actions.HealthPrimaryGone, actions.TroublePrimaryGone, actions.LevelCritical},
	{actions.HealthUnseen, actions.TroubleUnseen, actions.LevelCritical},
	{actions.HealthBlocked, actions.TroubleBlocked, actions.LevelCritical},
	{actions.HealthMismatch, actions.TroubleMismatch, actions.LevelWarning},
}

// healthFindings: one health is a trouble at a time. While the pair is only on
// its way back, whatever was wrong counts as not over.
func healthFindings(rep actions.Report) []finding {
	var out []finding
	for _, h := range healthCodes {
		f := finding{code: h.code, sight: absent, level: h.level}
		switch {
		case rep.Verdict.Health == h.health:
			f.sight, f.text = present, rep.Verdict.Meaning()
		case rep.Verdict.Health == actions.HealthArming:
			f.sight = unclear
		}
		out = append(out, f)
	}
	return out
}

// standbyUnseen: the primary says that all is well, but the standby itself does
// not answer the bot.
func standbyUnseen(rep actions.Report, r Rules) finding {
	f := finding{code: actions.TroubleStandbyUnseen, level: actions.LevelWarning, hold: r.For}
	switch rep.Verdict.Health {
	case actions.HealthHalfSeen:
		f.sight, f.text = present, rep.Verdict.Meaning()
	case actions.HealthOK, actions.HealthLagging, actions.HealthArming:
		f.sight = absent
	}
	return f
}

// lagging is over below half of what is worth a warning, so that a lag that
// keeps to the limit is told once.
func lagging(rep actions.Report, r Rules) finding {
	f := finding{code: actions.TroubleLagging, level: actions.LevelWarning, hold: r.For}
	s, limits := SampleOf(rep), rep.Evidence.Thresholds
	if s.Replay == nil {
		return f
	}
	behind, late := *s.Replay, time.Duration(0)
	if s.Behind != nil {
		late = *s.Behind
	}
	f.text = lagText(rep, behind, late)
	switch {
	case behind >= r.CriticalBytes || late >= r.CriticalTime:
		f.sight, f.level, f.hold = present, actions.LevelCritical, 0
	case behind >= limits.LagBytes || late >= limits.LagTime:
		f.sight = present
	case behind < limits.LagBytes/2 && late < limits.LagTime/2:
		f.sight = absent
	}
	return f
}

func lagText(rep actions.Report, behind uint64, late time.Duration) string {
	text := fmt.Sprintf("%s has %s that it has not replayed", rep.Verdict.Standby, humanize.IBytes(behind))
	if late > 0 {
		text += fmt.Sprintf(", the oldest of it %s old", late.Round(time.Second/10))
	}
	return text + ": a failover would take longer, and reads there are old."
}

// slots judges the primary's replication slots. The standby's own one is
// grave when its WAL is cut off; another one only keeps too much.
func slots(rep actions.Report, r Rules) []finding {
	lost := finding{code: actions.TroubleSlotLost, level: actions.LevelCritical}
	grows := finding{code: actions.TroubleSlotGrowing, level: actions.LevelWarning, hold: r.For}
	p := rep.Evidence.Observation(rep.Verdict.Primary).Server
	if p == nil || p.InRecovery {
		return []finding{lost, grows}
	}
	lost.sight, grows.sight = absent, absent
	own, _ := rep.Evidence.Pair.Node(rep.Verdict.Standby)
	for _, s := range slices.Backward(p.Slots) { // of several the first is told
		held := behind(p, s.RestartLSN)
		switch {
		case s.Name == own.Slot && (s.WALStatus == "lost" || s.WALStatus == "unreserved"):
			lost.sight = present
			lost.text = fmt.Sprintf("The slot %s on %s is %s: %s loses its WAL, and may have to be copied anew.", s.Name, rep.Verdict.Primary, s.WALStatus, rep.Verdict.Standby)
		case held != nil && *held >= r.SlotBytes && s.WALStatus != "lost":
			grows.sight = present
			grows.text = fmt.Sprintf("The slot %s keeps %s of WAL on %s; the disk fills until somebody reads it or drops it.", s.Name, humanize.IBytes(*held), rep.Verdict.Primary)
		case held != nil && *held >= r.SlotBytes/2 && grows.sight == absent:
			grows.sight = unclear
		}
	}
	return []finding{lost, grows}
}
