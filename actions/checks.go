package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// failoverChecks are the checks that stand in the way of a disaster failover
// when they fail; the others can't be met with the primary away, or are the
// business of "not proven".
var failoverChecks = []string{"standby.alter", "standby.rights", "sync.version"}

// check is one question put to the evidence.
type check struct {
	id, title string
	ask       func(Evidence, roles) (Status, string, string) // status, what was seen, what to do
}

// checks answers every question, in the order in which people read them.
func checks(e Evidence, r roles) []Check {
	var out []Check
	all := allChecks()
	if len(e.Endpoints) > 0 {
		all = append(all, check{"endpoint", "clients are led to the primary", checkEndpoints})
	}
	for _, c := range all {
		status, detail, fix := c.ask(e, r)
		if status == OK {
			fix = ""
		}
		out = append(out, Check{ID: c.id, Title: c.title, Status: status, Detail: detail, Fix: fix})
	}
	return out
}

func allChecks() []check {
	return []check{
		{"roles", "one primary and one standby of one system", checkRoles},
		{"timeline", "both on one timeline", checkTimeline},
		{"sync.names", "the primary waits for exactly this standby", checkNames},
		{"sync.standby", "the standby streams, synchronous, from its own address", checkStandby},
		{"sync.commit", "nobody commits without waiting", checkCommit},
		{"durable", "fsync and full_page_writes on both", checkDurable},
		{"sync.latch", "shown to be synchronous since the last change", checkLatch},
		{"sync.version", "no known fault in synchronous waiting", checkVersion},
		{"waiters", "no commit is waiting for the standby", checkWaiters},
		{"standby.replay", "the standby replays without pause or delay", checkReplay},
		{"standby.restore", "nothing but the stream feeds the standby", checkRestore},
		{"standby.alter", "the standby's receiver can be stopped by the bot", checkAlter},
		{"standby.slot", "the standby's slot keeps its WAL", checkSlot},
		{"parameters", "either node can be the other's standby", checkParameters},
		{"primary.quiet", "nothing would stretch the primary's stop", checkQuiet},
		{"rejoin", "the old primary can be rewound", checkRewind},
		{"logical", "logical slots survive", checkLogical},
		{"unlogged", "no table is left out of the promise", checkUnlogged},
		{"primary.rights", "the bot has its rights on the primary", checkRightsOf(func(r roles) *Server { return r.primary })},
		{"standby.rights", "the bot has its rights on the standby", checkRightsOf(func(r roles) *Server { return r.standby })},
		{"stop", "the primary can be stopped cleanly", checkStop},
		{"fence", "the primary can be fenced", checkFence},
	}
}

func unseen(n Node) (Status, string, string) {
	name := n.Name
	if name == "" {
		name = "the node"
	}
	return Unclear, "because " + name + " was not seen as what it should be", "Bring it back, or look at why the bot can't reach it."
}

func checkRoles(e Evidence, r roles) (Status, string, string) {
	switch r.health {
	case HealthOK:
		return OK, fmt.Sprintf("%s is primary, %s is standby, system %s", r.from.Name, r.to.Name, r.primary.SystemID), ""
	case HealthPrimaryGone, HealthHalfSeen:
		gone := r.from
		if r.primary != nil {
			gone = r.to
		}
		o := e.Observation(gone.Name)
		return Unclear, fmt.Sprintf("because %s gave no answer (%s)", gone.Name, o.Failure.Text), "Unreachable is not dead: look at it from elsewhere, too."
	case HealthMismatch:
		return Bad, "their system identifiers differ", "The standby is no copy of this primary: check the addresses, or make it anew."
	case HealthTwoPrimaries:
		return Bad, "both accept writes", noKind[HealthTwoPrimaries]
	case HealthNoPrimary:
		return Bad, "both are in recovery", noKind[HealthNoPrimary]
	}
	return Unclear, "because neither node answered", noKind[HealthUnseen]
}

