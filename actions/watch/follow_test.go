package watch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
	"twokey/actions/watch"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// look is what one look at the pair saw.
type look struct {
	health actions.Health
	behind uint64 // bytes of replay
	late   time.Duration
	blind  bool // the primary doesn't know the standby's replay
	slot   actions.Slot
}

func (l look) report(at time.Time, m actions.Remembered) actions.Report {
	const end = 1 << 40
	p := &actions.Server{FlushLSN: end, Slots: []actions.Slot{l.slot}}
	if !l.blind {
		late := l.late
		p.Standbys = []actions.Standby{{Name: "dc2", State: "streaming", SyncState: "sync", Write: end, Flush: end, Replay: end - actions.LSN(l.behind), ReplayLag: &late}}
	}
	return actions.Report{
		Verdict: actions.Verdict{Health: l.health, Primary: "dc1", Standby: "dc2"},
		Evidence: actions.Evidence{
			Pair: actions.Pair{Name: "orders", Nodes: [2]actions.Node{{Name: "dc1"}, {Name: "dc2", Slot: "twokey_dc2"}}},
			At:   at, Memory: m, Thresholds: actions.DefaultThresholds(),
			Nodes: [2]actions.Observation{{Node: "dc1", Server: p}, {Node: "dc2", Server: &actions.Server{InRecovery: true}}},
		},
	}
}

// tape follows looks and writes down what is told: "+" for a message, "!" for a
// call, "~" for an update in place, "." for what waits, and the words.
type tape struct {
	t     testing.TB
	m     actions.Remembered
	at    time.Time
	rules watch.Rules
	quiet bool
	told  []string
	last  actions.Alert
}

func newTape(t testing.TB) *tape { return &tape{t: t, at: start, rules: watch.DefaultRules()} }

// see looks n times, every 30 s.
func (p *tape) see(n int, l look) *tape {
	for range n {
		next, a, kind := watch.Follow(p.m, l.report(p.at, p.m), p.rules, p.quiet)
		p.m, p.at = next, p.at.Add(30*time.Second)
		if kind == "" {
			continue
		}
		p.last = a
		p.told = append(p.told, fmt.Sprintf("%s %s %s", p.at.Add(-30*time.Second).Sub(start), loudness(a), words(a, kind)))
	}
	return p
}

func loudness(a actions.Alert) string {
	switch {
	case a.Quiet:
		return "."
	case a.Call:
		return "!"
	case a.Loud:
		return "+"
	}
	return "~"
}

func words(a actions.Alert, kind string) string {
	var codes []string
	for _, t := range a.Incident.Lasting() {
		codes = append(codes, map[actions.Level]string{actions.LevelWarning: "", actions.LevelCritical: "CRITICAL "}[t.Level]+t.Code)
	}
	if kind == actions.NewsRecovered {
		return "recovered after " + a.Incident.Ended.Sub(a.Incident.Since).String()
	}
	if a.Opened {
		return "new: " + strings.Join(codes, ", ")
	}
	return "now: " + strings.Join(codes, ", ")
}

