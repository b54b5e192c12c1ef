package actions

import (
	"fmt"
	"strconv"
	"strings"
)

// factsOf are the relevant facts of evidence under a plan's kind: what makes
// an approved plan stale when it is no longer so. Not among them, because they
// move without changing what the plan does: WAL positions, lags, waiting
// sessions, ages, and warnings.
func factsOf(e Evidence, v Verdict, kind Kind, after After) Facts {
	if kind == KindRejoin {
		return rejoinFacts(e, v)
	}
	r := classify(e)
	f := Facts{
		{"pair", e.Pair.Name}, {"kind possible", string(v.Possible)},
		{"old primary", v.Primary}, {"new primary", v.Standby},
		{"acknowledged loss", string(v.Loss)}, {"after promotion", string(after)},
	}
	for _, n := range e.Pair.Nodes {
		f = append(f, nodeFacts(e, n)...)
	}
	if kind == KindSwitchover && r.primary != nil {
		f = append(f, Fact{"synchronous now", strconv.FormatBool(synchronousNow(r))})
	}
	return append(append(f, endpointFact(e)...), failedFact(v))
}

// rejoinFacts leave out what the returning node looks like: it may well change
// while people decide, and the rejoin looks for itself.
func rejoinFacts(e Evidence, v Verdict) Facts {
	f := Facts{{"pair", e.Pair.Name}, {"primary", v.Primary}, {"to rejoin", v.Standby}}
	for _, n := range e.Pair.Nodes {
		if n.Name == v.Primary {
			f = append(f, nodeFacts(e, n)...)
			continue
		}
		f = append(f, Fact{n.Name + " address", n.Addr()})
	}
	return append(f, endpointFact(e)...)
}

func nodeFacts(e Evidence, n Node) Facts {
	o, p := e.Observation(n.Name), e.Platform[n.Name]
	f := Facts{
		{n.Name + " address", n.Addr()},
		{n.Name + " fence", fmt.Sprintf("available: %t", p.CanFence)},
		{n.Name + " driver", fmt.Sprintf("can stop: %t", p.CanStop)},
	}
	if o.Server == nil {
		return append(f, Fact{n.Name + " role", "no answer"})
	}
	s, role := o.Server, "primary"
	if s.InRecovery {
		role = "standby"
	}
	return append(f, Fact{n.Name + " role", role}, Fact{n.Name + " system", s.SystemID},
		Fact{n.Name + " version", strconv.Itoa(s.VersionNum / 10000)},
		Fact{n.Name + " timeline", timelineFact(s)},
		Fact{n.Name + " synchronous_commit", s.Settings["synchronous_commit"]},
		Fact{n.Name + " synchronous_standby_names", namesFact(s)},
		Fact{n.Name + " own synchronous_commit", strings.Join(s.SyncOverrides, ", ")})
}

// timelineFact of a standby is what it receives: its control file lags.
func timelineFact(s *Server) string {
	if s.InRecovery && s.Receiver != nil {
		return strconv.Itoa(int(s.Receiver.Timeline))
	}
	if s.InRecovery {
		return notStreaming
	}
	return strconv.Itoa(int(s.Timeline))
}

const notStreaming = "not streaming"

// namesFact leaves a standby's own names out: the plan sets them itself.
func namesFact(s *Server) string {
	if s.InRecovery {
		return "set by the plan"
	}
	return s.Settings["synchronous_standby_names"]
}

func failedFact(v Verdict) Fact {
	var ids []string
	for _, c := range v.With(Bad) {
		ids = append(ids, c.ID)
	}
	return Fact{"failed checks", strings.Join(ids, ", ")}
}

// Diff lists the facts that are not as they were, in the old order; new names
// come last. One without a value is like one that isn't there.
func (f Facts) Diff(fresh Facts) []Difference {
	is := map[string]string{}
	for _, x := range fresh {
		is[x.Name] = x.Value
	}
	var out []Difference
	for _, x := range f {
		if now := is[x.Name]; now != x.Value {
			out = append(out, Difference{Name: x.Name, Was: orNothing(x.Value), Is: orNothing(now)})
		}
		delete(is, x.Name)
	}
	for _, x := range fresh {
		if v := is[x.Name]; v != "" {
			out = append(out, Difference{Name: x.Name, Was: "nothing", Is: v})
		}
	}
	return out
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// describe puts differences into one line each.
func describe(diff []Difference) string {
	lines := make([]string, len(diff))
	for i, d := range diff {
		lines[i] = fmt.Sprintf("%s: was %s, is %s", d.Name, d.Was, d.Is)
	}
	return strings.Join(lines, "\n")
}
