package actions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/actions"
)

// judged is one row: evidence, and what the verdict on it must be. Failed and
// warned are the ids of all checks with that status, in their order.
type judged struct {
	evidence actions.Evidence
	health   actions.Health
	loss     actions.Loss
	kind     actions.Kind
	failed   string
	warned   string
	says     string // stands in the headline, the why or a check's detail
}

const (
	nothing    = actions.KindAuto
	switchover = actions.KindSwitchover
	failover   = actions.KindFailover
	none       = actions.LossNone
	unproven   = actions.LossUnproven
	certain    = actions.LossCertain
)

// judgeAll runs every row twice: on the evidence as it is, and on the evidence
// as a desk judges it, after the look was remembered. Both must agree.
func judgeAll(t *testing.T, rows map[string]judged) {
	t.Helper()
	for title, row := range rows {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			v := actions.Judge(row.evidence)
			row.compare(t, v)
			if !row.evidence.HasMemory {
				return
			}
			remembered := row.evidence
			remembered.Memory = actions.Remembering(row.evidence)
			w := actions.Judge(remembered)
			if w.Health != v.Health || w.Loss != v.Loss || w.Possible != v.Possible {
				t.Errorf("after the look was remembered: %s, %s, %q; before: %s, %s, %q (%s)",
					w.Health, w.Loss, w.Possible, v.Health, v.Loss, v.Possible, w.Headline)
			}
		})
	}
}

func (row judged) compare(t *testing.T, v actions.Verdict) {
	t.Helper()
	if v.Health != row.health || v.Loss != row.loss || v.Possible != row.kind {
		t.Errorf("got %q, %q, possible %q; want %q, %q, possible %q\nheadline: %s\nwhy: %s",
			v.Health, v.Loss, v.Possible, row.health, row.loss, row.kind, v.Headline, v.Why)
	}
	if got := ids(v, actions.Bad); got != row.failed {
		t.Errorf("failed checks %q, want %q", got, row.failed)
	}
	if got := ids(v, actions.Warn); got != row.warned {
		t.Errorf("warnings %q, want %q", got, row.warned)
	}
	if said := everythingSaid(v); !strings.Contains(said, row.says) {
		t.Errorf("nowhere says %q:\n%s", row.says, said)
	}
	wantHeadline(t, v)
	wantUsableChecks(t, v)
}

// wantHeadline: the headline says the loss in one sentence.
func wantHeadline(t *testing.T, v actions.Verdict) {
	t.Helper()
	begin := map[actions.Loss]string{
		none: "Zero acknowledged loss: proven", unproven: "Zero acknowledged loss: not proven: ", certain: "Acknowledged writes would be lost: ",
	}[v.Loss]
	if !strings.HasPrefix(v.Headline, begin) || !strings.HasSuffix(v.Headline, ".") || strings.Contains(v.Headline, "\n") {
		t.Errorf("headline of loss %q is %q", v.Loss, v.Headline)
	}
	if v.Why == "" || v.AsOf.IsZero() {
		t.Errorf("the verdict has no reason (%q) or no date (%s)", v.Why, v.AsOf)
	}
}

// wantUsableChecks: each check says what was seen, and what to do unless it is well.
func wantUsableChecks(t *testing.T, v actions.Verdict) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range v.Checks {
		if c.ID == "" || seen[c.ID] || c.Title == "" || c.Detail == "" {
			t.Errorf("check %+v has no id of its own, no title or no detail", c)
		}
		if (c.Status == actions.OK) != (c.Fix == "") && c.ID != "sync.latch" {
			t.Errorf("check %s is %s, its advice %q", c.ID, c.Status, c.Fix)
		}
		seen[c.ID] = true
	}
}

func ids(v actions.Verdict, s actions.Status) string {
	var out []string
	for _, c := range v.With(s) {
		out = append(out, c.ID)
	}
	return strings.Join(out, " ")
}

func everythingSaid(v actions.Verdict) string {
	lines := []string{v.Headline, v.Why}
	for _, c := range v.Checks {
		lines = append(lines, c.ID+": "+string(c.Status)+": "+c.Detail)
	}
	return strings.Join(lines, "\n")
}

