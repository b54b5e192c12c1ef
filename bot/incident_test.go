package bot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"twokey/actions"
	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
)

// told appends the event of an incident's change, as watch does, and remembers it.
func (b *bundle) told(pair, kind string, a actions.Alert) {
	b.t.Helper()
	a.Pair = pair
	raw, err := json.Marshal(a)
	b.must(err)
	b.desk.remembers(pair, func(m *actions.Remembered) { m.Incident = &a.Incident })
	b.store.Append(approvals.Event{At: time.Now(), Subject: approvals.PairSubject(pair), Kind: kind, Data: raw})
}

func blockedIncident(id string) actions.Incident {
	return actions.Incident{ID: id, Since: time.Now().Add(-time.Minute), Worst: actions.LevelCritical, Told: actions.LevelCritical, Troubles: []actions.Trouble{
		{Code: actions.TroubleBlocked, Level: actions.LevelCritical, Since: time.Now().Add(-time.Minute), Text: "dc2 is away, so commits on dc1 wait."}}}
}

// withMore is an incident with one more trouble.
func withMore(i actions.Incident, code string, level actions.Level) actions.Incident {
	i.Troubles = append(append([]actions.Trouble{}, i.Troubles...), actions.Trouble{Code: code, Level: level, Since: time.Now(), Text: "More is wrong: " + code + "."})
	i.Worst = max(i.Worst, level)
	return i
}

func over(i actions.Incident) actions.Incident {
	i.Troubles = append([]actions.Trouble{}, i.Troubles...)
	i.Ended = time.Now()
	for n := range i.Troubles {
		i.Troubles[n].Until = time.Now()
	}
	return i
}

func calling(s *setup) {
	s.bot.Alerts = bot.Alerts{Mention: "S0ONCALL01", Runbook: "https://sim.example/alerts"}
}

func TestAnIncidentIsOneMessageWithAThread(t *testing.T) {
	t.Parallel()
	b := newBundle(t, calling)
	i := blockedIncident("orders/1")
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: i, Opened: true, Loud: true, Call: true})
	main := b.message("🚨 orders: writes block")
	for _, want := range []string{"dc2 is away, so commits on dc1 wait. <!subteam^S0ONCALL01>", "<https://sim.example/alerts#writes-block|What to do>"} {
		if !strings.Contains(main.Text, want) {
			t.Errorf("the alert lacks %q:\n%s", want, main.Text)
		}
	}
	b.settled()
	worse := withMore(i, actions.TroubleUnprotected, actions.LevelCritical)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: worse, Loud: true, Call: true, Text: "dc1 acknowledges alone."})
	b.message("🚨 orders: zero-loss guarantee off")
	silent := withMore(worse, actions.TroubleSlotGrowing, actions.LevelWarning)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: silent})
	b.message("a replication slot keeps too much")
	b.told("orders", actions.NewsRecovered, actions.Alert{Incident: over(silent), Loud: true, Health: actions.HealthOK, Text: "Commits wait again."})
	b.await("the alert to be over, and its thread", func(s *slacksim.Snapshot) bool {
		all := s.Messages(ops)
		return len(all) == 3 && strings.Contains(all[0].Text, "✅ orders: over after 1 min")
	})
	all := b.Messages(ops)
	if all[0].TS != main.TS || !strings.Contains(all[0].Text, "✓ writes block: from") {
		t.Errorf("the first message reads\n%s", all[0].Text)
	}
	for n, want := range map[int]string{1: "🚨 orders: dc1 acknowledges alone. <!subteam^S0ONCALL01>", 2: "✅ orders: over after 1 min"} {
		m := all[n]
		if m.ThreadTS != main.TS || !m.Broadcast || !strings.Contains(m.Text, want) {
			t.Errorf("reply %d in thread %q (broadcast %t):\n%s", n, m.ThreadTS, m.Broadcast, m.Text)
		}
	}
	if !strings.Contains(all[1].Text, "<!subteam^") || strings.Contains(all[2].Text, "<!subteam^") {
		t.Errorf("people are called by the wrong messages:\n%s\n%s", all[1].Text, all[2].Text)
	}
}

