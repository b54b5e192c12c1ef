package config

import (
	"slices"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

// Domain is the policy as the two-person rule knows it.
func (p Policy) Domain() approvals.Policy {
	people := make([]approvals.Person, len(p.Approvers))
	for i, who := range p.Approvers {
		people[i] = approvals.Person(who.Name)
	}
	return approvals.Policy{
		Approvers: people, Group: p.ApproverGroup, AllowRequester: p.AllowRequester, Factor: approvals.FactorRule(p.OTP),
		Expiry: time.Duration(p.Expiry), HoldExpiry: time.Duration(p.HoldExpiry),
		Remind: min(p.Remind.Std(), p.Expiry.Std()/2),
	}
}

// Accounts gives the Slack member id of everybody who has a name here.
func (p Policy) Accounts() map[approvals.Person]string {
	accounts := make(map[approvals.Person]string, len(p.Approvers)+len(p.People))
	for _, who := range slices.Concat(p.Approvers, p.People) {
		accounts[approvals.Person(who.Name)] = who.Slack
	}
	return accounts
}

// Domain is the pair without logins and drivers, with every address in its
// plain notation.
func (p Pair) Domain() actions.Pair {
	out := actions.Pair{
		Name: p.Name, Database: p.Database, SSLMode: p.SSLMode, User: p.User,
		AfterSwitchover: actions.After(p.AfterSwitchover), AfterFailover: actions.After(p.AfterFailover),
	}
	for i := range out.Nodes {
		out.Nodes[i] = p.Nodes[i].Domain()
	}
	return out
}

// Domain is the node without login and driver.
func (n Node) Domain() actions.Node {
	return actions.Node{
		Name: n.Name, Site: n.Site, Host: bareHost(n.Host), Port: uint16(n.Port), Slot: n.Slot, Source: n.Source,
	}
}

// DomainPairs are all pairs, in the file's order.
func (c Config) DomainPairs() []actions.Pair {
	pairs := make([]actions.Pair, len(c.Pairs))
	for i, p := range c.Pairs {
		pairs[i] = p.Domain()
	}
	return pairs
}

// Domain are the timeouts as the executor knows them.
func (t Timeouts) Domain() actions.Timeouts {
	return actions.Timeouts{
		Observe: t.Observe.Std(), Effect: t.Effect.Std(), Stop: t.Stop.Std(),
		Promote: t.Promote.Std(), Fence: t.Fence.Std(), Rejoin: t.Rejoin.Std(),
	}
}

// Domain are the thresholds as the verdict knows them.
func (t Thresholds) Domain() actions.Thresholds {
	return actions.Thresholds{LagBytes: uint64(t.LagBytes), LagTime: t.LagTime.Std()}
}
