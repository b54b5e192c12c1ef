package actions_test

import (
	"testing"
	"time"

	"twokey/actions"
)

// TestLateness: how late the standby is, look by look, every ten seconds.
func TestLateness(t *testing.T) {
	t.Parallel()
	took := func(d time.Duration) *time.Duration { return &d }
	type look struct {
		flush, replay actions.LSN
		says          *time.Duration // the primary's replay_lag
		want          time.Duration  // 0 for not known or none
		why           string
	}
	for title, looks := range map[string][]look{
		"nothing is behind": {
			{1000, 1000, took(3 * time.Second), 0, "a time without bytes says nothing"},
			{2000, 2000, nil, 0, "nor does an idle pair"},
		},
		"a moment behind under writes": {
			{1000, 900, took(4 * time.Millisecond), 4 * time.Millisecond, "the primary's own word"},
			{2000, 1900, nil, 0, "all of the last look is replayed, and the primary doesn't know"},
			{3000, 2900, nil, 0, "again"},
		},
		"replay is paused, and replay_lag stays small": {
			{1000, 1000, took(4 * time.Millisecond), 0, "all is well"},
			{2000, 1000, took(4 * time.Millisecond), 4 * time.Millisecond, "nothing more is known yet"},
			{3000, 1000, took(4 * time.Millisecond), 10 * time.Second, "what was there ten seconds ago is not replayed"},
			{4000, 1500, took(4 * time.Millisecond), 20 * time.Second, "still not all of it"},
			{5000, 2000, took(4 * time.Millisecond), 4 * time.Millisecond, "now it is; from here on it is measured anew"},
			{6000, 2000, nil, 10 * time.Second, "and that again is not replayed"},
			{6000, 6000, nil, 0, "caught up"},
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			var m actions.Remembered
			for i, l := range looks {
				e := but(memory(func(was *actions.Remembered) { was.Replaying = m.Replaying }), on("dc1", func(s *actions.Server) {
					s.FlushLSN, s.Standbys[0].Flush, s.Standbys[0].Replay, s.Standbys[0].ReplayLag = l.flush, l.flush, l.replay, l.says
				}))
				e.At = e.At.Add(time.Duration(i) * 10 * time.Second)
				got := actions.Report{Evidence: e, Verdict: actions.Judge(e)}.Late()
				if (got == nil) != (l.want == 0) || got != nil && *got != l.want {
					t.Errorf("look %d: %v, want %s: %s", i, got, l.want, l.why)
				}
				m = actions.Remembering(e)
			}
		})
	}
}

// TestLatenessDoesNotOutliveItsPrimary: after a promotion positions begin anew.
func TestLatenessDoesNotOutliveItsPrimary(t *testing.T) {
	t.Parallel()
	mark := &actions.Waymark{LSN: 1 << 40, Timeline: 2, At: but().At.Add(-time.Hour)}
	e := but(memory(func(m *actions.Remembered) { m.Replaying = mark }), on("dc1", func(s *actions.Server) { s.Standbys[0].Replay-- }))
	if got := (actions.Report{Evidence: e, Verdict: actions.Judge(e)}).Late(); got != nil && *got >= time.Minute {
		t.Errorf("late by %s", *got)
	}
	if m := actions.Remembering(e); m.Replaying == nil || *m.Replaying == *mark {
		t.Errorf("remembered %+v", m.Replaying)
	}
}

func TestLateAloneIsLagging(t *testing.T) {
	t.Parallel()
	e := but(on("dc1", func(s *actions.Server) { s.Standbys[0].Replay -= 64 }), memory(func(m *actions.Remembered) {
		m.Replaying = &actions.Waymark{LSN: 1 << 50, Timeline: 3, At: but().At.Add(-6 * time.Second)}
	}))
	if v := actions.Judge(e); v.Health != actions.HealthLagging {
		t.Errorf("health %s", v.Health)
	}
}
