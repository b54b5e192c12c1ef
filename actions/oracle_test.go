package actions_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twokey/actions"
)

// oracle says, from the evidence's fields alone and in its own way, why a
// synchronous commit could have been acknowledged without being on the
// standby; "" when none could. It calls nothing of the package under test.
func oracle(e actions.Evidence) string {
	a, b, ok := who(e)
	if !ok {
		return "nobody knows who is what"
	}
	l := e.Memory.Latch
	switch {
	case !e.HasMemory || l == nil:
		return "nobody knows since when commits have waited"
	case l.Primary != e.Pair.Nodes[a].Name || l.Standby != e.Pair.Nodes[b].Name || l.SystemID != e.Nodes[b].Server.SystemID:
		return "what is known is about somebody else"
	}
	if why := oracleStandby(e, b, l); why != "" {
		return why
	}
	if e.Nodes[a].Server == nil {
		return oracleMemory(e, b, l)
	}
	return oraclePrimary(e, a, b, l)
}

// who gives the indexes of primary and standby, the primary's by exclusion
// when it gave no answer.
func who(e actions.Evidence) (primary, standby int, ok bool) {
	for i, o := range e.Nodes {
		other := e.Nodes[1-i].Server
		if o.Server == nil || !o.Server.InRecovery {
			continue
		}
		if other == nil || !other.InRecovery && other.SystemID == o.Server.SystemID {
			return 1 - i, i, true
		}
	}
	return 0, 0, false
}

// oracleStandby: what is on the standby, and stays there.
func oracleStandby(e actions.Evidence, b int, l *actions.Latch) string {
	s := e.Nodes[b].Server
	var lower actions.LSN
	for _, seen := range []*actions.Latch{l, e.Memory.Voided} { // what was seen later than now was seen by another clock
		if seen != nil && seen.Standby == l.Standby && seen.SystemID == l.SystemID && !seen.SeenAt.After(e.At) {
			lower = max(lower, seen.HighestFlush)
		}
	}
	switch {
	case s.Settings["fsync"] != "on" || s.Settings["full_page_writes"] != "on":
		return "the standby's disk can't be trusted"
	case s.ReceiveLSN < lower:
		return "the standby has less than it had"
	case !s.StartedAt.Equal(l.StandbyStart):
		return "the standby was restarted"
	}
	return ""
}

// oracleMemory: the primary gave no answer.
func oracleMemory(e actions.Evidence, b int, l *actions.Latch) string {
	s := e.Nodes[b].Server
	switch {
	case l.SeenAt.After(e.At):
		return "the times can't be compared"
	case !e.Memory.Unprotected.IsZero():
		return "the primary was seen to acknowledge alone"
	case e.Memory.Gone != nil && !e.Memory.Gone.HeardAt.IsZero():
		return "the primary was alive after it had ceased to answer"
	case !s.ConninfoSet && (e.Memory.Gone == nil || e.Memory.Gone.PartedAt.IsZero()):
		return "the standby was frozen while it streamed"
	case s.Receiver != nil && s.Receiver.Status == "streaming":
		return "the primary is alive now"
	case s.Timeline > l.Timeline || s.Receiver != nil && s.Receiver.Timeline > l.Timeline:
		return "the standby has left the primary's history"
	}
	return ""
}

