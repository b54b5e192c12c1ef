package actions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
)

// TestWhatMakesAPlanStale: facts of a plan against those of a later look. The
// names of the facts that differ are what people are told.
func TestWhatMakesAPlanStale(t *testing.T) {
	t.Parallel()
	standby := func(f func(*actions.Server)) change { return on("dc2", f) }
	for title, row := range map[string]struct {
		kind   actions.Kind
		base   change
		change change
		differ string // names, with commas
	}{
		"nothing moved": {switchover, nil, both(), ""},
		"WAL moves on":  {switchover, nil, progressed(1 << 24), ""},
		"replay lags": {switchover, nil, both(on("dc1", func(s *actions.Server) { s.FlushLSN += 1 << 28 }),
			walsender(func(s *actions.Standby) { s.Flush += 1 << 28 }), standby(func(s *actions.Server) { s.ReceiveLSN += 1 << 28 })), ""},
		"sessions wait for the standby":                {switchover, nil, on("dc1", func(s *actions.Server) { s.SyncWaiters = 12 }), ""},
		"a warning came":                               {switchover, nil, on("dc1", func(s *actions.Server) { s.Unlogged.Count = 2 }), ""},
		"a warning went":                               {switchover, on("dc1", func(s *actions.Server) { s.Unlogged.Count = 2 }), on("dc1", func(s *actions.Server) { s.Unlogged.Count = 0 }), ""},
		"a checkpoint happened":                        {switchover, nil, on("dc1", func(s *actions.Server) { s.Checkpoint.LSN, s.Checkpoint.Time = written, noon }), ""},
		"time went by":                                 {switchover, nil, func(e *actions.Evidence) { e.At = e.At.Add(time.Minute) }, ""},
		"a minor version came":                         {switchover, nil, standby(func(s *actions.Server) { s.VersionNum = 170012 }), ""},
		"the standby's own names, which the plan sets": {switchover, nil, setting("dc2", "synchronous_standby_names", ""), ""},
		"the platform's words for its fence":           {switchover, nil, platform("dc1", func(p *actions.Platform) { p.FenceText, p.Power = "other words", actions.PowerUnknown }), ""},
		"the standby reloads, so the latch is open":    {switchover, nil, standby(func(s *actions.Server) { s.ConfLoaded = noon }), "acknowledged loss"},

		"the roles were swapped":        {switchover, nil, swapped, "old primary, new primary, dc1 role, dc1 synchronous_standby_names, dc2 role, dc2 synchronous_standby_names"},
		"the primary went away":         {switchover, nil, disaster, "kind possible, dc1 role, dc1 system, dc1 version, dc1 timeline, dc1 synchronous_commit, dc1 synchronous_standby_names, dc2 timeline, synchronous now"},
		"the standby lost its stream":   {switchover, nil, detached, "kind possible, acknowledged loss, dc2 timeline, synchronous now, failed checks"},
		"the names changed in form":     {switchover, nil, names("FIRST 1 (dc2)"), "dc1 synchronous_standby_names"},
		"the names were emptied":        {switchover, nil, names(""), "kind possible, acknowledged loss, dc1 synchronous_standby_names, synchronous now, failed checks"},
		"synchronous_commit changed":    {switchover, nil, setting("dc1", "synchronous_commit", "remote_apply"), "dc1 synchronous_commit"},
		"a role commits on its own":     {switchover, nil, on("dc1", func(s *actions.Server) { s.SyncOverrides = []string{"role batch"} }), "kind possible, acknowledged loss, dc1 own synchronous_commit, synchronous now, failed checks"},
		"both are on another timeline":  {switchover, nil, both(on("dc1", func(s *actions.Server) { s.Timeline = 4 }), standby(func(s *actions.Server) { s.Receiver.Timeline = 4 })), "acknowledged loss, dc1 timeline, dc2 timeline"},
		"it is another system":          {switchover, nil, both(on("dc1", func(s *actions.Server) { s.SystemID = "1" }), standby(func(s *actions.Server) { s.SystemID = "1" })), "acknowledged loss, dc1 system, dc2 system"},
		"a major version came":          {switchover, nil, both(on("dc1", func(s *actions.Server) { s.VersionNum = 180001 }), standby(func(s *actions.Server) { s.VersionNum = 180001 })), "dc1 version, dc2 version"},
		"a node's address changed":      {switchover, nil, func(e *actions.Evidence) { e.Pair.Nodes[1].Host = "10.2.0.6" }, "dc2 address"},
		"a node's port changed":         {switchover, nil, func(e *actions.Evidence) { e.Pair.Nodes[0].Port = 5433 }, "dc1 address"},
		"the primary's driver went":     {switchover, nil, platform("dc1", func(p *actions.Platform) { p.CanStop = false }), "kind possible, dc1 driver, failed checks"},
		"the primary's fence went":      {switchover, nil, platform("dc1", func(p *actions.Platform) { p.CanFence = false }), "dc1 fence"},
		"a base backup began":           {switchover, nil, on("dc1", func(s *actions.Server) { s.BaseBackups = 1 }), "kind possible, failed checks"},
		"replay was paused":             {switchover, nil, standby(func(s *actions.Server) { s.ReplayPause = "paused" }), "kind possible, failed checks"},
		"one obstacle replaced another": {switchover, on("dc1", func(s *actions.Server) { s.BaseBackups = 1 }), both(on("dc1", func(s *actions.Server) { s.BaseBackups = 0 }), standby(func(s *actions.Server) { s.ReplayPause = "paused" })), "failed checks"},

		"a disaster goes on":                      {failover, disaster, func(e *actions.Evidence) { e.At = e.At.Add(time.Minute) }, ""},
		"replay goes on without its primary":      {failover, disaster, standby(func(s *actions.Server) { s.ReplayLSN -= 8 }), ""},
		"the primary is away in another way":      {failover, disaster, gone("dc1", actions.Silent, "no answer within 3s"), ""},
		"the lost primary answers again":          {failover, disaster, on1(healthyPrimary()), "kind possible, acknowledged loss, dc1 role, dc1 system, dc1 version, dc1 timeline, dc1 synchronous_commit, dc1 synchronous_standby_names"},
		"the standby went away, too":              {failover, disaster, gone("dc2", actions.Silent, "silent"), "kind possible, old primary, new primary, acknowledged loss, dc2 role, dc2 system, dc2 version, dc2 timeline, dc2 synchronous_commit, dc2 synchronous_standby_names"},
		"the standby was promoted by others":      {failover, disaster, standby(func(s *actions.Server) { s.InRecovery, s.Timeline = false, 4 }), "kind possible, old primary, new primary, acknowledged loss, dc2 role, dc2 timeline, dc2 synchronous_standby_names, failed checks"},
		"the standby streams again":               {failover, disaster, standby(func(s *actions.Server) { s.Receiver = &actions.Receiver{Status: "streaming", Timeline: 3} }), "acknowledged loss, dc2 timeline"},
		"the standby was restarted":               {failover, disaster, standby(func(s *actions.Server) { s.StartedAt = noon }), "acknowledged loss"},
		"the standby can't be frozen any more":    {failover, disaster, setting("dc2", "allow_alter_system", "off"), "kind possible, failed checks"},
		"the fence of the lost primary went away": {failover, disaster, platform("dc1", func(p *actions.Platform) { p.CanFence = false }), "dc1 fence"},

		"the node to rejoin looks different now": {actions.KindRejoin, gone("dc2", actions.Silent, "silent"), on2(healthyStandby()), ""},
		"the primary has other names":            {actions.KindRejoin, gone("dc2", actions.Silent, "silent"), setting("dc1", "synchronous_standby_names", ""), "dc1 synchronous_standby_names"},
		"the node to rejoin moved":               {actions.KindRejoin, gone("dc2", actions.Silent, "silent"), func(e *actions.Evidence) { e.Pair.Nodes[1].Host = "10.2.0.6" }, "dc2 address"},
		"the primary is on another timeline":     {actions.KindRejoin, gone("dc2", actions.Silent, "silent"), on("dc1", func(s *actions.Server) { s.Timeline = 4 }), "dc1 timeline"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			base := []change{}
			if row.base != nil {
				base = append(base, row.base)
			}
			plan := actions.FactsFor(but(base...), row.kind, actions.Block)
			fresh := actions.FactsFor(but(append(base, row.change)...), row.kind, actions.Block)
			var differ []string
			for _, d := range plan.Diff(fresh) {
				differ = append(differ, d.Name)
				if d.Was == d.Is || d.Is == "" {
					t.Errorf("a difference that says nothing: %+v", d)
				}
			}
			if got := strings.Join(differ, ", "); got != row.differ {
				t.Errorf("differing: %q\nwant:      %q", got, row.differ)
			}
		})
	}
}

