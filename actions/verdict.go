package actions

import (
	"fmt"
	"time"
)

// Kind is what a plan does.
type Kind string

// The kinds. KindAuto in a question lets the evidence decide between the first two.
const (
	KindAuto       Kind = ""
	KindSwitchover Kind = "switchover" // planned: the old primary is stopped cleanly
	KindFailover   Kind = "failover"   // disaster: the old primary is out of reach
	KindRejoin     Kind = "rejoin"     // the old primary becomes the new standby
	KindDrill      Kind = "drill"      // a rehearsal of one of the first two; nothing is changed
)

// Status of one check.
type Status string

// A check that could not be made is unknown, never ok.
const (
	OK      Status = "ok"
	Bad     Status = "failed"
	Unclear Status = "unknown"
	Warn    Status = "warning" // worth reading, no obstacle
)

// Check is one line of the verdict.
type Check struct {
	ID     string    `json:"id"`     // stable, e.g. "sync.names"
	Title  string    `json:"title"`  // what is asked, e.g. "same system, one primary"
	Status Status    `json:"status"` //
	Detail string    `json:"detail"` // what was seen
	Fix    string    `json:"fix,omitempty"`
	AsOf   time.Time `json:"as_of"` // of the oldest fact that it rests on
}

// Age says how old the oldest fact is that a check rests on, seen from at; ""
// for one that was read in that very look.
func (c Check) Age(at time.Time) string {
	if d := at.Sub(c.AsOf); !c.AsOf.IsZero() && d >= time.Second {
		return age(d) + " ago"
	}
	return ""
}

// NotVisible names what people must keep right on both nodes and what no look
// of the bot can show.
func NotVisible() []string {
	return []string{
		"pg_hba beyond the logins that were tried", "certificates and their expiry", "cron jobs",
		"what archive_command does, and that the nodes don't share one archive", "poolers and connection strings elsewhere",
		"sessions that set synchronous_commit for themselves", "waits that somebody cancels",
	}
}

// Loss is the judgement on acknowledged writes.
type Loss string

// LossNone is only given when it is proven.
const (
	LossNone     Loss = "none, proven"
	LossUnproven Loss = "not proven"
	LossCertain  Loss = "certain"
)

// Verdict is the pure judgement of evidence.
type Verdict struct {
	Health   Health    `json:"health"`
	Primary  string    `json:"primary"` // "" when it can't be told
	Standby  string    `json:"standby"`
	Possible Kind      `json:"possible"` // KindSwitchover, KindFailover, or "" for neither
	Loss     Loss      `json:"loss"`
	Headline string    `json:"headline"` // the verdict in one sentence
	Why      string    `json:"why"`      // what Possible and Loss rest on, or what would have to change
	AsOf     time.Time `json:"as_of"`    // of the oldest fact that Loss rests on
	Since    time.Time `json:"since"`    // synchronous since; zero when not
	Checks   []Check   `json:"checks"`
}

// With lists the checks with the given status.
func (v Verdict) With(s Status) []Check {
	var out []Check
	for _, c := range v.Checks {
		if c.Status == s {
			out = append(out, c)
		}
	}
	return out
}

// Meaning says what the health means for whoever depends on the pair, in one
// sentence.
func (v Verdict) Meaning() string {
	p, s := orNode(v.Primary, "the primary"), orNode(v.Standby, "the standby")
	switch v.Health {
	case HealthOK:
		return fmt.Sprintf("Commits on %s wait for %s, and that was shown.", p, s)
	case HealthArming:
		return fmt.Sprintf("Commits on %s wait for %s now; since when is being shown.", p, s)
	case HealthLagging:
		return fmt.Sprintf("%s has every acknowledged write, but is behind in replaying them: a failover would take longer.", s)
	case HealthHalfSeen:
		return fmt.Sprintf("%s says that %s is well; %s itself does not answer the bot.", p, s, s)
	case HealthBlocked:
		return fmt.Sprintf("%s is away, so commits on %s wait: applications can't write until it is back.", s, p)
	case HealthUnprotected:
		return fmt.Sprintf("%s acknowledges writes that may be on no standby: if it is lost now, they are lost.", p)
	case HealthPrimaryGone:
		return fmt.Sprintf("%s does not answer; %s does. Unreachable is not dead: verify, then decide.", p, s)
	}
	return noKind[v.Health]
}

func orNode(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}