// oraclePrimary: both answered, so the primary must be just as it was latched.
func oraclePrimary(e actions.Evidence, a, b int, l *actions.Latch) string {
	p, s, name := e.Nodes[a].Server, e.Nodes[b].Server, e.Pair.Nodes[b].Name
	waits := p.Settings["synchronous_commit"] == "on" || p.Settings["synchronous_commit"] == "remote_apply"
	now := []any{p.Timeline, p.Settings["synchronous_standby_names"], p.ConfLoaded.UnixNano(), p.StartedAt.UnixNano(), s.ConfLoaded.UnixNano()}
	then := []any{l.Timeline, l.Names, l.PrimaryConf.UnixNano(), l.PrimaryStart.UnixNano(), l.StandbyConf.UnixNano()}
	switch {
	case !slices.Equal(now, then):
		return "something was changed since"
	case !waits || len(p.SyncOverrides) > 0:
		return "somebody commits without waiting"
	case p.Settings["fsync"] != "on" || p.Settings["full_page_writes"] != "on":
		return "the primary's disk can't be trusted"
	case !slices.Contains(spellings(name), strings.Join(strings.Fields(strings.ToLower(p.Settings["synchronous_standby_names"])), " ")):
		return "the primary waits for anybody else"
	case s.Receiver == nil || s.Receiver.Timeline != p.Timeline:
		return "the standby doesn't receive the primary's history"
	}
	return oracleStream(p, e.Pair.Nodes[b], l)
}

func spellings(name string) []string {
	q := `"` + name + `"`
	return []string{name, q, "first 1 (" + name + ")", "first 1 (" + q + ")", "first 1 ( " + q + " )", "first 1(" + q + ")", "first 1(" + q + " )"}
}

// oracleStream: exactly one walsender may release commits, the standby's own.
func oracleStream(p *actions.Server, node actions.Node, l *actions.Latch) string {
	var counting []actions.Standby
	for _, w := range p.Standbys {
		if strings.EqualFold(w.Name, node.Name) {
			counting = append(counting, w)
		}
	}
	if len(counting) != 1 {
		return fmt.Sprintf("%d clients could release commits", len(counting))
	}
	w := counting[0]
	switch {
	case w.Name != node.Name || node.Source != "" && w.ClientAddr != node.Source:
		return "somebody else releases commits"
	case w.State != "streaming" || w.SyncState != "sync":
		return "the standby doesn't acknowledge"
	case w.Flush < l.L || w.Flush > p.FlushLSN:
		return "the standby is not where it must be"
	}
	return ""
}

// hostile draws evidence that is healthy, a disaster or swapped, and then
// spoilt in up to three places.
func hostile(t *rapid.T) actions.Evidence {
	base := rapid.SampledFrom([]change{func(*actions.Evidence) {}, disaster, swapped, gone("dc2", actions.Silent, "silent")}).Draw(t, "base")
	e := but(base)
	for range rapid.IntRange(0, 3).Draw(t, "spoilt places") {
		spoil(t, &e)
	}
	return e
}

func spoil(t *rapid.T, e *actions.Evidence) {
	places := []func(*rapid.T, *actions.Evidence){spoilServer, spoilSettings, spoilWalsenders, spoilReceiver, spoilLatch, spoilMemory, spoilPair}
	rapid.SampledFrom(places).Draw(t, "place")(t, e)
}

func position(t *rapid.T) actions.LSN {
	return rapid.SampledFrom([]actions.LSN{0, latchedFrom - 8, latchedFrom, latchedFrom + 8, highest - 8, highest, highest + 8, written, written + 8}).Draw(t, "position")
}

func moment(t *rapid.T) time.Time {
	return rapid.SampledFrom([]time.Time{{}, ago(48 * time.Hour), ago(47 * time.Hour), ago(3 * time.Hour), ago(2 * time.Hour), ago(10 * time.Second), ago(5 * time.Second), noon, noon.Add(time.Hour)}).Draw(t, "moment")
}

func pick[T any](t *rapid.T, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, label)
}

// spoilServer changes what one node says of itself; nothing when it is silent.
func spoilServer(t *rapid.T, e *actions.Evidence) {
	s := e.Nodes[pick(t, "node", 0, 1)].Server
	if s == nil {
		return
	}
	switch pick(t, "field", "system", "recovery", "start", "conf", "timeline", "flush", "receive", "conninfo", "overrides") {
	case "system":
		s.SystemID = pick(t, "system", "7301", "7302", "")
	case "recovery":
		s.InRecovery = !s.InRecovery
	case "start":
		s.StartedAt = moment(t)
	case "conf":
		s.ConfLoaded = moment(t)
	case "timeline":
		s.Timeline = pick[uint32](t, "timeline", 2, 3, 4)
	case "flush":
		s.FlushLSN = position(t)
	case "receive":
		s.ReceiveLSN = position(t)
	case "conninfo":
		s.ConninfoSet = !s.ConninfoSet
	case "overrides":
		s.SyncOverrides = pick(t, "overrides", nil, []string{"role batch"})
	}
}