func checkTimeline(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	if r.standby.Receiver == nil {
		return Unclear, "because the standby receives nothing, so its timeline is not known for sure", "Let it stream again."
	}
	if r.standby.Receiver.Timeline != r.primary.Timeline {
		return Bad, fmt.Sprintf("primary %d, standby %d", r.primary.Timeline, r.standby.Receiver.Timeline), "The standby follows another history: rejoin it."
	}
	return OK, fmt.Sprintf("timeline %d", r.primary.Timeline), ""
}

// absent is the node that wasn't seen.
func (r roles) absent() Node {
	if r.primary == nil {
		return r.from
	}
	return r.to
}

func checkNames(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	names := r.primary.Settings["synchronous_standby_names"]
	if !acceptableNames(names, r.to.Name) {
		return Bad, fmt.Sprintf("synchronous_standby_names is %q", names), fmt.Sprintf("Set it to %q or 'FIRST 1 (%s)', reload, CHECKPOINT.", r.to.Name, r.to.Name)
	}
	return OK, fmt.Sprintf("synchronous_standby_names is %q", names), ""
}

func checkStandby(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	all := claimants(r.primary, r.to.Name)
	if len(all) > 1 {
		return Bad, fmt.Sprintf("%d clients call themselves %s (letter case doesn't count)", len(all), r.to.Name), "Find out who the other is and end its session; only the standby's address belongs into pg_hba for replication."
	}
	if len(all) == 0 {
		return Bad, fmt.Sprintf("no walsender for %s: commits %s", r.to.Name, map[bool]string{true: "wait", false: "don't wait for it"}[guarded(r)]), "Bring the standby back; its own log says why it doesn't connect."
	}
	s := all[0]
	if s.Name != r.to.Name {
		return Bad, fmt.Sprintf("a walsender calls itself %s, from %s", s.Name, s.ClientAddr), fmt.Sprintf("If it is the standby, give it application_name %s; if not, somebody else acknowledges in its name: end that session.", r.to.Name)
	}
	if s.State != "streaming" || s.SyncState != "sync" {
		return Bad, fmt.Sprintf("%s is %s, %s", s.Name, s.State, s.SyncState), "Wait until it has caught up; check that its name is the one in synchronous_standby_names."
	}
	if r.to.Source != "" && s.ClientAddr != r.to.Source {
		return Bad, fmt.Sprintf("it streams from %s, not from the configured %s", s.ClientAddr, r.to.Source), "If the address is right, put it into the config; if not, somebody else claims the standby's name."
	}
	return OK, fmt.Sprintf("streaming, sync, from %s", s.ClientAddr), ""
}

func checkCommit(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	if !commitsWait(r.primary) {
		return Bad, "synchronous_commit is " + r.primary.Settings["synchronous_commit"], "Set it to on (or remote_apply) and reload."
	}
	if len(r.primary.SyncOverrides) > 0 {
		return Bad, "own synchronous_commit for " + strings.Join(r.primary.SyncOverrides, ", "), "ALTER ROLE/DATABASE … RESET synchronous_commit; running sessions keep it until they reconnect."
	}
	return OK, "synchronous_commit is " + r.primary.Settings["synchronous_commit"] + ", no role or database has its own", ""
}

func checkDurable(_ Evidence, r roles) (Status, string, string) {
	for _, s := range []*Server{r.primary, r.standby} {
		if s != nil && !durable(s) {
			return Bad, "fsync or full_page_writes is off", "Switch both on, on both nodes: without them flushed is a word."
		}
	}
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	return OK, "on", ""
}

func checkLatch(e Evidence, r roles) (Status, string, string) {
	l := e.Memory.Latch
	if !e.HasMemory {
		return Unclear, "because the bot's store was not asked", "Ask through the running bot."
	}
	if r.primary == nil && l != nil {
		return Unclear, fmt.Sprintf("because %s is away; it held when last seen at %s", r.from.Name, clock(l.SeenAt)), ""
	}
	if l == nil || r.primary == nil || r.standby == nil || !latchHolds(l, r) {
		return Unclear, "because settings, timeline or a server's start changed, or it was never shown", "The next scheduled check shows it, with one CHECKPOINT on the primary; so does verify."
	}
	return OK, fmt.Sprintf("since %s (from %s on)", clock(l.Since), l.L), ""
}

