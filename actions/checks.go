package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// failoverChecks are the checks that stand in the way of a disaster failover
// when they fail; the others can't be met with the primary away, or are the
// business of "not proven".
var failoverChecks = []string{"standby.alter", "standby.rights", "sync.version"}

// check is one question put to the evidence.
type check struct {
	id, title string
	ask       func(Evidence, roles) (Status, string, string) // status, what was seen, what to do
	asOf      func(Evidence, roles) time.Time                // of the oldest fact, where the observations aren't all
}

// checks answers every question, in the order in which people read them.
func checks(e Evidence, r roles) []Check {
	var out []Check
	all := allChecks()
	if len(e.Endpoints) > 0 {
		all = append(all, check{"endpoint", "clients are led to the primary", checkEndpoints, nil})
	}
	for _, c := range all {
		status, detail, fix := c.ask(e, r)
		if status == OK {
			fix = ""
		}
		out = append(out, Check{ID: c.id, Title: c.title, Status: status, Detail: detail, Fix: fix, AsOf: c.dated(e, r)})
	}
	return out
}

// dated is the time of the oldest fact that a check rests on.
func (c check) dated(e Evidence, r roles) time.Time {
	if c.asOf != nil {
		if at := c.asOf(e, r); !at.IsZero() {
			return at
		}
	}
	return e.At
}

