package config

import (
	"net/netip"
	"strings"
	"time"

	"twokey/actions"
	"twokey/approvals"
)

const (
	defaultAPIURL  = "https://slack.com/api/"
	defaultSSLMode = "verify-full"
	defaultPort    = 5432
	// The roles that sql/common/postgres-setup.sql makes.
	defaultUser        = "twokey_bot"
	defaultReplication = "twokey_replication"
)

// Default is what a file that sets nothing would mean. It is no usable
// configuration: what only an operator can know is empty in it.
func Default() Config {
	return Config{
		Slack:       Slack{APIURL: defaultAPIURL, Transport: TransportHTTP},
		Listen:      "127.0.0.1:8080",
		Store:       "/var/lib/twokey/twokey.db",
		AdminSocket: "/run/twokey/admin.sock",
		Policy:      Policy{Expiry: minutes(30), Remind: minutes(10), HoldExpiry: minutes(15), OTP: string(approvals.FactorOff)},
		Schedule: Schedule{
			LagCheck: "@every 30s", Report: "0 9 * * *", Timezone: "UTC",
			KeepSamples: Duration(90 * day),
		},
		Thresholds: defaultThresholds(),
		Timeouts:   defaultTimeouts(),
	}
}

func defaultThresholds() Thresholds {
	d := actions.DefaultThresholds()
	return Thresholds{
		LagBytes: Size(d.LagBytes), LagTime: Duration(d.LagTime), LagFor: minutes(5),
		CriticalBytes: 256 << 20, CriticalTime: minutes(1), SlotBytes: 1 << 30,
	}
}

func defaultTimeouts() Timeouts {
	d := actions.DefaultTimeouts()
	return Timeouts{
		Observe: Duration(d.Observe), Effect: Duration(d.Effect), Stop: Duration(d.Stop),
		Promote: Duration(d.Promote), Fence: Duration(d.Fence), Rejoin: Duration(d.Rejoin),
	}
}

func minutes(n int) Duration { return Duration(time.Duration(n) * time.Minute) }

// fill sets what was left out where a default depends on other values or
// stands inside a list. Explicit empty values never get here: the shape stage
// refuses them.
func (c *Config) fill() {
	c.Slack.APIURL = withSlash(c.Slack.APIURL)
	if c.Vultr != nil {
		c.Vultr.APIURL = either(c.Vultr.APIURL, defaultVultrURL)
	}
	for i := range c.Pairs {
		c.Pairs[i].fill()
	}
}

func (p *Pair) fill() {
	if len(p.Schemas) == 0 {
		p.Schemas = []string{"public"}
	}
	p.SSLMode = either(p.SSLMode, defaultSSLMode)
	p.AfterSwitchover = either(p.AfterSwitchover, string(actions.Block))
	p.AfterFailover = either(p.AfterFailover, string(actions.Degrade))
	if p.Endpoint != nil && p.Endpoint.Kube != nil {
		p.Endpoint.Kube.fill()
	}
	if p.Endpoint != nil && p.Endpoint.Vultr != nil && p.Endpoint.Vultr.TTL == 0 {
		p.Endpoint.Vultr.TTL = defaultTTL
	}
	for i := range p.Nodes {
		p.Nodes[i].fill()
	}
}

func (n *Node) fill() {
	n.User = either(n.User, defaultUser)
	n.SSLMode = either(n.SSLMode, defaultSSLMode)
	n.Site = either(n.Site, n.Name)
	n.Slot = either(n.Slot, defaultSlot(n.Name))
	if n.Port == 0 {
		n.Port = defaultPort
	}
	if addr, err := netip.ParseAddr(bareHost(n.Host)); n.Source == "" && err == nil {
		n.Source = addr.Unmap().String()
	}
	n.Driver.fill()
	if local := n.Driver.Local; local != nil {
		local.Include = either(local.Include, defaultInclude(local.DataDir))
		local.Replication.fill()
	}
}

func (r *Replication) fill() {
	r.User = either(r.User, defaultReplication)
	r.SSLMode = either(r.SSLMode, defaultSSLMode)
}

func defaultInclude(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	return strings.TrimRight(dataDir, "/") + ".upstream.conf"
}

// defaultSlot follows from the node's name. Of a name that will be refused it
// makes a slot that won't be, so that one mistake is reported once.
func defaultSlot(node string) string {
	slot := "twokey_" + strings.Map(slotRune, strings.ToLower(node))
	return slot[:min(len(slot), 63)]
}

func slotRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
		return r
	}
	return -1
}

func either(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// withSlash makes an address to which a method's name can be appended.
func withSlash(url string) string {
	if url == "" || strings.HasSuffix(url, "/") {
		return url
	}
	return url + "/"
}
