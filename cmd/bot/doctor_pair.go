package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"twokey/actions"
	"twokey/actions/kube"
	"twokey/actions/postgres"
	"twokey/actions/vultr"
	"twokey/config"
)

// writable says whether this account may make files in a folder; nothing is made.
func writable(folder string) bool { return unix.Access(folder, unix.W_OK|unix.X_OK) == nil }

// mostNodeSkew between a server's clock and the bot's: what is said to be seconds
// old would be something else.
const mostNodeSkew = 5 * time.Second

// pair examines both nodes, what is between them, and what leads to them.
func (d doctor) pair(ctx context.Context, p config.Pair) []finding {
	m := &maker{cfg: d.cfg, secrets: d.secrets}
	defer m.close()
	account := m.openAccount()
	var found []finding
	databases := [2]*postgres.Node{}
	for i, n := range p.Nodes {
		var err error
		if databases[i], err = databaseOf(m.cfg, p, n, m.secrets, nil); err != nil {
			return append(found, broken(areaOf(p, n), "login", err.Error(), "Mend the node's login in the configuration."))
		}
		defer databases[i].Close()
	}
	hands := actions.Hands{Databases: map[string]actions.Database{}, Machines: map[string]actions.Machine{}, Fencers: map[string]actions.Fencer{}}
	for i, n := range p.Nodes {
		hands.Databases[n.Name] = databases[i]
		found = append(found, d.node(ctx, p, n, databases[i])...)
		found = append(found, d.driver(m, hands, p, i, databases)...)
	}
	found = append(found, d.between(ctx, p, hands)...)
	for _, n := range p.Nodes {
		found = append(found, d.cluster(ctx, m, p, n)...)
		found = append(found, d.instance(ctx, m, p, n, account)...)
	}
	return append(found, d.endpoints(ctx, m, p, hands, account)...)
}

// driver makes a node's, as a start would.
func (d doctor) driver(m *maker, hands actions.Hands, p config.Pair, i int, databases [2]*postgres.Node) []finding {
	n := p.Nodes[i]
	err := m.driver(hands, n, p.Nodes[1-i], databases[i], databases[1-i])
	if err == nil {
		return nil
	}
	delete(hands.Machines, n.Name) // what was half made is none
	delete(hands.Fencers, n.Name)
	if errors.Is(err, errNoAccount) {
		return nil // said of the instance
	}
	return []finding{broken(areaOf(p, n), "driver", err.Error(), "Mend the node's section driver, or what it names.")}
}

func areaOf(p config.Pair, n config.Node) string { return p.Name + " " + n.Name }

// node logs in as the bot and looks at the session and every right.
func (d doctor) node(ctx context.Context, p config.Pair, n config.Node, db *postgres.Node) []finding {
	area := areaOf(p, n)
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeouts.Domain().Observe)
	defer cancel()
	l, err := db.Login(ctx)
	if err != nil {
		return []finding{loginBroken(area, n, db, err)}
	}
	role := map[bool]string{true: "primary", false: "standby"}[l.Primary]
	return []finding{
		works(area, "login", fmt.Sprintf("as %s at %s:%d, the %s", n.User, n.Host, n.Port, role)),
		tlsFound(area, n, l), rightsFound(area, l), skewFound(area, l),
	}
}

func loginBroken(area string, n config.Node, db *postgres.Node, err error) finding {
	reach, text := db.Failure(err)
	fixes := map[string]string{
		string(actions.Unreachable): fmt.Sprintf("Look whether the server runs, and whether this machine reaches %s:%d: tunnel, firewall, NodePort.", n.Host, n.Port),
		string(actions.Silent):      fmt.Sprintf("Look whether this machine reaches %s:%d: tunnel, firewall; and whether the server hangs.", n.Host, n.Port),
		string(actions.Starting):    "Wait until the server has started; its guard's log says why it doesn't.",
		string(actions.Denied):      "Run the setup of sql/ again, and compare password, pg_hba, certificate and sslrootcert.",
		string(actions.Garbled):     "Look whether that is PostgreSQL: host and port.",
	}
	return broken(area, "login", reach+": "+text, fixes[reach])
}