func TestAMildIncidentCallsNobodyAndStaysInItsThread(t *testing.T) {
	t.Parallel()
	b := newBundle(t, calling)
	i := withMore(actions.Incident{ID: "orders/2", Since: time.Now()}, actions.TroubleLagging, actions.LevelWarning)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: i, Opened: true, Loud: true})
	b.message("⚠️ orders: the standby lags")
	b.told("orders", actions.NewsRecovered, actions.Alert{Incident: over(i), Loud: true, Health: actions.HealthOK, Text: "All is well."})
	b.await("the end", func(s *slacksim.Snapshot) bool { return len(s.Messages(ops)) == 2 })
	for _, m := range b.Messages(ops) {
		if strings.Contains(m.Text, "<!") && strings.Contains(m.Text, "subteam") || m.Broadcast {
			t.Errorf("somebody is called, or the channel told twice:\n%s", m.Text)
		}
	}
}

func TestWhatHappensInQuietHoursIsNotPosted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	i := withMore(actions.Incident{ID: "orders/3", Since: time.Now()}, actions.TroubleLagging, actions.LevelWarning)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: i, Quiet: true})
	b.told("orders", actions.NewsRecovered, actions.Alert{Incident: over(i), Quiet: true})
	b.settled()
	if n := len(b.Messages(ops)); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestManyIncidentsAtOnceShareAMessage(t *testing.T) {
	t.Parallel()
	var names []string
	b := newBundle(t, calling, func(s *setup) {
		s.pairs = nil
		for n := range 12 {
			p := ordersPair()
			p.Name = fmt.Sprintf("pair%02d", n)
			s.pairs, names = append(s.pairs, p), append(names, p.Name)
		}
	})
	incidents := map[string]actions.Incident{}
	for _, name := range names {
		i := blockedIncident(name + "/1")
		i.Group = "incidents/1"
		incidents[name] = i
		b.told(name, actions.NewsAlert, actions.Alert{Incident: i, Opened: true, Loud: true, Call: true})
	}
	b.message("Trouble with 12 pairs at once, 12 of them still")
	for n, name := range names {
		b.told(name, actions.NewsRecovered, actions.Alert{Incident: over(incidents[name]), Loud: true})
		if n == 4 {
			b.message("Trouble with 12 pairs at once, 7 of them still")
		}
	}
	b.message("✅ 12 pairs that had trouble at once: over")
	b.message("All 12 pairs are well again")
	b.settled()
	if n := len(b.Messages(ops)); n != 2 {
		t.Errorf("%d messages instead of one and its end:\n%s", n, b.Transcript())
	}
	if calls := strings.Count(b.Messages(ops)[0].Text, "<!subteam"); calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestAReplyWhosePostIsUncertainIsLookedForInItsThread(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	i := withMore(actions.Incident{ID: "orders/4", Since: time.Now()}, actions.TroubleLagging, actions.LevelWarning)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: i, Opened: true, Loud: true})
	b.message("orders: the standby lags")
	b.settled()
	b.Fail("chat.postMessage", slacksim.Lost().Times(1))
	more := withMore(i, actions.TroubleSlotGrowing, actions.LevelWarning)
	b.told("orders", actions.NewsAlert, actions.Alert{Incident: more, Loud: true})
	b.await("the reply", func(s *slacksim.Snapshot) bool { return s.Calls("conversations.replies") > 0 })
	b.settled()
	if n := len(b.Messages(ops)); n != 2 {
		t.Errorf("%d messages instead of one and its reply:\n%s", n, b.Transcript())
	}
}

// TestAnIncidentThatLastsIsToldHoweverLate, one that is over only with others.
func TestAnIncidentThatLastsIsToldHoweverLate(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Fail(slacksim.Any, slacksim.Down())
	lasts, gone := blockedIncident("orders/5"), blockedIncident("billing/5")
	past := time.Now().Add(-time.Hour)
	late := func(pair, kind string, a actions.Alert) {
		a.Pair = pair
		raw, err := json.Marshal(a)
		b.must(err)
		b.store.Append(approvals.Event{At: past, Subject: approvals.PairSubject(pair), Kind: kind, Data: raw})
	}
	late("orders", actions.NewsAlert, actions.Alert{Incident: lasts, Opened: true, Loud: true})
	late("billing", actions.NewsAlert, actions.Alert{Incident: gone, Opened: true, Loud: true})
	late("billing", actions.NewsRecovered, actions.Alert{Incident: over(gone), Loud: true, Health: actions.HealthOK})
	b.store.Append(approvals.Event{At: past, Subject: "bot", Kind: actions.NewsReport, Data: json.RawMessage(`{"rows":[]}`)})
	b.Heal(slacksim.Any)
	b.message("🚨 orders: writes block")
	b.message("Told late: 2 messages")
	b.settled()
	if n := len(b.Messages(ops)); n != 2 {
		t.Errorf("%d messages:\n%s", n, b.Transcript())
	}
}

