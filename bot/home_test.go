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

// openHome opens somebody's Home and waits until it shows the words.
func (b *bundle) openHome(user, want string) slacksim.View {
	b.t.Helper()
	b.must(b.OpenHome(user))
	return b.homeShows(user, want)
}

func (b *bundle) homeShows(user, want string) (v slacksim.View) {
	b.t.Helper()
	b.await("a Home of "+user+" with "+want, func(s *slacksim.Snapshot) bool {
		var ok bool
		v, ok = s.Home(user)
		return ok && strings.Contains(b.PlainView(v), want)
	})
	return v
}

// pressHome presses a button of a pair on somebody's Home.
func (b *bundle) pressHome(user, action string) {
	b.t.Helper()
	v, ok := b.Snapshot().Home(user)
	if !ok {
		b.t.Fatalf("%s has no Home", user)
	}
	d, err := b.PressView(b.ctx, user, v.ID, action, "")
	if err != nil || !d.Acknowledged() {
		b.t.Fatalf("%s presses %s: %v, %s", user, action, err, d.Failure)
	}
}

func TestTheHomeShowsAndFollowsTheState(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.remembers("orders", func(m *actions.Remembered) {
		m.Health, m.HealthSince, m.Primary = actions.HealthOK, time.Now().Add(-time.Hour), "dc1"
	})
	v := b.openHome(dba1, "1 of 1 pair well")
	for _, want := range []string{"orders: synchronous since", "dc1 (10.0.1.5:5432) is the primary, dc2 (10.0.2.5:5432) its standby", "No failover so far.", "[Status]  [Checks]  [Lag]", "[Fail over …]"} {
		if got := b.PlainView(v); !strings.Contains(got, want) {
			t.Errorf("the Home lacks %q:\n%s", want, got)
		}
	}
	m := b.ask()
	b.homeShows(dba1, "1 open request")
	b.press(dba1, m.TS, "approve")
	b.homeShows(dba1, "1 of 2 approvals")
	b.press(dba2, m.TS, "approve")
	b.message("2 of 2 approvals")
	r := b.asked()
	b.must(b.desk.claim(b.ctx, r.ID))
	b.must(b.desk.finish(b.ctx, r.ID, approvals.Succeed, "", switchoverOutcome()))
	done := b.asked()
	b.desk.mu.Lock()
	b.desk.last = &done
	b.desk.mu.Unlock()
	b.say(dba1, "pause -- disk is being replaced")
	v = b.homeShows(dba1, "Paused by dba-1")
	for _, want := range []string{"Last failover: switchover", "writes paused for 73 ms", "[Resume …]"} {
		if got := b.PlainView(v); !strings.Contains(got, want) {
			t.Errorf("the Home lacks %q:\n%s", want, got)
		}
	}
	before := b.Snapshot().Calls("views.publish")
	b.store.Append(approvals.Event{At: time.Now(), Subject: "bot", Kind: "nothing to see"})
	b.settled()
	b.say(oncall, "status")
	b.message("MEMBER")
	if after := b.Snapshot().Calls("views.publish"); after != before {
		t.Errorf("%d publications of what was shown already", after-before)
	}
}

func TestTheHomesButtonsDoWhatTheCommandsDo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.desk.lag = aDay()
	b.openHome(dba1, "not looked at yet")
	for _, row := range []struct{ action, want string }{
		{"home-status", "MEMBER"}, {"home-verify", "0 of 4 checks failed"}, {"home-plan", "Dry run: Switchover of orders"},
		{"home-history", "Nothing was ever asked for of orders."}, {"home-lag", "The chart is in"},
	} {
		b.pressHome(dba1, row.action)
		b.await("a view with "+row.want, func(s *slacksim.Snapshot) bool {
			all := s.Modals(dba1)
			return len(all) == 1 && strings.Contains(b.PlainView(all[0]), row.want)
		})
	}
	if m := b.message("Replication lag of orders, last 1h"); len(m.Files) != 1 {
		t.Errorf("no chart in the channel:\n%s", b.Transcript())
	}
}

func TestTheHomesFormsAskAndPause(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.openHome(dba1, "not looked at yet")
	submit := func(action, title, reason string) slacksim.Delivery {
		t.Helper()
		b.pressHome(dba1, action)
		v := b.modal(dba1, title)
		d, err := b.SubmitModal(b.ctx, dba1, v.ID, map[string]string{"text": reason})
		if err != nil || !d.Acknowledged() {
			t.Fatalf("%s: %v %s", action, err, d.Failure)
		}
		return d
	}
	if d := submit("home-pause", "Nothing is carried out on the pair", " \u200b "); !strings.Contains(string(d.Response), "errors") {
		t.Errorf("a pause without a reason was answered with %s", d.Response)
	}
	submit("home-pause", "Nothing is carried out on the pair", "disk <!channel>")
	if m := b.message("orders is paused"); !strings.Contains(m.Text, "dba-1") || !strings.Contains(m.Text, "disk &lt;!channel&gt;") {
		t.Errorf("the channel reads\n%s", m.Text)
	}
	b.homeShows(dba1, "[Resume …]")
	submit("home-resume", "Ends the pause", "")
	b.message("orders is resumed")
	b.homeShows(dba1, "[Fail over …]")
	submit("home-failover", "asks two approvers", "kernel upgrade")
	b.message("Switchover of orders: 0 of 2 approvals")
	r := b.asked()
	if r.Requester != "dba-1" || r.Reason != "kernel upgrade" || r.Place != "slack:"+team+"/"+ops {
		t.Errorf("request %+v", r)
	}
	b.press(dba2, b.message("0 of 2 approvals").TS, "approve")
	b.message("1 of 2 approvals")
}

