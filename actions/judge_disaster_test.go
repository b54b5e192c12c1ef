package actions_test

import (
	"testing"
	"time"

	"twokey/actions"
)

// TestJudgeDisaster: the primary gave no answer. What can be said rests on what
// was seen before and on what the standby shows now.
func TestJudgeDisaster(t *testing.T) {
	t.Parallel()
	row := func(loss actions.Loss, kind actions.Kind, failed, warned, says string, changes ...change) judged {
		return judged{but(disaster, both(changes...)), actions.HealthPrimaryGone, loss, kind, failed, warned, says}
	}
	proven := func(says string, changes ...change) judged { return row(none, failover, "", "", says, changes...) }
	doubted := func(says string, changes ...change) judged { return row(unproven, failover, "", "", says, changes...) }
	reach := func(r actions.Reach, text string) change { return gone("dc1", r, text) }
	standby := func(f func(*actions.Server)) change { return on("dc2", f) }
	judgeAll(t, map[string]judged{
		"the primary refuses connections, the latch held ten seconds ago → proven as of then": proven("proven as of 2026-03-01 11:59:50 UTC (10 s ago), assuming that nobody changed dc1's settings since"),
		"the primary is silent, the latch held → proven as of then":                           proven("dc1 gave no answer (no answer within 3s)", reach(actions.Silent, "no answer within 3s")),
		"the primary is starting and starting":                                                proven("the database system is starting up", reach(actions.Starting, "the database system is starting up")),
		"the standby's control file lags behind the timeline that it received":                proven("", standby(func(s *actions.Server) { s.Timeline = 2 })),
		"the standby holds exactly what it had flushed":                                       proven("", standby(func(s *actions.Server) { s.ReceiveLSN, s.ReplayLSN = highest, highest })),
		"the standby has reloaded since, which takes nothing from it":                         proven("", standby(func(s *actions.Server) { s.ConfLoaded = ago(time.Second) })),
		"the roles were the other way round": {
			but(swapped, gone("dc2", actions.Silent, "silent"), on("dc1", func(s *actions.Server) { s.Receiver, s.Receivers = nil, 0 })),
			actions.HealthPrimaryGone, none, failover, "", "", "nobody changed dc2's settings"},
		"replay is paused on the standby: the freeze resumes it":               row(none, failover, "standby.replay", "", "replay is paused", standby(func(s *actions.Server) { s.ReplayPause = "paused" })),
		"a restore_command is the business of the freeze, not of the failover": row(none, failover, "standby.restore", "", "restore_command is set", setting("dc2", "restore_command", "cp %f %p")),
		"unlogged tables are empty after a failover, too":                      row(none, failover, "", "unlogged", "1 unlogged tables", standby(func(s *actions.Server) { s.Unlogged.Count = 1 })),

		"without a latch nothing is proven, a failover is possible all the same": doubted("dc2 was not shown to be synchronous before dc1 went away", memory(func(m *actions.Remembered) { m.Latch = nil })),
		"without the store nothing is known of before":                           doubted("nothing is known of before", func(e *actions.Evidence) { e.HasMemory, e.Memory = false, actions.Remembered{} }),
		"the latch was for the other direction":                                  doubted("not shown to be synchronous", latch(func(l *actions.Latch) { l.Primary, l.Standby, l.HighestFlush = "dc2", "dc1", 0 })),
		"the latch was for a primary of another name":                            doubted("not shown to be synchronous", latch(func(l *actions.Latch) { l.Primary = "dc0" })),
		"the latch was for another system":                                       doubted("not shown to be synchronous", latch(func(l *actions.Latch) { l.SystemID = "7302" })),
		"the standby heard from the primary that no longer answered the bot": doubted("dc2 heard from dc1 at 2026-03-01 11:59:55 UTC, when that one no longer answered the bot", memory(func(m *actions.Remembered) {
			m.Gone = &actions.Gone{By: ago(7 * time.Second), HeardAt: ago(5 * time.Second)}
		})),
		"the standby streams at this very moment from a primary that the bot can't see": doubted("dc1 does not answer, but dc2 still streams from it",
			standby(func(s *actions.Server) { s.Receiver = &actions.Receiver{Status: "streaming", Timeline: 3} })),
		"the standby was frozen before anybody saw it without its stream": doubted("dc2 was frozen before it had noticed that dc1 is gone", standby(detachedByFreeze)),
		"the standby was frozen after it had noticed": proven("", standby(detachedByFreeze), memory(func(m *actions.Remembered) {
			m.Gone = &actions.Gone{By: ago(7 * time.Second), PartedAt: ago(5 * time.Second)}
		})),
		"the bot itself had seen the primary acknowledge alone":   doubted("dc1 has acknowledged alone since", memory(func(m *actions.Remembered) { m.Unprotected = ago(20 * time.Second) })),
		"the standby was restarted since":                         doubted("dc2 was restarted since 2026-03-01 11:59:50 UTC", standby(func(s *actions.Server) { s.StartedAt = ago(time.Second) })),
		"the standby is on a newer timeline than the primary was": doubted("dc2 is on timeline 4, the primary was on 3", standby(func(s *actions.Server) { s.Timeline = 4 })),
		"the standby has asked for a newer timeline": doubted("dc2 is on timeline 4",
			standby(func(s *actions.Server) { s.Receiver = &actions.Receiver{Status: "waiting", Timeline: 4} })),
		"the clock was set back since the primary was seen": doubted("the clock was set back", latch(func(l *actions.Latch) { l.SeenAt = noon.Add(time.Hour) }),
			memory(func(m *actions.Remembered) { m.LookedAt = noon.Add(time.Hour) })),
		"fsync is off on the standby":            row(unproven, failover, "durable", "", "dc2 runs with fsync or full_page_writes off", setting("dc2", "fsync", "off")),
		"full_page_writes is off on the standby": row(unproven, failover, "durable", "", "dc2 runs with fsync or full_page_writes off", setting("dc2", "full_page_writes", "off")),

		"the standby was set back below the highest flush → loss is certain": row(certain, failover, "", "",
			"dc2 holds WAL up to 0/30000F8, but had flushed 0/3000100 before", standby(func(s *actions.Server) { s.ReceiveLSN, s.ReplayLSN = highest-8, highest-8 })),
		"the standby was restored from a snapshot and restarted → loss is certain": row(certain, failover, "", "",
			"acknowledged writes are missing", standby(func(s *actions.Server) {
				s.ReceiveLSN, s.ReplayLSN, s.StartedAt = latchedFrom, latchedFrom, ago(time.Second)
			})),
		"the latch is void, but what it saw flushed is missing → loss is certain": row(certain, failover, "", "", "acknowledged writes are missing",
			memory(func(m *actions.Remembered) { m.Voided, m.Latch = m.Latch, nil }), standby(func(s *actions.Server) { s.ReceiveLSN = latchedFrom })),
		"the latch is void, and what it saw flushed is there → not proven": doubted("not shown to be synchronous",
			memory(func(m *actions.Remembered) { m.Voided, m.Latch = m.Latch, nil })),
		"the standby holds nothing that is known → loss is certain": row(certain, failover, "", "", "dc2 holds WAL up to 0/0",
			standby(func(s *actions.Server) { s.ReceiveLSN, s.ReplayLSN = 0, 0 })),

		"the standby can't be frozen, as ALTER SYSTEM is off → no failover":        row(none, nothing, "standby.alter", "", "a failover is not possible", setting("dc2", "allow_alter_system", "off")),
		"the bot may not promote the standby → no failover":                        row(none, nothing, "standby.rights", "", "missing: EXECUTE on pg_promote", standby(func(s *actions.Server) { s.Rights = []string{"EXECUTE on pg_promote"} })),
		"the standby is too old for the bot's rights → no failover":                row(none, nothing, "sync.version", "", "14.19 is older than 15", standby(func(s *actions.Server) { s.VersionNum = 140019 })),
		"the standby's version has the fault at start":                             row(none, failover, "", "sync.version", "17.4 can acknowledge early", standby(func(s *actions.Server) { s.VersionNum = 170004 })),
		"no driver at all: a person states that the primary is off":                row(none, failover, "stop", "fence", "no driver can take its power", func(e *actions.Evidence) { e.Platform = nil }),
		"the platform of the lost site doesn't answer: a person may have to state": row(none, failover, "", "fence", "its platform does not answer: timeout", platform("dc1", func(p *actions.Platform) { p.Problem = "timeout" })),
	})
}