// checkVersion looks for what is wrong on either node before it warns: a fault
// of one must not hide that the other is too old.
func checkVersion(_ Evidence, r roles) (Status, string, string) {
	var seen, early []string
	for _, s := range []*Server{r.primary, r.standby} {
		if s == nil {
			continue
		}
		v := fmt.Sprintf("%d.%d", s.VersionNum/10000, s.VersionNum%10000)
		if s.VersionNum < 150000 {
			return Bad, v + " is older than 15", "Upgrade: the bot's rights can't be granted there."
		}
		if !syncRaceFixed(s.VersionNum) {
			early = append(early, v)
		}
		seen = append(seen, v)
	}
	switch {
	case len(seen) == 2 && r.primary.VersionNum/10000 != r.standby.VersionNum/10000:
		return Bad, strings.Join(seen, " and ") + " are two major versions", "Both nodes need the same."
	case len(early) > 0:
		return Warn, strings.Join(early, " and ") + " can acknowledge early just after a start", "Upgrade to 15.13, 16.9, 17.5 or newer."
	case len(seen) < 2:
		return unseen(r.absent())
	}
	return OK, strings.Join(seen, " and "), ""
}

func checkWaiters(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	if n := r.primary.SyncWaiters; n > 0 {
		return Warn, fmt.Sprintf("%d sessions were waiting at that moment", n), "A few are normal under load; many that stay mean that the standby doesn't answer."
	}
	return OK, "0", ""
}

func checkReplay(_ Evidence, r roles) (Status, string, string) {
	s := r.standby
	if s == nil {
		return unseen(r.to)
	}
	switch {
	case s.ReplayPause != "" && s.ReplayPause != "not paused":
		return Bad, "replay is " + s.ReplayPause, "SELECT pg_wal_replay_resume() on the standby."
	case s.Settings["recovery_min_apply_delay"] != "0" && s.Settings["recovery_min_apply_delay"] != "":
		return Bad, "recovery_min_apply_delay is " + s.Settings["recovery_min_apply_delay"] + " ms", "Set it to 0."
	case s.ReplayConflict:
		return Bad, "a session on the standby holds up replay", "End that session; pg_stat_activity on the standby shows it."
	}
	return OK, "up to " + s.ReplayLSN.String(), ""
}

func checkRestore(_ Evidence, r roles) (Status, string, string) {
	if r.standby == nil {
		return unseen(r.to)
	}
	if r.standby.Settings["restore_command"] != "" {
		return Bad, "restore_command is set", "Empty it: it can feed a frozen standby from the archive."
	}
	return OK, "no restore_command", ""
}

func checkAlter(_ Evidence, r roles) (Status, string, string) {
	s := r.standby
	if s == nil {
		return unseen(r.to)
	}
	if s.Settings["allow_alter_system"] == "off" {
		return Bad, "allow_alter_system is off", "Switch it on: the freeze needs ALTER SYSTEM SET primary_conninfo."
	}
	return OK, "ALTER SYSTEM is allowed", ""
}

func checkSlot(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	for _, s := range r.primary.Slots {
		if s.Name != r.to.Slot {
			continue
		}
		if s.WALStatus == "lost" || s.WALStatus == "unreserved" {
			return Bad, fmt.Sprintf("slot %s is %s", s.Name, s.WALStatus), "The standby must be made anew, or will soon."
		}
		return OK, fmt.Sprintf("slot %s is %s", s.Name, s.WALStatus), ""
	}
	return Warn, fmt.Sprintf("no slot %q on the primary", r.to.Slot), "Make it, so that WAL is kept while the standby is away."
}

// parameters must not be smaller on a standby than on its primary; as either
// node will be the other's standby, they must be equal.
var parameters = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}

func checkParameters(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	var differ []string
	for _, name := range parameters {
		if a, b := r.primary.Settings[name], r.standby.Settings[name]; a != b {
			differ = append(differ, fmt.Sprintf("%s %s/%s", name, a, b))
		}
	}
	if len(differ) > 0 {
		return Bad, strings.Join(differ, ", ") + " (primary/standby)", "Make them equal: a standby with less stops replaying."
	}
	return senderRoom(r)
}