func on1(s *actions.Server) change { return answering(0, s) }
func on2(s *actions.Server) change { return answering(1, s) }

func answering(i int, s *actions.Server) change {
	return func(e *actions.Evidence) { e.Nodes[i].Server, e.Nodes[i].Failure = s, nil }
}

func TestFactsDiff(t *testing.T) {
	t.Parallel()
	was := actions.Facts{{Name: "a", Value: "1"}, {Name: "b", Value: ""}, {Name: "c", Value: "3"}}
	for title, row := range map[string]struct {
		fresh actions.Facts
		want  []actions.Difference
	}{
		"the same facts in another order": {actions.Facts{was[2], was[0], was[1]}, nil},
		"a value changed":                 {actions.Facts{{Name: "a", Value: "2"}, was[1], was[2]}, []actions.Difference{{Name: "a", Was: "1", Is: "2"}}},
		"a value was emptied":             {actions.Facts{{Name: "a"}, was[1], was[2]}, []actions.Difference{{Name: "a", Was: "1", Is: "nothing"}}},
		"a fact is gone":                  {actions.Facts{was[0], was[1]}, []actions.Difference{{Name: "c", Was: "3", Is: "nothing"}}},
		"a fact that was empty is gone":   {actions.Facts{was[0], was[2]}, nil},
		"a fact came, but empty":          {append(slices.Clone(was), actions.Fact{Name: "d"}), nil},
		"a fact came":                     {append(slices.Clone(was), actions.Fact{Name: "d", Value: "4"}), []actions.Difference{{Name: "d", Was: "nothing", Is: "4"}}},
		"all are gone":                    {nil, []actions.Difference{{Name: "a", Was: "1", Is: "nothing"}, {Name: "c", Was: "3", Is: "nothing"}}},
	} {
		if got := was.Diff(row.fresh); !slices.Equal(got, row.want) {
			t.Errorf("%s: %+v, want %+v", title, got, row.want)
		}
	}
}
