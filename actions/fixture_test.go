package actions_test

import (
	"maps"
	"time"

	"twokey/actions"
)

// noon is the moment of the fixture's evidence; everything else lies before it.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// Positions of the fixture, in order: the latch's L, the highest flush that was
// remembered, and where the primary stands now.
const (
	latchedFrom = actions.LSN(0x3000060)
	highest     = actions.LSN(0x3000100)
	written     = actions.LSN(0x3000148)
)

func ordersPair() actions.Pair {
	return actions.Pair{
		Name: "orders", Database: "orders", SSLMode: "require", User: "app",
		Nodes: [2]actions.Node{
			{Name: "dc1", Site: "north", Host: "10.1.0.5", Port: 5432, Slot: "twokey_dc1", Source: "10.1.0.5"},
			{Name: "dc2", Site: "south", Host: "10.2.0.5", Port: 5432, Slot: "twokey_dc2", Source: "10.2.0.5"},
		},
		AfterSwitchover: actions.Block, AfterFailover: actions.Degrade,
	}
}

// healthy is a pair as it should be: dc1 is primary, dc2 its synchronous
// standby, latched for an hour and last seen ten seconds ago.
func healthy() actions.Evidence {
	return actions.Evidence{
		Pair: ordersPair(), At: noon, HasMemory: true, Thresholds: actions.DefaultThresholds(),
		Nodes: [2]actions.Observation{
			{Node: "dc1", At: noon, Took: time.Millisecond, Server: healthyPrimary()},
			{Node: "dc2", At: noon, Took: time.Millisecond, Server: healthyStandby()},
		},
		Memory: healthyMemory(),
		Platform: map[string]actions.Platform{
			"dc1": {CanStop: true, CanFence: true, FenceText: "stops its process and reads that it is gone", Power: actions.PowerOn, Inside: &actions.Inside{At: noon, DiskFree: 100 << 30}},
			"dc2": {CanStop: true, CanFence: true, FenceText: "stops its process and reads that it is gone", Power: actions.PowerOn, Inside: &actions.Inside{At: noon, DiskFree: 100 << 30}},
		},
	}
}

func healthyPrimary() *actions.Server {
	return &actions.Server{
		Now: noon, VersionNum: 170011, SystemID: "7301", StartedAt: ago(48 * time.Hour), ConfLoaded: ago(2 * time.Hour),
		Timeline: 3, FlushLSN: written, Settings: healthySettings("dc2"), Checksums: true, Unlogged: actions.Unlogged{At: noon},
		Checkpoint: actions.Checkpoint{LSN: latchedFrom, Redo: latchedFrom, Timeline: 3, Time: ago(time.Minute)},
		Standbys: []actions.Standby{{
			Name: "dc2", User: "replicator", ClientAddr: "10.2.0.5", State: "streaming", SyncState: "sync",
			Sent: written, Write: written, Flush: written, Replay: written,
		}},
		Slots: []actions.Slot{{Name: "twokey_dc2", Type: "physical", Active: true, RestartLSN: written, WALStatus: "reserved"}},
	}
}

func healthyStandby() *actions.Server {
	return &actions.Server{
		Now: noon, VersionNum: 170011, SystemID: "7301", InRecovery: true, StartedAt: ago(47 * time.Hour), ConfLoaded: ago(3 * time.Hour),
		Timeline: 3, ReceiveLSN: written, ReplayLSN: written, ReplayPause: "not paused", ConninfoSet: true,
		Settings: healthySettings("dc1"), Checksums: true, Receivers: 1,
		Receiver: &actions.Receiver{Status: "streaming", Timeline: 3, Flushed: written, Slot: "twokey_dc2", SenderHost: "10.1.0.5", SenderPort: 5432},
	}
}

func healthySettings(partner string) map[string]string {
	return map[string]string{
		"synchronous_commit": "on", "synchronous_standby_names": partner, "fsync": "on", "full_page_writes": "on",
		"wal_log_hints": "off", "hot_standby": "on", "recovery_min_apply_delay": "0", "restore_command": "",
		"archive_mode": "off", "archive_command": "", "archive_library": "",
		"max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10", "max_prepared_transactions": "0",
		"max_locks_per_transaction": "64", "max_replication_slots": "10", "max_slot_wal_keep_size": "1024", "wal_keep_size": "0",
		"wal_retrieve_retry_interval": "100", "wal_sender_timeout": "5000", "wal_level": "replica", "allow_alter_system": "on",
		"synchronized_standby_slots": "", "primary_slot_name": "", "hot_standby_feedback": "off", "default_transaction_read_only": "off", "ssl": "on",
	}
}