func tlsFound(area string, n config.Node, l postgres.Login) finding {
	const what = "TLS"
	switch {
	case l.TLS == "" && n.SSLMode == "disable":
		return warned(area, what, "none, as sslmode: disable wants it", "Only between processes of one machine: else set sslmode: verify-full.")
	case l.TLS == "":
		return broken(area, what, "the session has none, and sslmode "+n.SSLMode+" lets that pass", "Give the server a certificate, and set sslmode: verify-full.")
	case n.SSLMode != "verify-full":
		return warned(area, what, l.TLS+", but sslmode "+n.SSLMode+" doesn't check whose certificate it is", "Set sslmode: verify-full and sslrootcert.")
	}
	return works(area, what, l.TLS+", verify-full")
}

func rightsFound(area string, l postgres.Login) finding {
	const what = "rights"
	var missing, slower []string
	for _, r := range l.Rights {
		switch {
		case r.Held:
		case r.Optional:
			slower = append(slower, r.What)
		default:
			missing = append(missing, r.What)
		}
	}
	switch {
	case len(missing) > 0:
		return broken(area, what, "missing: "+strings.Join(missing, ", "), "Run the setup of sql/ again, as superuser on the primary: `just setup-replication`, or psql (docs/rights.md).")
	case len(slower) > 0:
		return warned(area, what, fmt.Sprintf("%d of %d; without %s the write pause is longer", len(l.Rights)-len(slower), len(l.Rights), strings.Join(slower, ", ")), "Install the extension pg_walinspect, and run the setup of sql/ again.")
	}
	return works(area, what, fmt.Sprintf("all %d", len(l.Rights)))
}

func skewFound(area string, l postgres.Login) finding {
	if l.Skew.Abs()-l.Within > mostNodeSkew {
		return broken(area, "clock", "the server's differs from this machine's by "+l.Skew.Round(100*time.Millisecond).String(), "Let both machines keep time (NTP): ages of what was seen would be wrong.")
	}
	return works(area, "clock", fmt.Sprintf("within %s of this machine's", (l.Skew.Abs()+l.Within).Round(time.Millisecond)))
}

// between is the login of each node at the other: the standby shows it by streaming,
// the primary's is tried from within where a driver can.
func (d doctor) between(ctx context.Context, p config.Pair, hands actions.Hands) []finding {
	e := actions.Observe(ctx, p.Domain(), hands, actions.Looking{
		Timeouts: d.cfg.Timeouts.Domain(), Thresholds: d.cfg.Thresholds.Domain(), Now: time.Now, Within: true,
	})
	v := actions.Judge(e)
	var found []finding
	for i, n := range p.Nodes {
		partner, what := p.Nodes[1-i], fmt.Sprintf("%s logs in at %s", n.Name, p.Nodes[1-i].Name)
		found = append(found, loginFound(p.Name, what, n, partner, e, v))
	}
	return found
}

func loginFound(area, what string, n, partner config.Node, e actions.Evidence, v actions.Verdict) finding {
	switch {
	case v.Primary == "" || v.Standby == "":
		return untried(area, what, "there is no pair of primary and standby to be seen: "+v.Headline, "Bring both nodes up first.")
	case v.Standby == n.Name:
		return streamFound(area, what, n, e.Observation(partner.Name).Server)
	}
	for _, c := range v.Checks {
		if c.ID == "rejoin.login" {
			return finding{area, what, c.Status, c.Detail, c.Fix}
		}
	}
	return untried(area, what, "no check tells", "")
}

// streamFound is what the primary sees of its standby.
func streamFound(area, what string, n config.Node, primary *actions.Server) finding {
	if primary == nil {
		return untried(area, what, "the primary doesn't answer", "Bring it back first.")
	}
	for _, s := range primary.Standbys {
		switch {
		case !strings.EqualFold(s.Name, n.Name):
		case s.ClientAddr != n.Source:
			return broken(area, what, fmt.Sprintf("it streams from %s, the configuration says %s", s.ClientAddr, n.Source), "Correct the node's source, or what changes its address on the way.")
		case s.State == "streaming":
			return works(area, what, fmt.Sprintf("as %s from %s, and streams", s.User, s.ClientAddr))
		}
	}
	return broken(area, what, "it doesn't stream", "Look into its server's log: password file, pg_hba of the primary, slot, certificate.")
}