func TestJudgeNamesAndLatch(t *testing.T) {
	t.Parallel()
	unprotected := func(value string) judged {
		return judged{but(names(value)), actions.HealthUnprotected, unproven, nothing, "sync.names", "", "synchronous_standby_names is " + quoted(value)}
	}
	well := func(says string, changes ...change) judged {
		return judged{but(changes...), actions.HealthOK, none, switchover, "", "", says}
	}
	arming := func(says string, changes ...change) judged {
		return judged{but(changes...), actions.HealthArming, unproven, switchover, "", "", says}
	}
	judgeAll(t, map[string]judged{
		"a healthy pair is proven since its latch, and can be switched over": well("synchronous since 2026-03-01 11:00:00 UTC"),
		"the roles the other way round are as good":                          well("dc2 is primary, dc1 is standby", swapped),
		"the names may say FIRST 1 (dc2)":                                    well("FIRST 1 (dc2)", names("FIRST 1 (dc2)")),
		"the names may be quoted":                                            well("", names(`"dc2"`)),
		"the names may be in another case, as PostgreSQL doesn't mind":       well("", names("DC2")),
		"the names may be quoted within first 1, whatever the spaces":        well("", names(` first  1("dc2" ) `)),

		"the primary's names are empty → unprotected, not proven, no switchover":         unprotected(""),
		"the primary's names list two standbys → unprotected, not proven, no switchover": unprotected("dc2, dc3"),
		"FIRST 1 of two is a list":                                      unprotected("FIRST 1 (dc2, dc3)"),
		"FIRST 2 is a list":                                             unprotected("FIRST 2 (dc2, dc3)"),
		"FIRST 2 of one waits for somebody who isn't there":             unprotected("FIRST 2 (dc2)"),
		"FIRST 0 waits for nobody":                                      unprotected("FIRST 0 (dc2)"),
		"ANY 1 (dc2) is refused though it names only one":               unprotected("ANY 1 (dc2)"),
		"ANY 1 of two is satisfied without this standby":                unprotected("ANY 1 (dc2, dc3)"),
		"a star is satisfied by anybody":                                unprotected("*"),
		"a quoted star is satisfied by anybody":                         unprotected(`"*"`),
		"FIRST 1 of a star is satisfied by anybody":                     unprotected("FIRST 1 (*)"),
		"FIRST 1 of a quoted star is satisfied by anybody":              unprotected(`FIRST 1 ("*")`),
		"the primary waits for another name":                            unprotected("dc3"),
		"the primary waits for itself":                                  unprotected("dc1"),
		"the primary waits for the default name, which any standby has": unprotected("walreceiver"),

		"without a latch it is arming: synchronous, but since when is not shown": arming("not yet shown", memory(func(m *actions.Remembered) { m.Latch = nil })),
		"without the store nothing is known of before": {
			but(func(e *actions.Evidence) { e.HasMemory, e.Memory = false, actions.Remembered{} }), actions.HealthOK, unproven, switchover, "", "", "without the bot's store"},
		"the primary has reloaded since the latch":         arming("not yet shown", on("dc1", func(s *actions.Server) { s.ConfLoaded = ago(time.Second) })),
		"the primary was restarted since the latch":        arming("not yet shown", on("dc1", func(s *actions.Server) { s.StartedAt = ago(time.Second) })),
		"the standby has reloaded since the latch":         arming("not yet shown", on("dc2", func(s *actions.Server) { s.ConfLoaded = ago(time.Second) })),
		"the standby was restarted since the latch":        arming("not yet shown", on("dc2", func(s *actions.Server) { s.StartedAt = ago(time.Second) })),
		"the names were written otherwise since the latch": arming("not yet shown", setting("dc1", "synchronous_standby_names", "FIRST 1 (dc2)")),
		"the latch was for the other direction":            arming("not yet shown", latch(func(l *actions.Latch) { l.Primary, l.Standby = "dc2", "dc1" })),
		"the timeline has moved on since the latch": arming("not yet shown",
			on("dc1", func(s *actions.Server) { s.Timeline = 4 }), on("dc2", func(s *actions.Server) { s.Receiver.Timeline = 4 })),
		"the standby has not flushed L yet": arming("not yet shown",
			latch(func(l *actions.Latch) { l.L = written + 8 })),
	})
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func TestJudgeSynchronousStandby(t *testing.T) {
	t.Parallel()
	second := func(name, addr, syncState string) change {
		return on("dc1", func(s *actions.Server) {
			s.Standbys = append(slices.Clone(s.Standbys), actions.Standby{Name: name, ClientAddr: addr, State: "streaming", SyncState: syncState, Flush: written, Replay: written})
		})
	}
	judgeAll(t, map[string]judged{
		"no walsender for the standby → writes block, a switchover would hang": {
			but(detached), actions.HealthBlocked, unproven, nothing, "sync.standby", "", "no walsender for dc2: commits wait"},
		"the standby catches up → writes block": {
			but(walsender(func(s *actions.Standby) { s.State, s.SyncState = "catchup", "potential" })),
			actions.HealthBlocked, unproven, nothing, "sync.standby", "", "dc2 is catchup, potential"},
		"the standby streams, but nobody waits for it": {
			but(walsender(func(s *actions.Standby) { s.SyncState = "async" })), actions.HealthBlocked, unproven, nothing, "sync.standby", "", "dc2 is streaming, async"},
		"an impostor in another case stands beside the standby → unprotected": {
			but(second("DC2", "10.9.0.9", "potential")), actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "2 clients call themselves dc2"},
		"an impostor of the very same name stands beside the standby": {
			but(second("dc2", "10.9.0.9", "potential")), actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "2 clients call themselves dc2"},
		"an impostor in another case is alone: writes don't block, it acknowledges them": {
			but(walsender(func(s *actions.Standby) { s.Name, s.ClientAddr = "Dc2", "10.9.0.9" })),
			actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "10.9.0.9"},
		"the standby itself streams under another case of its name": {
			but(walsender(func(s *actions.Standby) { s.Name = "DC2" })), actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "a walsender calls itself DC2, from 10.2.0.5"},
		"the standby streams from an address that isn't its own → unprotected": {
			but(walsender(func(s *actions.Standby) { s.ClientAddr = "10.9.0.9" })),
			actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "it streams from 10.9.0.9, not from the configured 10.2.0.5"},
		"no address is configured, so none is compared": {
			but(func(e *actions.Evidence) { e.Pair.Nodes[1].Source = "" }, walsender(func(s *actions.Standby) { s.ClientAddr = "10.9.0.9" })),
			actions.HealthOK, none, switchover, "", "", "streaming, sync, from 10.9.0.9"},
		"the standby has flushed what the primary hasn't: another history": {
			but(walsender(func(s *actions.Standby) { s.Flush = written + 8 })), actions.HealthArming, unproven, switchover, "", "", "don't provably wait"},
		"the standby receives another timeline": {
			but(on("dc2", func(s *actions.Server) { s.Receiver.Timeline = 2 })), actions.HealthArming, unproven, nothing, "timeline", "", "primary 3, standby 2"},
		"the standby's receiver is gone while the primary still believes in it": {
			but(on("dc2", func(s *actions.Server) { s.Receiver = nil })), actions.HealthArming, unproven, switchover, "", "", "the standby receives nothing"},
		"synchronous_commit is remote_apply → more than enough": {
			but(setting("dc1", "synchronous_commit", "remote_apply")), actions.HealthOK, none, switchover, "", "", "synchronous_commit is remote_apply"},
		"synchronous_commit is remote_write → a crash of the standby loses rows": {
			but(setting("dc1", "synchronous_commit", "remote_write")), actions.HealthUnprotected, unproven, nothing, "sync.commit", "", "synchronous_commit is remote_write"},
		"synchronous_commit is local": {
			but(setting("dc1", "synchronous_commit", "local")), actions.HealthUnprotected, unproven, nothing, "sync.commit", "", "synchronous_commit is local"},
		"synchronous_commit is off": {
			but(setting("dc1", "synchronous_commit", "off")), actions.HealthUnprotected, unproven, nothing, "sync.commit", "", "synchronous_commit is off"},
		"a role has its own synchronous_commit → its commits don't wait": {
			but(on("dc1", func(s *actions.Server) { s.SyncOverrides = []string{"role batch", "database orders"} })),
			actions.HealthUnprotected, unproven, nothing, "sync.commit", "", "own synchronous_commit for role batch, database orders"},
		"fsync is off on the primary": {
			but(setting("dc1", "fsync", "off")), actions.HealthUnprotected, unproven, nothing, "durable", "", "fsync or full_page_writes is off"},
		"fsync is off on the standby: its flushed is a word": {
			but(setting("dc2", "fsync", "off")), actions.HealthUnprotected, unproven, nothing, "durable", "", "fsync or full_page_writes is off"},
		"full_page_writes is off on the standby": {
			but(setting("dc2", "full_page_writes", "off")), actions.HealthUnprotected, unproven, nothing, "durable", "", "fsync or full_page_writes is off"},
		"the standby was set back below what it had flushed → loss is certain if it were promoted": {
			but(on("dc2", func(s *actions.Server) { s.ReceiveLSN, s.ReplayLSN = highest-8, highest-8 })),
			actions.HealthOK, certain, switchover, "", "", "it was set back"},
		"the standby was restored from a snapshot, restarted and is catching up": {
			but(walsender(func(s *actions.Standby) { s.State, s.SyncState, s.Flush = "catchup", "potential", latchedFrom }),
				on("dc2", func(s *actions.Server) {
					s.StartedAt, s.ConfLoaded, s.ReceiveLSN, s.ReplayLSN = ago(time.Second), ago(time.Second), latchedFrom, latchedFrom
				})),
			actions.HealthBlocked, certain, nothing, "sync.standby", "", "it was set back"},
	})
}

func TestJudgeFitness(t *testing.T) {
	t.Parallel()
	row := func(kind actions.Kind, failed, warned, says string, changes ...change) judged {
		return judged{but(changes...), actions.HealthOK, none, kind, failed, warned, says}
	}
	refused := func(failed, says string, changes ...change) judged { return row(nothing, failed, "", says, changes...) }
	warned := func(check, says string, changes ...change) judged {
		return row(switchover, "", check, says, changes...)
	}
	fine := func(changes ...change) judged { return row(switchover, "", "", "", changes...) }
	version := func(node string, v int) change { return on(node, func(s *actions.Server) { s.VersionNum = v }) }
	versions := func(v int) change { return both(version("dc1", v), version("dc2", v)) }
	slot := func(status string) change {
		return on("dc1", func(s *actions.Server) { s.Slots[0].WALStatus = status })
	}
	logical := func(node string, s actions.Slot) change {
		s.Name, s.Type = "reports", "logical"
		return on(node, func(x *actions.Server) { x.Slots = append(slices.Clone(x.Slots), s) })
	}
	racing := both(on("dc1", func(s *actions.Server) { s.FlushLSN = written + 4096 }), walsender(func(s *actions.Standby) { s.Flush, s.Replay = written+4096, written+4096 }))
	lagging := func(bytes actions.LSN) change {
		return both(on("dc1", func(s *actions.Server) { s.FlushLSN = written + 64<<20 }),
			walsender(func(s *actions.Standby) { s.Flush, s.Replay = written+64<<20, written+64<<20-bytes }))
	}
	archiver := func(files int, waits time.Duration) change {
		return on("dc1", func(s *actions.Server) { s.Archiver = actions.Archiver{Waiting: files, Oldest: ago(waits)} })
	}
	late := row(switchover, "", "", "", lagging(16<<20+1))
	late.health = actions.HealthLagging
	judgeAll(t, map[string]judged{
		"replay is further behind than the threshold → lagging, proven all the same": late,
		"replay is behind by exactly the threshold":                                  fine(lagging(16 << 20)),

		"under load the primary was read a moment after the standby: nobody was set back": fine(racing),

		"15.12 may acknowledge early just after a start":                   warned("sync.version", "15.12 and 15.12 can acknowledge early", versions(150012)),
		"16.8 may acknowledge early just after a start":                    warned("sync.version", "16.8", versions(160008)),
		"17.4 may acknowledge early just after a start":                    warned("sync.version", "17.4", versions(170004)),
		"only the standby has the fault, for when it is primary":           warned("sync.version", "17.4", version("dc2", 170004)),
		"15.13 is free of it":                                              fine(versions(150013)),
		"18.0 is free of it":                                               fine(versions(180000)),
		"14 is too old":                                                    refused("sync.version", "14.19 is older than 15", versions(140019)),
		"two major versions are no pair":                                   refused("sync.version", "two major versions", version("dc2", 160010)),
		"two major versions are no pair, the fault of one doesn't hide it": refused("sync.version", "two major versions", version("dc1", 160008)),
		"a standby that is too old is not hidden by the primary's fault":   refused("sync.version", "14.19 is older", version("dc1", 150012), version("dc2", 140019)),

		"three sessions wait for the standby at that moment":              warned("waiters", "3 sessions were waiting", on("dc1", func(s *actions.Server) { s.SyncWaiters = 3 })),
		"replay is paused on the standby":                                 refused("standby.replay", "replay is paused", on("dc2", func(s *actions.Server) { s.ReplayPause = "paused" })),
		"replay is about to pause on the standby":                         refused("standby.replay", "pause requested", on("dc2", func(s *actions.Server) { s.ReplayPause = "pause requested" })),
		"the standby applies with a delay":                                refused("standby.replay", "recovery_min_apply_delay is 60000", setting("dc2", "recovery_min_apply_delay", "60000")),
		"a session on the standby holds up replay":                        refused("standby.replay", "holds up replay", on("dc2", func(s *actions.Server) { s.ReplayConflict = true })),
		"the standby could be fed from an archive":                        refused("standby.restore", "restore_command is set", setting("dc2", "restore_command", "cp /archive/%f %p")),
		"ALTER SYSTEM is switched off on the standby: it can't be frozen": refused("standby.alter", "allow_alter_system is off", setting("dc2", "allow_alter_system", "off")),
		"before version 17 there is no such setting":                      fine(setting("dc2", "allow_alter_system", "")),

		"the standby's slot has lost its WAL":         refused("standby.slot", "slot twokey_dc2 is lost", slot("lost")),
		"the standby's slot is about to lose its WAL": refused("standby.slot", "slot twokey_dc2 is unreserved", slot("unreserved")),
		"the standby's slot holds more than usual":    fine(slot("extended")),
		"the standby streams without its slot":        warned("standby.slot", `no slot "twokey_dc2"`, on("dc1", func(s *actions.Server) { s.Slots = nil })),
		"the standby allows fewer connections":        refused("parameters", "max_connections 100/50", setting("dc2", "max_connections", "50")),
		"the primary allows fewer connections":        refused("parameters", "max_connections 50/100", setting("dc1", "max_connections", "50")),
		"neither has room for the other as a standby": refused("standby.room", "0 walsenders and 10 slots free", setting("dc1", "max_wal_senders", "0"), setting("dc2", "max_wal_senders", "0")),
		"the standby has no room for a slot":          refused("standby.room", "10 walsenders and 0 slots free", setting("dc2", "max_replication_slots", "0")),
		"a third replica would stretch the stop": refused("primary.quiet", "1 other walsenders (dr 10.3.0.5)", on("dc1", func(s *actions.Server) {
			s.Standbys = append(slices.Clone(s.Standbys), actions.Standby{Name: "dr", ClientAddr: "10.3.0.5", State: "streaming", SyncState: "async"})
		})),
		"the archiver fails and would stretch the stop": refused("primary.quiet", "WAL archiving fails (00000003000000000000000A)", on("dc1", func(s *actions.Server) {
			s.Archiver = actions.Archiver{Failing: true, FailedWA: "00000003000000000000000A"}
		})),
		"a base backup runs":        refused("primary.quiet", "a base backup runs", on("dc1", func(s *actions.Server) { s.BaseBackups = 1 })),
		"transactions are prepared": refused("primary.quiet", "2 prepared transactions, the oldest since 2026-03-01 11:00:00 UTC", on("dc1", func(s *actions.Server) { s.Prepared, s.PreparedAt = 2, ago(time.Hour) })),
		"transactions were prepared just now, as two-phase commit does": fine(on("dc1", func(s *actions.Server) { s.Prepared, s.PreparedAt = 2, ago(time.Second) })),
		"transactions are prepared since nobody knows when":             refused("primary.quiet", "2 prepared transactions", on("dc1", func(s *actions.Server) { s.Prepared = 2 })),
		"the archiver is far behind":                                    refused("primary.quiet", "9 WAL files wait to be archived", archiver(9, time.Second)),
		"the archiver hangs over one file":                              refused("primary.quiet", "the archiver hangs", archiver(1, time.Hour)),
		"the archiver has one file in hand":                             fine(archiver(1, time.Second)),

		"the standby has room for streaming, not for a base backup":  warned("standby.room", "1 walsenders and 10 slots free", on("dc2", func(s *actions.Server) { s.Standbys = make([]actions.Standby, 9) })),
		"others take all of the standby's walsenders":                refused("standby.room", "0 walsenders", on("dc2", func(s *actions.Server) { s.Standbys = make([]actions.Standby, 10) })),
		"others take all of the standby's slots":                     refused("standby.room", "0 slots free", on("dc2", func(s *actions.Server) { s.Slots = make([]actions.Slot, 10) })),
		"the standby's last slot is the old primary's already":       fine(on("dc2", func(s *actions.Server) { s.Slots = append(make([]actions.Slot, 9), actions.Slot{Name: "twokey_dc1"}) })),
		"the standby's disk is full":                                 refused("standby.disk", "1.0 MiB free", within("dc2", func(i *actions.Inside) { i.DiskFree = 1 << 20 })),
		"the standby's disk is smaller than what its slots may hold": warned("standby.disk", "512 MiB free", within("dc2", func(i *actions.Inside) { i.DiskFree = 512 << 20 })),
		"the primary's disk is not the standby's":                    fine(within("dc1", func(i *actions.Inside) { i.DiskFree = 0 })),
		"the old primary can't log in at the new one":                refused("rejoin.login", "no pg_hba.conf entry", within("dc1", func(i *actions.Inside) { i.Login = "no pg_hba.conf entry" })),
		"the standby's own way to log in shows itself":               fine(within("dc2", func(i *actions.Inside) { i.Login = "no pg_hba.conf entry" })),
		"a parameter of the primary waits for its restart":           warned("parameters", "a restart will change max_connections", on("dc1", func(s *actions.Server) { s.PendingRestart = []string{"max_connections"} })),
		"a setting that matters less waits for a restart":            fine(on("dc1", func(s *actions.Server) { s.PendingRestart = []string{"shared_buffers"} })),
		"the standby would refuse writes once promoted":              refused("settings", "default_transaction_read_only is on", setting("dc2", "default_transaction_read_only", "on")),
		"the nodes archive differently":                              warned("settings", `archive_command ""/"cp %p /archive/%f"`, setting("dc2", "archive_command", "cp %p /archive/%f")),
		"only one of them offers TLS":                                warned("settings", `ssl "on"/"off"`, setting("dc2", "ssl", "off")),
		"a standby waits long before its next attempt":               warned("settings", "wal_retrieve_retry_interval is 5000 ms", setting("dc2", "wal_retrieve_retry_interval", "5000")),
		"ALTER SYSTEM is off on the primary, the standby to be":      refused("standby.alter", "allow_alter_system is off", setting("dc1", "allow_alter_system", "off")),
		"the standby's slot may fill the primary's disk":             warned("standby.slot", "without limit", setting("dc1", "max_slot_wal_keep_size", "-1"), setting("dc2", "max_slot_wal_keep_size", "-1")),
		"logical subscribers wait for the standby's slot":            fine(setting("dc1", "synchronized_standby_slots", "twokey_dc2")),
		"logical subscribers wait for another slot":                  warned("logical.wait", `the standby's slot is "twokey_dc2"`, setting("dc1", "synchronized_standby_slots", "dr")),
		"only the standby makes them wait":                           warned("logical.wait", `synchronized_standby_slots is ""`, setting("dc2", "synchronized_standby_slots", "twokey_dc1")),

		"neither checksums nor hints: the old primary would be copied anew": warned("rejoin", "neither data checksums nor wal_log_hints", on("dc1", func(s *actions.Server) { s.Checksums = false })),
		"hints do as well as checksums":                                     fine(on("dc1", func(s *actions.Server) { s.Checksums = false }), setting("dc1", "wal_log_hints", "on")),
		"a logical slot is not on the standby":                              warned("logical", "not on the standby: reports", logical("dc1", actions.Slot{})),
		"a logical slot is on the standby, but was never synchronized":      warned("logical", "reports", logical("dc1", actions.Slot{}), logical("dc2", actions.Slot{})),
		"a logical slot is synchronized, but only for now":                  warned("logical", "reports", logical("dc1", actions.Slot{}), logical("dc2", actions.Slot{Synced: true, Temporary: true})),
		"a logical slot is synchronized, but was invalidated":               warned("logical", "reports", logical("dc1", actions.Slot{}), logical("dc2", actions.Slot{Synced: true, Invalidation: "wal_removed"})),
		"a logical slot is synchronized":                                    fine(logical("dc1", actions.Slot{}), logical("dc2", actions.Slot{Synced: true})),
		"a temporary logical slot would not survive anyway":                 fine(logical("dc1", actions.Slot{Temporary: true})),
		"unlogged tables will be empty":                                     warned("unlogged", "21 unlogged tables will be empty after promotion: public.a and 20 more", on("dc1", func(s *actions.Server) { s.Unlogged.Count, s.Unlogged.Names = 21, []string{"public.a"} })),

		"the bot lacks a right on the primary": refused("primary.rights", "missing: pg_checkpoint", on("dc1", func(s *actions.Server) { s.Rights = []string{"pg_checkpoint"} })),
		"the bot lacks a right on the standby": refused("standby.rights", "missing: EXECUTE on pg_promote", on("dc2", func(s *actions.Server) { s.Rights = []string{"EXECUTE on pg_promote"} })),
		"no driver can stop the primary":       row(nothing, "stop", "fence", "because no driver can try it from dc1 itself", func(e *actions.Evidence) { e.Platform = nil }),
		"the platform does not answer about the primary's power": warned("fence", "its platform does not answer: 503",
			platform("dc1", func(p *actions.Platform) { p.Problem, p.Power = "503", actions.PowerUnknown })),
	})
}

func TestJudgeWithoutBothRoles(t *testing.T) {
	t.Parallel()
	recovering := on("dc1", func(s *actions.Server) {
		s.InRecovery, s.Receiver, s.Standbys = true, &actions.Receiver{Status: "streaming", Timeline: 3}, nil
	})
	promoted := on("dc2", func(s *actions.Server) { s.InRecovery, s.Receiver, s.FlushLSN, s.Timeline = false, nil, written, 4 })
	unseen := gone("dc2", actions.Silent, "no answer within 3s")
	judgeAll(t, map[string]judged{
		"half seen: the primary says that all is well, the standby doesn't answer the bot": {
			but(unseen), actions.HealthHalfSeen, unproven, nothing, "", "", "there is nothing to fail over to"},
		"half seen: the standby answers neither the bot nor the primary → writes block": {
			but(unseen, detached), actions.HealthBlocked, unproven, nothing, "sync.standby", "", "no walsender for dc2"},
		"half seen: the primary goes on alone → unprotected": {
			but(unseen, detached, names("")), actions.HealthUnprotected, unproven, nothing, "sync.names sync.standby", "", `synchronous_standby_names is ""`},
		"half seen: an impostor acknowledges for the standby": {
			but(unseen, walsender(func(s *actions.Standby) { s.ClientAddr = "10.9.0.9" })), actions.HealthUnprotected, unproven, nothing, "sync.standby", "", "10.9.0.9"},
		"two primaries: twokey doesn't choose between them": {
			but(promoted), actions.HealthTwoPrimaries, unproven, nothing, "roles", "", "both nodes accept writes"},
		"no primary: both are in recovery": {
			but(recovering), actions.HealthNoPrimary, unproven, nothing, "roles", "", "both nodes are in recovery"},
		"neither node answers": {
			but(gone("dc1", actions.Silent, "no answer within 3s"), unseen), actions.HealthUnseen, unproven, nothing, "", "", "Check the network between the bot and the nodes"},
		"two systems are no pair": {
			but(on("dc2", func(s *actions.Server) { s.SystemID = "7302" })), actions.HealthMismatch, unproven, nothing, "roles", "", "their system identifiers differ"},
		"two primaries of two systems are no pair either": {
			but(promoted, on("dc2", func(s *actions.Server) { s.SystemID = "7302" })), actions.HealthMismatch, unproven, nothing, "roles", "", "their system identifiers differ"},
	})
}

// TestJudgeUnseenIsNeverOK: a check about a node that gave no answer is
// unknown, never well.
func TestJudgeUnseenIsNeverOK(t *testing.T) {
	t.Parallel()
	v := actions.Judge(but(gone("dc1", actions.Silent, "no answer"), gone("dc2", actions.Silent, "no answer")))
	for _, c := range v.Checks {
		if c.Status != actions.Unclear && c.ID != "stop" && c.ID != "fence" {
			t.Errorf("nobody answered, but check %s is %s: %s", c.ID, c.Status, c.Detail)
		}
	}
	v = actions.Judge(but(disaster))
	for _, c := range v.Checks {
		if c.Status == actions.OK && !slices.Contains([]string{"standby.replay", "standby.restore", "standby.alter", "standby.room", "standby.disk", "standby.rights", "unlogged", "stop", "fence"}, c.ID) {
			t.Errorf("the primary gave no answer, but check %s is %s: %s", c.ID, c.Status, c.Detail)
		}
	}
}