// senderRoom asks whether the standby, once promoted, can feed its own standby.
func senderRoom(r roles) (Status, string, string) {
	for _, name := range []string{"max_wal_senders", "max_replication_slots"} {
		if n, err := strconv.Atoi(r.standby.Settings[name]); err != nil || n < 1 {
			return Bad, fmt.Sprintf("%s is %q on the standby", name, r.standby.Settings[name]), "Give it room for the old primary."
		}
	}
	return OK, "equal", ""
}

func checkQuiet(_ Evidence, r roles) (Status, string, string) {
	p := r.primary
	if p == nil {
		return unseen(r.from)
	}
	var bad []string
	if p.Archiver.Failing {
		bad = append(bad, "WAL archiving fails ("+p.Archiver.FailedWA+")")
	}
	if p.BaseBackups > 0 {
		bad = append(bad, "a base backup runs")
	}
	if p.Prepared > 0 {
		bad = append(bad, fmt.Sprintf("%d prepared transactions", p.Prepared))
	}
	if others := len(p.Standbys) - len(claimants(p, r.to.Name)); others > 0 {
		bad = append(bad, fmt.Sprintf("%d other walsenders: the stop waits for them, and a third replica may be ahead", others))
	}
	if len(bad) > 0 {
		return Bad, strings.Join(bad, "; "), "Let them end, or end them, before a switchover."
	}
	return OK, "no backup, archiver trouble, prepared transaction or other walsender", ""
}

func checkRewind(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	if !r.primary.Checksums && r.primary.Settings["wal_log_hints"] != "on" {
		return Warn, "neither data checksums nor wal_log_hints", "Without them a diverged primary must be copied anew."
	}
	return OK, "checksums or wal_log_hints", ""
}

func checkLogical(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	var lost []string
	for _, s := range r.primary.Slots {
		if s.Type == "logical" && !s.Temporary && !slices.ContainsFunc(r.standby.Slots, func(o Slot) bool {
			return o.Name == s.Name && o.Synced && !o.Temporary && o.Invalidation == ""
		}) {
			lost = append(lost, s.Name)
		}
	}
	if len(lost) > 0 {
		return Warn, "not on the standby: " + strings.Join(lost, ", "), "Their subscribers can't go on at the new primary; PostgreSQL 17 can synchronize failover slots."
	}
	return OK, "none would be lost", ""
}

func checkUnlogged(_ Evidence, r roles) (Status, string, string) {
	s := r.primary
	if s == nil {
		s = r.standby
	}
	if s == nil {
		return unseen(r.absent())
	}
	if s.Unlogged < 0 {
		return Unclear, "because the tables could not be counted", "Look for tables with relpersistence u in pg_class."
	}
	if s.Unlogged > 0 {
		return Warn, fmt.Sprintf("%d unlogged tables will be empty after promotion", s.Unlogged), "The promise covers logged tables only."
	}
	return OK, "no unlogged table", ""
}

func checkRightsOf(pick func(roles) *Server) func(Evidence, roles) (Status, string, string) {
	return func(_ Evidence, r roles) (Status, string, string) {
		s := pick(r)
		if s == nil {
			return unseen(r.absent())
		}
		if len(s.Rights) > 0 {
			return Bad, "missing: " + strings.Join(s.Rights, ", "), "Run the setup script again, as superuser."
		}
		return OK, "complete", ""
	}
}

func checkStop(e Evidence, r roles) (Status, string, string) {
	if r.from.Name == "" {
		return unseen(r.from)
	}
	if p := e.Platform[r.from.Name]; !p.CanStop {
		return Bad, "no driver can stop and start " + r.from.Name, "Configure a driver for it; without one only a disaster failover is possible, after people have stopped it."
	}
	return OK, "by its driver", ""
}

func checkFence(e Evidence, r roles) (Status, string, string) {
	p := e.Platform[r.from.Name]
	switch {
	case r.from.Name == "":
		return unseen(r.from)
	case !p.CanFence:
		return Warn, "no driver can take its power", "In a disaster failover a named approver has to state that it is off."
	case p.Problem != "":
		return Warn, "its platform does not answer: " + p.Problem, "In a disaster failover a named approver may have to state that it is off."
	}
	return OK, p.FenceText, ""
}