func allChecks() []check {
	return []check{
		{"roles", "one primary and one standby of one system", checkRoles, nil},
		{"timeline", "both on one timeline", checkTimeline, nil},
		{"sync.names", "the primary waits for exactly this standby", checkNames, nil},
		{"sync.standby", "the standby streams, synchronous, from its own address", checkStandby, nil},
		{"sync.commit", "nobody commits without waiting", checkCommit, nil},
		{"durable", "fsync and full_page_writes on both", checkDurable, nil},
		{"sync.latch", "shown to be synchronous since the last change", checkLatch, latchAsOf},
		{"sync.version", "no known fault in synchronous waiting", checkVersion, nil},
		{"waiters", "no commit is waiting for the standby", checkWaiters, nil},
		{"standby.replay", "the standby replays without pause or delay", checkReplay, nil},
		{"standby.restore", "nothing but the stream feeds the standby", checkRestore, nil},
		{"standby.alter", "the standby's receiver can be stopped by the bot", checkAlter, nil},
		{"standby.slot", "the standby's slot keeps its WAL", checkSlot, nil},
		{"standby.room", "the standby has room for the old primary", checkRoom, nil},
		{"standby.disk", "the standby has disk to go on alone", checkDisk, insideAsOf(func(r roles) Node { return r.to })},
		{"parameters", "either node can be the other's standby", checkParameters, nil},
		{"settings", "what else is set agrees on both", checkSettings, nil},
		{"primary.quiet", "nothing would stretch the primary's stop", checkQuiet, nil},
		{"rejoin", "the old primary can be rewound", checkRewind, nil},
		{"rejoin.login", "the old primary can log in at the new one", checkLogin, insideAsOf(func(r roles) Node { return r.from })},
		{"logical", "logical slots survive", checkLogical, nil},
		{"logical.wait", "logical subscribers won't wait for the wrong standby", checkLogicalWait, nil},
		{"unlogged", "no table is left out of the promise", checkUnlogged, unloggedAsOf},
		{"primary.rights", "the bot has its rights on the primary", checkRightsOf(func(r roles) *Server { return r.primary }), nil},
		{"standby.rights", "the bot has its rights on the standby", checkRightsOf(func(r roles) *Server { return r.standby }), nil},
		{"stop", "the primary can be stopped cleanly", checkStop, nil},
		{"fence", "the primary can be fenced", checkFence, nil},
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
	if r.standby == nil {
		return unseen(r.to)
	}
	for _, s := range []*Server{r.standby, r.primary} { // the roles will change
		if s != nil && s.Settings["allow_alter_system"] == "off" {
			return Bad, "allow_alter_system is off", "Switch it on, on both nodes: the freeze needs ALTER SYSTEM SET primary_conninfo."
		}
	}
	return OK, "ALTER SYSTEM is allowed", ""
}

func checkSlot(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	at := slices.IndexFunc(r.primary.Slots, func(s Slot) bool { return s.Name == r.to.Slot })
	if at < 0 {
		return Warn, fmt.Sprintf("no slot %q on the primary", r.to.Slot), "Make it, so that WAL is kept while the standby is away."
	}
	s := r.primary.Slots[at]
	detail := fmt.Sprintf("slot %s is %s", s.Name, s.WALStatus)
	if s.SafeWALSize != nil {
		detail += fmt.Sprintf(", %s more until it is cut off", humanize.IBytes(uint64(max(0, *s.SafeWALSize))))
	}
	switch {
	case s.WALStatus == "lost" || s.WALStatus == "unreserved":
		return Bad, detail, "The standby must be made anew, or will soon."
	case r.primary.Settings["max_slot_wal_keep_size"] == "-1":
		return Warn, detail + ", without limit", "Set max_slot_wal_keep_size: else a standby that stays away fills the primary's disk."
	}
	return OK, detail, ""
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
	for _, s := range []*Server{r.primary, r.standby} {
		if waits := pendingOf(s); len(waits) > 0 {
			return Warn, "equal now, but a restart will change " + strings.Join(waits, ", "), "Restart the standby first, or set it alike on both: the stop applies it."
		}
	}
	return OK, "equal", ""
}

// pendingOf are the parameters that take another value at the next start.
func pendingOf(s *Server) []string {
	var out []string
	for _, name := range parameters {
		if slices.Contains(s.PendingRestart, name) {
			out = append(out, name)
		}
	}
	return out
}

// checkRoom asks whether the standby, once promoted, can feed its own standby.
// A base backup takes two walsenders, streaming takes one.
func checkRoom(_ Evidence, r roles) (Status, string, string) {
	s := r.standby
	if s == nil {
		return unseen(r.to)
	}
	taken := len(s.Slots)
	if slices.ContainsFunc(s.Slots, func(x Slot) bool { return x.Name == r.from.Slot }) {
		taken-- // the one that it needs is there already
	}
	senders, slots := free(s, "max_wal_senders", len(s.Standbys)), free(s, "max_replication_slots", taken)
	detail := fmt.Sprintf("%d walsenders and %d slots free", senders, slots)
	switch {
	case senders < 1 || slots < 1:
		return Bad, detail, "Raise max_wal_senders and max_replication_slots on both nodes, or end what takes them on the standby."
	case senders < 2:
		return Warn, detail, "A base backup of the old primary takes two walsenders: raise max_wal_senders on both nodes."
	}
	return OK, detail, ""
}

// free is how much of a limit is left; a limit that can't be read leaves nothing.
func free(s *Server, limit string, taken int) int {
	n, err := strconv.Atoi(s.Settings[limit])
	if err != nil {
		return 0
	}
	return max(0, n-taken)
}

// Disk on the standby: with less than diskLeast a promotion may fail, with less
// than its slots may hold it can't keep the old primary's WAL.
const diskLeast, diskUnlimited = 64 << 20, 1 << 30

func checkDisk(e Evidence, r roles) (Status, string, string) {
	if r.to.Name == "" {
		return unseen(r.to)
	}
	in := e.Platform[r.to.Name].Inside
	if in == nil || in.DiskFree < 0 {
		return Unclear, "because no driver can look at " + r.to.Name + "'s disk", "Look there: once promoted it keeps WAL until the old primary is back."
	}
	detail := humanize.IBytes(uint64(in.DiskFree)) + " free"
	switch {
	case in.DiskFree < diskLeast:
		return Bad, detail, "Make room: a promoted node that can't write WAL stops."
	case in.DiskFree < mayHold(r.standby):
		return Warn, detail, "Less than its slots may hold (max_slot_wal_keep_size): make room."
	}
	return OK, detail, ""
}

// mayHold is how much WAL a server's slots can hold, in bytes.
func mayHold(s *Server) int64 {
	if s == nil {
		return diskUnlimited
	}
	mib, err := strconv.ParseInt(s.Settings["max_slot_wal_keep_size"], 10, 64)
	if err != nil || mib < 0 || mib > diskUnlimited {
		return diskUnlimited
	}
	return mib << 20
}

// alike are settings that nothing stops from differing, but that clients and
// people feel after a switch.
var alike = []string{"wal_level", "hot_standby", "archive_mode", "archive_command", "archive_library", "max_slot_wal_keep_size", "wal_keep_size", "hot_standby_feedback", "ssl"}

// slowRetry is from when the pause before a standby's next attempt is felt, in ms.
const slowRetry = 1000

func checkSettings(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	if r.standby.Settings["default_transaction_read_only"] == "on" {
		return Bad, "default_transaction_read_only is on at the standby", "Switch it off: once promoted it would refuse the applications' writes."
	}
	var differ []string
	for _, name := range alike {
		if a, b := r.primary.Settings[name], r.standby.Settings[name]; a != b {
			differ = append(differ, fmt.Sprintf("%s %q/%q", name, a, b))
		}
	}
	if len(differ) > 0 {
		return Warn, strings.Join(differ, ", ") + " (primary/standby)", "Make them equal, or know why they are not."
	}
	for _, s := range []*Server{r.primary, r.standby} {
		if ms, err := strconv.Atoi(s.Settings["wal_retrieve_retry_interval"]); err == nil && ms > slowRetry {
			return Warn, fmt.Sprintf("wal_retrieve_retry_interval is %d ms", ms), "Set it to 100ms or so on both nodes: a standby whose first attempt fails waits that long, and a freeze takes that long to prove."
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
	bad = append(bad, archiverTrouble(p)...)
	if p.BaseBackups > 0 {
		bad = append(bad, "a base backup runs")
	}
	if p.Prepared > 0 && p.Now.Sub(p.PreparedAt) > oldPrepared {
		bad = append(bad, fmt.Sprintf("%d prepared transactions, the oldest since %s", p.Prepared, clock(p.PreparedAt)))
	}
	if others := strangers(p, r.to.Name); len(others) > 0 {
		bad = append(bad, fmt.Sprintf("%d other walsenders (%s): the stop waits for them, and a third replica may be ahead of %s", len(others), strings.Join(others, ", "), r.to.Name))
	}
	if len(bad) > 0 {
		return Bad, strings.Join(bad, "; "), "Let them end, or end them, before a switchover."
	}
	if p.Archiver.Waiting < 0 {
		return Unclear, "because what waits to be archived could not be counted", "Grant membership in pg_monitor, or look into pg_wal/archive_status."
	}
	return OK, "no backup, archiver trouble, old prepared transaction or other walsender", ""
}

const (
	oldPrepared = time.Minute // an application with two-phase commit has younger ones at any time
	oldArchive  = time.Minute // a WAL file that waits longer shows that its archiver hangs
	longArchive = 8           // WAL files: the stop waits until the last is archived
)

func archiverTrouble(p *Server) (bad []string) {
	a := p.Archiver
	if a.Failing {
		bad = append(bad, "WAL archiving fails ("+a.FailedWA+")")
	}
	switch {
	case a.Waiting >= longArchive:
		bad = append(bad, fmt.Sprintf("%d WAL files wait to be archived", a.Waiting))
	case a.Waiting > 0 && p.Now.Sub(a.Oldest) > oldArchive:
		bad = append(bad, fmt.Sprintf("a WAL file has waited since %s to be archived: the archiver hangs", clock(a.Oldest)))
	}
	return bad
}

// strangers are the walsenders that aren't the standby's, by name and address.
func strangers(p *Server, standby string) []string {
	var out []string
	for _, w := range p.Standbys {
		if !strings.EqualFold(w.Name, standby) {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s", orNode(w.Name, "without a name"), w.ClientAddr)))
		}
	}
	return out
}

func checkRewind(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil {
		return unseen(r.from)
	}
	for _, s := range []*Server{r.primary, r.standby} { // the standby will be the old primary one day
		if s != nil && !s.Checksums && s.Settings["wal_log_hints"] != "on" {
			return Warn, "neither data checksums nor wal_log_hints", "Without them a diverged primary must be copied anew."
		}
	}
	return OK, "checksums or wal_log_hints", ""
}

// checkLogin is about the way back: the old primary, as a standby, logs in at
// the new one. The other direction shows itself, it streams.
func checkLogin(e Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	in := e.Platform[r.from.Name].Inside
	switch {
	case in == nil:
		return Unclear, fmt.Sprintf("because no driver can try it from %s itself", r.from.Name), fmt.Sprintf("Try it there, with its own login: IDENTIFY_SYSTEM on a replication connection to %s.", r.to.Addr())
	case in.Login != "":
		return Bad, in.Login, fmt.Sprintf("Mend pg_hba on %s, or %s's login: else it can't come back as a standby.", r.to.Name, r.from.Name)
	}
	return OK, fmt.Sprintf("%s logged in at %s, for replication and for pg_rewind", r.from.Name, r.to.Name), ""
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

// checkLogicalWait is about synchronized_standby_slots (17): logical walsenders
// wait for the slots that it names. The plan sets it on the new primary.
func checkLogicalWait(_ Evidence, r roles) (Status, string, string) {
	if r.primary == nil || r.standby == nil {
		return unseen(r.absent())
	}
	const name = "synchronized_standby_slots"
	is, will := r.primary.Settings[name], r.standby.Settings[name]
	switch {
	case is == "" && will == "":
		return OK, name + " is not used", ""
	case is != r.to.Slot:
		return Warn, fmt.Sprintf("%s is %q, the standby's slot is %q", name, is, r.to.Slot), "Name the standby's slot alone: subscribers stall behind any other, and may be ahead of the standby without it."
	}
	return OK, fmt.Sprintf("%s is %q, and will be %q on %s", name, is, r.from.Slot, r.to.Name), ""
}

func checkUnlogged(_ Evidence, r roles) (Status, string, string) {
	s := r.either()
	if s == nil {
		return unseen(r.absent())
	}
	u := s.Unlogged
	if u.Count < 0 {
		return Unclear, "because the tables could not be counted", "Look for tables with relpersistence u in pg_class."
	}
	if u.Count > 0 {
		list := strings.Join(u.Names, ", ")
		if more := u.Count - len(u.Names); more > 0 && list != "" {
			list += fmt.Sprintf(" and %d more", more)
		}
		return Warn, fmt.Sprintf("%d unlogged tables will be empty after promotion: %s", u.Count, list), "The promise covers logged tables only."
	}
	return OK, "no unlogged table", ""
}

func (r roles) either() *Server {
	if r.primary != nil {
		return r.primary
	}
	return r.standby
}

func unloggedAsOf(_ Evidence, r roles) time.Time {
	if s := r.either(); s != nil {
		return s.Unlogged.At
	}
	return time.Time{}
}

func insideAsOf(of func(roles) Node) func(Evidence, roles) time.Time {
	return func(e Evidence, r roles) time.Time {
		if in := e.Platform[of(r).Name].Inside; in != nil {
			return in.At
		}
		return time.Time{}
	}
}

func latchAsOf(e Evidence, _ roles) time.Time {
	if l := e.Memory.Latch; l != nil {
		return l.SeenAt
	}
	return time.Time{}
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