func healthyMemory() actions.Remembered {
	seen := ago(10 * time.Second)
	return actions.Remembered{
		LookedAt: seen, Primary: "dc1", PrimaryAt: seen, Timeline: 3, SystemID: "7301",
		Health: actions.HealthOK, HealthSince: ago(time.Hour),
		Latch: &actions.Latch{
			SystemID: "7301", Timeline: 3, Primary: "dc1", Standby: "dc2", Names: "dc2",
			PrimaryConf: ago(2 * time.Hour), PrimaryStart: ago(48 * time.Hour),
			StandbyConf: ago(3 * time.Hour), StandbyStart: ago(47 * time.Hour),
			L: latchedFrom, Since: ago(time.Hour), HighestFlush: highest, SeenAt: seen,
		},
	}
}

// change is one small thing that is different from the healthy pair.
type change func(*actions.Evidence)

// but is the healthy pair with changes.
func but(changes ...change) actions.Evidence { return with(healthy(), changes...) }

func with(e actions.Evidence, changes ...change) actions.Evidence {
	for _, c := range changes {
		c(&e)
	}
	return e
}

// index of a node in the pair's order.
func index(node string) int {
	if node == "dc2" {
		return 1
	}
	return 0
}

// on changes what was read from a node; a node that gave no answer stays so.
func on(node string, f func(*actions.Server)) change {
	return func(e *actions.Evidence) {
		if s := e.Nodes[index(node)].Server; s != nil {
			f(s)
		}
	}
}

func setting(node, name, value string) change {
	return on(node, func(s *actions.Server) {
		s.Settings = maps.Clone(s.Settings)
		s.Settings[name] = value
	})
}

// names sets the primary's synchronous_standby_names, in its latch, too, as if
// they had been so all the time.
func names(value string) change {
	return both(setting("dc1", "synchronous_standby_names", value), latch(func(l *actions.Latch) { l.Names = value }))
}

// walsender changes the standby's row in the primary's pg_stat_replication.
func walsender(f func(*actions.Standby)) change {
	return on("dc1", func(s *actions.Server) {
		s.Standbys = append([]actions.Standby(nil), s.Standbys...)
		f(&s.Standbys[0])
	})
}

func platform(node string, f func(*actions.Platform)) change {
	return func(e *actions.Evidence) {
		p := e.Platform[node]
		f(&p)
		e.Platform = maps.Clone(e.Platform)
		e.Platform[node] = p
	}
}

func memory(f func(*actions.Remembered)) change {
	return func(e *actions.Evidence) { f(&e.Memory) }
}

func latch(f func(*actions.Latch)) change {
	return func(e *actions.Evidence) {
		if e.Memory.Latch != nil {
			l := *e.Memory.Latch
			f(&l)
			e.Memory.Latch = &l
		}
	}
}

// gone takes a node's answer away.
func gone(node string, reach actions.Reach, text string) change {
	return func(e *actions.Evidence) {
		o := &e.Nodes[index(node)]
		o.Server, o.Failure = nil, &actions.Failure{Reach: reach, Text: text}
	}
}

func both(changes ...change) change {
	return func(e *actions.Evidence) { *e = with(*e, changes...) }
}

// detached is a standby whose stream has ended, as both nodes see it.
var detached = both(
	on("dc1", func(s *actions.Server) { s.Standbys = nil }),
	on("dc2", func(s *actions.Server) { s.Receiver, s.Receivers = nil, 0 }),
)

// disaster is dc1 out of reach, seen well ten seconds ago.
var disaster = both(gone("dc1", actions.Unreachable, "connection refused"), detached)

// swapped are the roles the other way round.
func swapped(e *actions.Evidence) {
	e.Nodes[0].Server, e.Nodes[1].Server = e.Nodes[1].Server, e.Nodes[0].Server
	p, s := e.Nodes[1].Server, e.Nodes[0].Server
	p.Settings, s.Settings = healthySettings("dc1"), healthySettings("dc2")
	p.Standbys[0].Name, p.Standbys[0].ClientAddr, p.Slots[0].Name = "dc1", "10.1.0.5", "twokey_dc1"
	s.Receiver.SenderHost, s.Receiver.Slot = "10.2.0.5", "twokey_dc1"
	e.Memory.Primary = "dc2"
	e.Memory.Latch.Primary, e.Memory.Latch.Standby, e.Memory.Latch.Names = "dc2", "dc1", "dc1"
}

// within changes what was found from within a node.
func within(node string, f func(*actions.Inside)) change {
	return platform(node, func(p *actions.Platform) {
		in := *p.Inside
		f(&in)
		p.Inside = &in
	})
}