func spoilSettings(t *rapid.T, e *actions.Evidence) {
	values := map[string][]string{
		"synchronous_commit": {"on", "remote_apply", "remote_write", "local", "off", ""},
		"synchronous_standby_names": {"dc1", "dc2", "DC2", `"dc2"`, "FIRST 1 (dc2)", `first 1 ("dc2")`, "", "*", `"*"`, "dc2,dc3", "dc2, *",
			"FIRST 1 (dc2, dc3)", "FIRST 1 (*)", "FIRST 2 (dc2)", "ANY 1 (dc2)", "ANY 1 (dc2, dc3)", "dc", "dc22", `""dc2""`, `"dc2`, "FIRST 1 (dc2", "1 (dc2)", "FIRST 1 dc2", "(dc2)"},
		"fsync": {"on", "off", ""}, "full_page_writes": {"on", "off"},
	}
	name := pick(t, "setting", "synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes")
	value := pick(t, "value", values[name]...)
	setting(pick(t, "node", "dc1", "dc2"), name, value)(e)
	if pick(t, "latched so", true, false) {
		latch(func(l *actions.Latch) { l.Names = value })(e)
	}
}

func spoilWalsenders(t *rapid.T, e *actions.Evidence) {
	s := e.Nodes[pick(t, "node", 0, 1)].Server
	if s == nil {
		return
	}
	w := actions.Standby{
		Name: pick(t, "name", "dc1", "dc2", "DC2", "Dc1", "dr", ""), ClientAddr: pick(t, "addr", "10.1.0.5", "10.2.0.5", "10.9.0.9"),
		State: pick(t, "state", "streaming", "catchup", "backup"), SyncState: pick(t, "sync", "sync", "potential", "async", "quorum"),
		Flush: position(t), Replay: position(t),
	}
	if len(s.Standbys) > 0 && pick(t, "instead", true, false) {
		s.Standbys = slices.Clone(s.Standbys)
		s.Standbys[0] = w
		return
	}
	s.Standbys = append(slices.Clone(s.Standbys), w)
}

func spoilReceiver(t *rapid.T, e *actions.Evidence) {
	if s := e.Nodes[pick(t, "node", 0, 1)].Server; s != nil {
		s.Receiver = pick(t, "receiver", nil, &actions.Receiver{Status: "streaming", Timeline: 3}, &actions.Receiver{Status: "waiting", Timeline: 3},
			&actions.Receiver{Status: "streaming", Timeline: 4}, &actions.Receiver{Status: "waiting", Timeline: 4}, &actions.Receiver{Status: "streaming", Timeline: 2})
	}
}

func spoilLatch(t *rapid.T, e *actions.Evidence) {
	latch(func(l *actions.Latch) {
		switch pick(t, "latch", "L", "highest", "seen", "primary", "standby", "system", "timeline", "start") {
		case "L":
			l.L = position(t)
		case "highest":
			l.HighestFlush = position(t)
		case "seen":
			l.SeenAt = moment(t)
		case "primary":
			l.Primary = pick(t, "primary", "dc1", "dc2", "dc0")
		case "standby":
			l.Standby = pick(t, "standby", "dc1", "dc2", "dc0")
		case "system":
			l.SystemID = pick(t, "system", "7301", "7302")
		case "timeline":
			l.Timeline = pick[uint32](t, "timeline", 2, 3, 4)
		case "start":
			l.StandbyStart = moment(t)
		}
	})(e)
}