func TestIncidentsRead(t *testing.T) {
	t.Parallel()
	how := bot.Alerts{Mention: "S0ONCALL01", Runbook: "https://sim.example/alerts"}
	e := approvals.Event{Seq: 9, At: noon, Subject: "pair/orders", Kind: actions.NewsAlert, Hash: "ff"}
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	opened := actions.Alert{Pair: "orders", Health: actions.HealthBlocked, Call: true, Opened: true, Incident: actions.Incident{
		ID: "orders/1", Since: at(-1), Worst: actions.LevelCritical, Troubles: []actions.Trouble{
			{Code: actions.TroubleBlocked, Level: actions.LevelCritical, Since: at(-1), Text: "dc2 is away, so commits on dc1 wait: applications can't write until it is back"}}}}
	flapping := opened
	flapping.Paused = &actions.Paused{By: "dba-1", At: at(-60), Why: "disk of dc2 is being replaced"}
	flapping.Incident.Returns = 3
	flapping.Incident.Troubles = []actions.Trouble{
		{Code: actions.TroubleBlocked, Level: actions.LevelCritical, Since: at(-9), Until: at(-7), Text: "x"}, {Code: actions.TroubleLagging, Level: actions.LevelWarning, Since: at(-5), Text: "dc2 has 20 MiB that it has not replayed."},
		{Code: actions.TroubleUnprotected, Level: actions.LevelCritical, Since: at(-2), Text: "dc1 acknowledges writes that may be on no standby: if it is lost now, they are lost."}}
	calm := flapping
	calm.Text, calm.Paused = "Over, for now: it came back 3 times, so it counts as over after 8m0s without trouble.", nil
	calm.Incident.Troubles = flapping.Incident.Troubles[:1]
	ended := calm
	ended.Health, ended.Text, ended.Incident.Ended = actions.HealthOK, "Commits on dc1 wait for dc2, and that was shown.", at(0)
	mild := actions.Alert{Pair: "orders", Incident: actions.Incident{ID: "orders/2", Since: at(-5), Worst: actions.LevelWarning, Troubles: flapping.Incident.Troubles[1:2]}}
	for name, a := range map[string]actions.Alert{"opened": opened, "flapping": flapping, "calm": calm, "ended": ended, "mild": mild} {
		m, c := bot.RenderIncident(e, a, how), bot.RenderChange(e, a, how)
		lawfulMessage(t, name, m)
		golden(t, "incident_"+name, m)
		lawfulMessage(t, name, c)
		golden(t, "change_"+name, c)
	}
	golden(t, "incident_without_runbook", bot.RenderIncident(e, mild, bot.Alerts{}))
	members := []actions.PairState{{Pair: actions.Pair{Name: "orders"}, Memory: actions.Remembered{Incident: &opened.Incident}}, {Pair: actions.Pair{Name: "billing"}, Memory: actions.Remembered{Incident: &ended.Incident}},
		{Pair: actions.Pair{Name: "stock"}, Memory: actions.Remembered{Incident: &calm.Incident}}}
	golden(t, "group", bot.RenderGroup(members, how))
	golden(t, "group_ended", bot.RenderGroup(members[1:2], how))
	golden(t, "group_over", bot.RenderGroupOver(members[1:2]))
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	n := func(v uint64) *uint64 { return &v }
	for want, lag := range map[string][]*uint64{
		"": nil, "▁▁": {n(0), n(0)}, "▁·█": {n(0), nil, n(1 << 40)}, "▁▂▃▄▅▆▇█": {n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7)}, "··": {nil, nil}, "█": {n(5)},
	} {
		if got := bot.Sparkline(lag); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
