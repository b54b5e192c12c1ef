package bot_test

import (
	"time"

	"twokey/actions"
	"twokey/approvals"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func ordersPair() actions.Pair {
	return actions.Pair{
		Name: "orders", Database: "orders", SSLMode: "verify-full", AfterSwitchover: actions.Block, AfterFailover: actions.Degrade,
		Nodes: [2]actions.Node{
			{Name: "dc1", Site: "north", Host: "10.0.1.5", Port: 5432, Slot: "dc1_slot", Source: "10.0.1.5"},
			{Name: "dc2", Site: "south", Host: "10.0.2.5", Port: 5432, Slot: "dc2_slot", Source: "10.0.2.5"},
		},
	}
}

func twoPairs() []actions.Pair {
	second := ordersPair()
	second.Name = "billing"
	return []actions.Pair{ordersPair(), second}
}

func switchoverPlan() actions.Plan {
	return actions.Plan{
		Kind: actions.KindSwitchover, Pair: "orders", From: "dc1", To: "dc2", After: actions.Block, Loss: actions.LossNone,
		Verdict: "Zero acknowledged loss: proven, synchronous since 2026-03-13 08:00:00 UTC, seen 12 s ago.",
		AsOf:    noon.Add(-12 * time.Second), Pause: "Sessions on dc1 end. Writes pause, usually well under a second.",
		Steps: []actions.Step{
			{Op: actions.OpLock, Node: "dc2", Text: "take the pair's lock on dc2, then on dc1"},
			{Op: actions.OpStop, Node: "dc1", Text: "stop dc1 cleanly; the write pause begins"},
			{Op: actions.OpGate, Node: "dc2", Text: "go on only when dc2 holds dc1's shutdown checkpoint"},
			{Op: actions.OpPromote, Node: "dc2", Text: "promote dc2: no way back from here"},
			{Op: actions.OpProbe, Node: "dc2", Text: "commit a probe row on dc2; the write pause ends"},
		},
		Clearances: []actions.ClearanceKind{actions.ClearStopped},
		Checks: []actions.Check{
			{ID: "roles", Title: "one primary and one standby of one system", Status: actions.OK, Detail: "dc1 is primary"},
			{ID: "sync", Title: "the standby streams, synchronous", Status: actions.OK},
			{ID: "unlogged", Title: "no table is left out of the promise", Status: actions.Warn, Detail: "2 unlogged tables", Fix: "Make them logged."},
			{ID: "fence", Title: "the primary can be fenced", Status: actions.Unclear, Detail: "because its power can't be read"},
		},
		Facts: actions.Facts{{Name: "dc1 address", Value: "10.0.1.5:5432"}, {Name: "dc1 role", Value: "primary"}, {Name: "dc2 address", Value: "10.0.2.5:5432"}},
	}
}

func failoverPlan() actions.Plan {
	p := switchoverPlan()
	p.Kind, p.After, p.Loss = actions.KindFailover, actions.Degrade, actions.LossUnproven
	p.Verdict = "Zero acknowledged loss: not proven: dc2 was frozen before it had noticed that dc1 is gone, so nothing says that it was."
	p.Steps = []actions.Step{
		{Op: actions.OpFreeze, Node: "dc2", Text: "freeze dc2's WAL receiver"},
		{Op: actions.OpFence, Node: "dc1", Text: "fence dc1: kill its server and read that back"},
		{Op: actions.OpPromote, Node: "dc2", Text: "promote dc2: no way back from here"},
	}
	return p
}

func policy() approvals.Policy {
	return approvals.Policy{Approvers: []approvals.Person{"dba-1", "dba-2", "manager"}, Expiry: 15 * time.Minute, HoldExpiry: 10 * time.Minute}
}

func switchoverOutcome() actions.Outcome {
	return actions.Outcome{
		Kind: actions.KindSwitchover, Pair: "orders", OldPrimary: "dc1", NewPrimary: "dc2", Serving: "dc2",
		OldTimeline: 3, NewTimeline: 4, Gate: 0x5000060, WritePause: 73 * time.Millisecond, Clearance: actions.ClearStopped,
		Proof: "dc2 holds and has replayed the shutdown checkpoint at 0/5000028; the process of dc1 has ended",
		Conn: actions.ConnString{
			URI:      "postgresql://10.0.2.5:5432,10.0.1.5:5432/orders?target_session_attrs=read-write&sslmode=verify-full",
			Keywords: "host=10.0.2.5,10.0.1.5 port=5432,5432 dbname=orders sslmode=verify-full target_session_attrs=read-write",
		},
		Synchronous: noon.Add(9 * time.Second),
		Todo:        []string{"point the nightly backup at dc1"},
	}
}

func healthyReport() actions.Report {
	lag := 3 * time.Millisecond
	primary := &actions.Server{SystemID: "7000000000000000001", Timeline: 3, FlushLSN: 0x5001000,
		Standbys: []actions.Standby{{Name: "dc2", State: "streaming", SyncState: "sync", Flush: 0x5001000, Replay: 0x5000f00, ReplayLag: &lag}},
		Slots:    []actions.Slot{{Name: "dc2_slot", Active: true, WALStatus: "reserved"}},
	}
	standby := &actions.Server{SystemID: "7000000000000000001", InRecovery: true, Timeline: 3, ReceiveLSN: 0x5001000, ReplayLSN: 0x5000f00,
		Receiver: &actions.Receiver{Status: "streaming", Timeline: 3}}
	pair := ordersPair()
	return actions.Report{
		Evidence: actions.Evidence{
			Pair: pair, At: noon, HasMemory: true,
			Nodes:  [2]actions.Observation{{Node: "dc1", At: noon, Server: primary}, {Node: "dc2", At: noon, Server: standby}},
			Memory: actions.Remembered{Latch: &actions.Latch{L: 0x4000000, Since: noon.Add(-28 * time.Hour), SeenAt: noon}},
		},
		Verdict: actions.Verdict{
			Health: actions.HealthOK, Primary: "dc1", Standby: "dc2", Possible: actions.KindSwitchover, Loss: actions.LossNone,
			Headline: "Zero acknowledged loss: proven, synchronous since 2026-03-13 08:00:00 UTC, seen 0 s ago.",
			Why:      "every commit since waits for the standby's flush", AsOf: noon, Checks: switchoverPlan().Checks,
		},
		Conn: pair.Conn("dc1"),
	}
}