func spoilMemory(t *rapid.T, e *actions.Evidence) {
	m := &e.Memory
	switch pick(t, "memory", "none", "open", "voided", "gone", "unprotected") {
	case "none":
		e.HasMemory = false
	case "open":
		m.Latch = nil
	case "voided":
		v := *healthyMemory().Latch
		v.HighestFlush, v.SeenAt = position(t), moment(t)
		m.Voided = &v
	case "gone":
		m.Gone = &actions.Gone{By: moment(t), HeardAt: pick(t, "heard", time.Time{}, noon), PartedAt: pick(t, "parted", time.Time{}, noon)}
	case "unprotected":
		m.Unprotected = moment(t)
	}
}

func spoilPair(t *rapid.T, e *actions.Evidence) {
	e.Pair.Nodes[pick(t, "node", 0, 1)].Source = pick(t, "source", "", "10.2.0.5", "10.9.0.9")
}

// TestLossNoneIsNeverSaidInVain: whatever the evidence, "none, proven" is said
// exactly when the oracle finds no way in which an acknowledged synchronous
// commit could be missing from the standby.
func TestLossNoneIsNeverSaidInVain(t *testing.T) {
	t.Parallel()
	var proven, doubted atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		for range 30 {
			e := hostile(t)
			v, why := actions.Judge(e), oracle(e)
			switch {
			case v.Loss == actions.LossNone && why != "":
				t.Fatalf("%q, although %s\n%s", v.Headline, why, shown(e))
			case v.Loss != actions.LossNone && why == "":
				t.Fatalf("%q, although nothing speaks against it\n%s", v.Headline, shown(e))
			case why == "":
				proven.Add(1)
			default:
				doubted.Add(1)
			}
		}
	})
	if proven.Load() < 100 || doubted.Load() < 100 {
		t.Errorf("%d proven, %d doubted: the property was hardly tried", proven.Load(), doubted.Load())
	}
}

// TestJudgeIsTotal: no evidence makes the verdict contradict itself.
func TestJudgeIsTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := hostile(t)
		v := actions.Judge(e)
		switch {
		case v.Possible == actions.KindSwitchover && (v.Primary == "" || e.Nodes[0].Server == nil || e.Nodes[1].Server == nil):
			t.Fatalf("a switchover is possible with a node unseen\n%s", shown(e))
		case v.Possible == actions.KindFailover && v.Health != actions.HealthPrimaryGone:
			t.Fatalf("a disaster failover is possible, but the pair is %q\n%s", v.Health, shown(e))
		case v.Loss == actions.LossNone && v.Health.Severity() == 3 && v.Health != actions.HealthPrimaryGone:
			t.Fatalf("no loss is proven, and yet the pair is %q\n%s", v.Health, shown(e))
		case v.Loss == "" || v.Headline == "" || v.Why == "":
			t.Fatalf("the verdict is silent: %+v", v)
		}
		remembered := actions.Remembering(e)
		if l := remembered.Latch; l != nil && e.Memory.Latch != nil && l.HighestFlush < e.Memory.Latch.HighestFlush {
			t.Fatalf("the highest flush fell from %s to %s\n%s", e.Memory.Latch.HighestFlush, l.HighestFlush, shown(e))
		}
		if e.Memory.Latch == nil && remembered.Latch != nil {
			t.Fatalf("a look alone has closed a latch\n%s", shown(e))
		}
	})
}

func shown(e actions.Evidence) string {
	var b strings.Builder
	for i, o := range e.Nodes {
		fmt.Fprintf(&b, "%s (source %q): %+v\n", o.Node, e.Pair.Nodes[i].Source, o.Server)
		if o.Server != nil {
			fmt.Fprintf(&b, "  receiver %+v\n", o.Server.Receiver)
		}
	}
	fmt.Fprintf(&b, "memory (%t) %+v\nlatch %+v\nvoided %+v", e.HasMemory, e.Memory, e.Memory.Latch, e.Memory.Voided)
	return b.String()
}