// cluster asks a node's API server for every right that the bot uses there, and for
// the server itself.
func (d doctor) cluster(ctx context.Context, m *maker, p config.Pair, n config.Node) []finding {
	if n.Driver.Kube == nil {
		return nil
	}
	area, what := areaOf(p, n), "Kubernetes"
	site, err := m.site(*n.Driver.Kube)
	if err != nil {
		return nil // said of the driver
	}
	granted, err := site.Probe(ctx, kubeNeeds(p, n))
	if err != nil {
		return []finding{kubeBroken(area, what, err)}
	}
	var refused []string
	for _, a := range granted {
		if !a.Allowed {
			refused = append(refused, fmt.Sprintf("%s (%s)", a.Need, a.For))
		}
	}
	found := []finding{works(area, what+" rights", fmt.Sprintf("all %d, by %s", len(granted), site.Way()))}
	if len(refused) > 0 {
		found[0] = broken(area, what+" rights", "refused: "+strings.Join(refused, ", "), "Apply manifests/bot/rbac.yaml in that cluster: `just bot-secrets`.")
	}
	return append(found, clusterClock(area, site))
}

func clusterClock(area string, site *kube.Site) finding {
	skew, known := site.Skew()
	if !known {
		return untried(area, "Kubernetes clock", "its answer had no date", "Look whether its machine keeps time (NTP).")
	}
	return clusterSkew(area, skew)
}

func clusterSkew(area string, skew time.Duration) finding {
	const what = "Kubernetes clock"
	if skew.Abs()-time.Second > mostNodeSkew { // it tells whole seconds
		return broken(area, what, "the API server's differs from this machine's by "+skew.Round(time.Second).String(), "Let both machines keep time (NTP): heartbeats are told by it.")
	}
	return works(area, what, "within seconds of this machine's")
}

func kubeBroken(area, what string, err error) finding {
	if e, ok := errors.AsType[*kube.Error](err); ok {
		return broken(area, what, e.What+": "+e.Why, e.Fix)
	}
	return broken(area, what, err.Error(), "Look whether this machine reaches the cluster's API server: tunnel, firewall, kubeconfig.")
}

// instance looks at the machine that a fence would halt.
func (d doctor) instance(ctx context.Context, m *maker, p config.Pair, n config.Node, account error) []finding {
	if n.Driver.Vultr == nil {
		return nil
	}
	area, what := areaOf(p, n), "Vultr instance "+n.Driver.Vultr.Instance
	if account != nil || m.account == nil {
		return []finding{broken(area, what, errors.Join(account, errNoAccount).Error(), "Give the account: section vultr.")}
	}
	fence, err := m.account.Fence(n.Driver.Vultr.Instance)
	var seen vultr.Instance
	if err == nil {
		seen, err = fence.Instance(ctx)
	}
	if err != nil {
		return []finding{vultrBroken(area, what, err)}
	}
	detail := fmt.Sprintf("label %s, region %s, %s", seen.Label, seen.Region, seen.Power)
	switch {
	case seen.Busy != "":
		return []finding{warned(area, what, detail+", but its platform works on it ("+seen.Busy+")", "Wait until that is over: nothing is fenced before.")}
	case !strings.EqualFold(seen.Region, n.Site):
		return []finding{warned(area, what, detail+"; the configuration calls the site "+n.Site, "Look whether it is the right machine: a fence of the wrong one stops the wrong server.")}
	}
	return []finding{works(area, what, detail)}
}

func vultrBroken(area, what string, err error) finding {
	if e, ok := errors.AsType[*vultr.Error](err); ok {
		return broken(area, what, e.What+": "+e.Why, e.Fix)
	}
	return broken(area, what, err.Error(), "Look at it in the customer portal.")
}

// endpoints reads where clients are led.
func (d doctor) endpoints(ctx context.Context, m *maker, p config.Pair, hands actions.Hands, account error) []finding {
	if p.Endpoint == nil {
		return nil
	}
	var err error
	if hands.Endpoints, err = m.endpoints(p, hands); errors.Join(account, err) != nil {
		return []finding{broken(p.Name, "endpoint", errors.Join(account, err).Error(), "Mend the section endpoint, and what it names.")}
	}
	e := actions.Observe(ctx, p.Domain(), hands, actions.Looking{Timeouts: d.cfg.Timeouts.Domain(), Thresholds: d.cfg.Thresholds.Domain(), Now: time.Now})
	var found []finding
	for _, c := range actions.Judge(e).Checks {
		if c.ID == "endpoint" {
			status := c.Status
			if status == actions.Warn { // no obstacle to a failover, but it doesn't work
				status = actions.Bad
			}
			found = append(found, finding{p.Name, "endpoint", status, c.Detail, c.Fix})
		}
	}
	return found
}