func (p *tape) want(lines ...string) {
	p.t.Helper()
	if got, want := strings.Join(p.told, "\n"), strings.Join(lines, "\n"); got != want {
		p.t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

var (
	well     = look{health: actions.HealthOK}
	arming   = look{health: actions.HealthArming}
	blocked  = look{health: actions.HealthBlocked, blind: true}
	open     = look{health: actions.HealthUnprotected}
	gone     = look{health: actions.HealthPrimaryGone, blind: true}
	halfSeen = look{health: actions.HealthHalfSeen}
	lags     = look{health: actions.HealthLagging, behind: 20 << 20}
	lagsFar  = look{health: actions.HealthLagging, behind: 300 << 20}
)

func TestTroubleIsToldOnceAndItsEnd(t *testing.T) {
	t.Parallel()
	p := newTape(t).see(3, well).see(5, blocked).see(2, arming).see(4, well)
	p.want("1m30s ! new: CRITICAL writes-block", "5m0s + recovered after 3m30s")
	if p.m.Incident == nil || !p.m.Incident.Over() {
		t.Errorf("remembered %+v", p.m.Incident)
	}
}

func TestWorseAndBetterAreOneIncident(t *testing.T) {
	t.Parallel()
	newTape(t).see(1, well).see(2, blocked).see(2, gone).see(2, blocked).see(1, open).see(2, arming).see(2, well).want(
		"30s ! new: CRITICAL writes-block", "1m30s + now: CRITICAL primary-gone", "2m30s + now: CRITICAL writes-block",
		"3m30s + now: CRITICAL guarantee-off", "5m0s + recovered after 4m30s")
}

func TestFirstLooksAreNoNews(t *testing.T) {
	t.Parallel()
	newTape(t).see(3, arming).see(3, well).want()
}

func TestMildTroubleMustLast(t *testing.T) {
	t.Parallel()
	newTape(t).see(9, lags).see(1, well).see(9, lags).see(1, look{health: actions.HealthOK, blind: true}).see(9, lags).see(5, well).want()
	p := newTape(t).see(11, lags).see(3, well)
	p.want("5m0s + new: standby-lagging", "5m30s + recovered after 5m30s") // its beginning, not when it was told
}

func TestSevereLagIsToldAtOnceAndCalls(t *testing.T) {
	t.Parallel()
	newTape(t).see(1, well).see(2, lagsFar).see(2, lags).see(2, well).want(
		"30s ! new: CRITICAL standby-lagging", "1m30s + now: standby-lagging", "2m30s + recovered after 2m0s")
	newTape(t).see(11, lags).see(1, lagsFar).see(1, well).want(
		"5m0s + new: standby-lagging", "5m30s ! now: CRITICAL standby-lagging", "6m0s + recovered after 6m0s")
	newTape(t).see(1, look{health: actions.HealthLagging, behind: 1, late: 61 * time.Second}).want("0s ! new: CRITICAL standby-lagging")
	newTape(t).see(11, look{health: actions.HealthLagging, behind: 1, late: 6 * time.Second}).want("5m0s + new: standby-lagging")
	newTape(t).see(30, look{health: actions.HealthOK, behind: 0, late: time.Hour}).want() // a time without bytes says nothing
}

// TestLagAroundTheLimitIsToldOnce: it is over only below half of it.
func TestLagAroundTheLimitIsToldOnce(t *testing.T) {
	t.Parallel()
	below := look{health: actions.HealthOK, behind: 12 << 20}
	p := newTape(t).see(11, lags)
	for range 20 {
		p.see(1, below).see(1, lags)
	}
	p.see(1, look{health: actions.HealthOK, behind: 7 << 20})
	p.want("5m0s + new: standby-lagging", "25m30s + recovered after 25m30s")
}

func TestWhatIsNotKnownEndsNothing(t *testing.T) {
	t.Parallel()
	newTape(t).see(11, lags).see(20, look{health: actions.HealthOK, blind: true}).want("5m0s + new: standby-lagging")
}

func TestStandbyThatOnlyTheBotMissesIsToldLate(t *testing.T) {
	t.Parallel()
	newTape(t).see(10, halfSeen).see(2, well).want()
	newTape(t).see(12, halfSeen).see(1, well).want("5m0s + new: standby-unseen", "6m0s + recovered after 6m0s")
}

func TestSlots(t *testing.T) {
	t.Parallel()
	slot := func(name, status string, held uint64) look {
		return look{health: actions.HealthOK, slot: actions.Slot{Name: name, WALStatus: status, RestartLSN: 1<<40 - actions.LSN(held)}}
	}
	newTape(t).see(1, slot("twokey_dc2", "unreserved", 1)).see(1, well).want("0s ! new: CRITICAL slot-lost", "30s + recovered after 30s")
	newTape(t).see(1, slot("twokey_dc2", "lost", 1)).want("0s ! new: CRITICAL slot-lost")
	newTape(t).see(20, slot("somebody", "lost", 1)).want()
	newTape(t).see(11, slot("somebody", "extended", 2<<30)).see(3, slot("somebody", "reserved", 900<<20)).see(1, slot("somebody", "reserved", 1)).want(
		"5m0s + new: slot-growing", "7m0s + recovered after 7m0s")
}

// TestFlappingIsOneIncident that gets quieter: back and forth every half minute
// for half an hour.
func TestFlappingIsOneIncident(t *testing.T) {
	t.Parallel()
	p := newTape(t).see(1, well)
	for range 30 {
		p.see(1, blocked).see(1, well)
	}
	loud, calls, ids := 0, 0, map[string]bool{}
	for _, line := range p.told {
		if strings.Contains(line, " + ") || strings.Contains(line, " ! ") {
			loud++
		}
		if strings.Contains(line, " ! ") {
			calls++
		}
	}
	ids[p.last.Incident.ID] = true
	if loud > 6 || calls > 2 || p.m.Incident.Over() || len(ids) != 1 || p.m.Incident.Returns != 29 {
		t.Errorf("%d messages, %d calls, %d returns:\n%s", loud, calls, p.m.Incident.Returns, strings.Join(p.told, "\n"))
	}
	if len(p.m.Incident.Troubles) > 20 {
		t.Errorf("%d troubles are kept", len(p.m.Incident.Troubles))
	}
	before := len(p.told)
	p.see(29, well) // 14 min 30 s after the last one
	if len(p.told) != before {
		t.Errorf("told: %q", p.told[before:])
	}
	p.see(2, well)
	if last := p.told[len(p.told)-1]; !strings.Contains(last, "+ recovered after 44m30s") {
		t.Errorf("the end: %s", last)
	}
}

func TestTroubleLongAfterAnEndIsANewIncident(t *testing.T) {
	t.Parallel()
	p := newTape(t).see(1, blocked).see(1, well)
	first := p.m.Incident.ID
	p.see(20, well).see(1, blocked)
	if p.m.Incident.ID == first || p.m.Incident.Returns != 0 {
		t.Errorf("incident %+v", p.m.Incident)
	}
	p.want("0s ! new: CRITICAL writes-block", "30s + recovered after 30s", "11m0s ! new: CRITICAL writes-block")
}

func TestQuietHoursKeepTheMildForTheMorning(t *testing.T) {
	t.Parallel()
	p := newTape(t)
	p.quiet = true
	p.see(12, lags)
	p.quiet = false
	p.see(3, lags).want("5m0s . now: standby-lagging", "6m0s + new: standby-lagging")

	p = newTape(t)
	p.quiet = true
	p.see(12, lags).see(2, well).want("5m0s . now: standby-lagging", "6m0s . recovered after 6m0s")

	p = newTape(t)
	p.quiet = true
	p.see(12, lags).see(1, lagsFar).see(1, blocked).see(1, well).want(
		"5m0s . now: standby-lagging", "6m0s ! new: CRITICAL standby-lagging", "6m30s + now: CRITICAL writes-block, CRITICAL standby-lagging", "7m0s + recovered after 7m0s")
}

func TestQuietHoursOverMidnight(t *testing.T) {
	t.Parallel()
	at := func(h, m int) time.Time { return time.Date(2026, 1, 2, h, m, 0, 0, time.UTC) }
	night := watch.Quiet{From: 22 * time.Hour, To: 7 * time.Hour}
	noon := watch.Quiet{From: 12 * time.Hour, To: 13*time.Hour + 30*time.Minute}
	for _, row := range []struct {
		q    watch.Quiet
		at   time.Time
		want bool
	}{
		{night, at(21, 59), false}, {night, at(22, 0), true}, {night, at(3, 0), true}, {night, at(6, 59), true}, {night, at(7, 0), false},
		{noon, at(11, 59), false}, {noon, at(12, 0), true}, {noon, at(13, 29), true}, {noon, at(13, 30), false}, {watch.Quiet{}, at(0, 0), false},
	} {
		if row.q.At(row.at) != row.want {
			t.Errorf("%v at %s: %t", row.q, row.at.Format("15:04"), !row.want)
		}
	}
}

// TestGravestComesFirst: the order in which troubles are named is that of what
// they mean.
func TestGravestComesFirst(t *testing.T) {
	t.Parallel()
	i := actions.Incident{Troubles: []actions.Trouble{
		{Code: actions.TroubleSlotGrowing, Level: actions.LevelWarning}, {Code: actions.TroubleLagging, Level: actions.LevelWarning},
		{Code: actions.TroubleBlocked, Level: actions.LevelCritical}, {Code: actions.TroubleUnprotected, Level: actions.LevelCritical},
		{Code: actions.TroubleTwoPrimaries, Level: actions.LevelCritical, Until: start},
	}}
	var got []string
	for _, t := range i.Lasting() {
		got = append(got, t.Code)
	}
	if want := "guarantee-off writes-block standby-lagging slot-growing"; strings.Join(got, " ") != want {
		t.Errorf("order %q, want %q", got, want)
	}
}

// TestFollowingKeepsItsPromises whatever is seen: a lasting severe trouble has
// been told, an incident that is over has none, nothing ends before it begins.
func TestFollowingKeepsItsPromises(t *testing.T) {
	t.Parallel()
	looks := []look{well, arming, blocked, open, gone, halfSeen, lags, lagsFar, {health: actions.HealthOK, blind: true}, {health: actions.HealthUnseen, blind: true}}
	rapid.Check(t, func(rt *rapid.T) {
		p := newTape(t)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			p.quiet = rapid.Bool().Draw(rt, "quiet")
			l := rapid.SampledFrom(looks).Draw(rt, "look")
			p.see(rapid.IntRange(1, 12).Draw(rt, "times"), l)
			i := p.m.Incident
			if i == nil {
				continue
			}
			if i.Level() == actions.LevelCritical && i.Told != actions.LevelCritical {
				rt.Fatalf("a severe trouble was not told: %+v", i)
			}
			if i.Over() && len(i.Lasting()) > 0 {
				rt.Fatalf("over, with %v", i.Lasting())
			}
			if l.health == actions.HealthBlocked && (i.Over() || i.Level() != actions.LevelCritical) {
				rt.Fatalf("writes block, and the incident is %+v", i)
			}
			for _, tr := range i.Troubles {
				if !tr.Until.IsZero() && tr.Until.Before(tr.Since) {
					rt.Fatalf("%+v ends before it begins", tr)
				}
			}
		}
	})
}