// TestThreatButtonOfTheHomeInOthersHands: a delivery that names the Home proves
// nothing; the account, the team, the app and the pair are looked at.
func TestThreatButtonOfTheHomeInOthersHands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user, userTeam, team, app, pair, callback string
		told                                      string
	}{
		"a guest":             {guest, team, team, slacksim.AppID, "orders", "home-failover", "Only the people of the bot"},
		"a connected account": {dba1, "T0OTHER001", team, slacksim.AppID, "orders", "home-pause", "Only the people of the bot"},
		"another team":        {dba1, team, "T0OTHER001", slacksim.AppID, "orders", "home-pause", "another Slack team"},
		"another app":         {dba1, team, team, "A0OTHER001", "orders", "home-pause", "another Slack app"},
		"another pair":        {dba1, team, team, slacksim.AppID, "billing", "home-pause", "no pair"},
		"another form":        {dba1, team, team, slacksim.AppID, "orders", "home-promote", "not one of mine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, func(s *setup) { s.bot.AppID = slacksim.AppID })
			private, err := json.Marshal(map[string]any{"p": c.pair})
			b.must(err)
			payload, err := json.Marshal(map[string]any{
				"type": "view_submission", "trigger_id": "forged", "api_app_id": c.app, "team": map[string]any{"id": c.team},
				"user": map[string]any{"id": c.user, "team_id": c.userTeam},
				"view": map[string]any{"id": "V1", "callback_id": c.callback, "private_metadata": string(private), "state": map[string]any{"values": map[string]any{"text": map[string]any{"text": map[string]any{"value": "because"}}}}},
			})
			b.must(err)
			d, err := b.Deliver(b.ctx, "interaction", json.RawMessage(payload))
			b.must(err)
			if !overSocketMode(t) && !strings.Contains(string(d.Response), c.told) { // there an acknowledgement is kept for the simulator's own forms
				t.Errorf("answered with %s", d.Response)
			}
			b.stop()
			open, err := b.store.Open(b.ctx)
			if err != nil || len(open) > 0 || b.store.count(actions.NewsPaused) > 0 {
				t.Errorf("%d requests, %d pauses, %v", len(open), b.store.count(actions.NewsPaused), err)
			}
		})
	}
}

func TestTheHomeReads(t *testing.T) {
	t.Parallel()
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	state := func(name string, m actions.Remembered) actions.PairState {
		p := ordersPair()
		p.Name = name
		return actions.PairState{Pair: p, Memory: m}
	}
	open := newTale(t, switchoverPlan()).scene.Request
	done := newTale(t, failoverPlan()).claimed().finished(approvals.Succeed, "", actions.Outcome{WritePause: 73 * time.Millisecond}).scene.Request
	states := []actions.PairState{
		state("orders", actions.Remembered{Health: actions.HealthOK, HealthSince: at(-60), Primary: "dc1"}),
		state("billing", actions.Remembered{Health: actions.HealthBlocked, HealthSince: at(-5), Primary: "dc2", Incident: &actions.Incident{Since: at(-5), Troubles: []actions.Trouble{{Code: actions.TroubleBlocked, Level: actions.LevelCritical, Since: at(-5)}}}}),
		state("stock", actions.Remembered{}),
		state("users", actions.Remembered{Health: actions.HealthOK, HealthSince: at(-60), Primary: "dc1", RejoinWanted: "dc2", Unprotected: at(-30), Paused: &actions.Paused{By: "dba-1", At: at(-10), Why: "disk"}}),
	}
	states[0].Open = &open
	golden(t, "home", bot.RenderHome(states, map[string]*approvals.Request{"billing": &done}))
}

func TestAHomeOfAThousandPairsIsLawful(t *testing.T) {
	t.Parallel()
	var states []actions.PairState
	for i := range 1000 {
		p := ordersPair()
		p.Name = fmt.Sprintf("pair%03d", i)
		health := actions.HealthOK
		if i == 777 {
			health = actions.HealthUnprotected
		}
		states = append(states, actions.PairState{Pair: p, Memory: actions.Remembered{Health: health, HealthSince: noon, Primary: "dc1"}})
	}
	raw := bot.HomeView(states)
	lawfulView(t, "home", raw)
	if at := strings.Index(string(raw), "pair777"); at < 0 || at > 1000 {
		t.Errorf("the sick pair is not the first: at %d", at)
	}
	for name, form := range bot.HomeForms(strings.Repeat("x", 40)) {
		lawfulView(t, name, form)
	}
}
