package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Vultr is the account whose servers and DNS the bot may change.
type Vultr struct {
	APIKey Ref    `yaml:"api_key" validate:"ref" jsonschema:"required" jsonschema_description:"Where the account's API key stands. It can do everything in the account; give this machine's address alone access to it."`
	APIURL string `yaml:"api_url" validate:"required,vultrurl" jsonschema_description:"Address of the API, or of anything that speaks it."`
}

// Instance is the Vultr server that a node stands on.
type Instance struct {
	Instance string `yaml:"instance" validate:"required,uuid" jsonschema:"required" jsonschema_description:"Id of the instance, a UUID."`
}

// Endpoint is what leads clients to the primary beside the connection string.
type Endpoint struct {
	Kube  *KubeEndpoint `yaml:"kube,omitempty" validate:"omitempty" jsonschema_description:"An EndpointSlice and a ConfigMap with the connection string, in each node's cluster."`
	Vultr *VultrRecord  `yaml:"vultr,omitempty" validate:"omitempty" jsonschema_description:"A DNS record in Vultr's name servers. It holds the primary's host: an address record where both nodes' hosts are addresses of one kind, an alias where both are names."`
}

// VultrRecord is a DNS record in Vultr's name servers.
type VultrRecord struct {
	Domain string   `yaml:"domain" validate:"required,dnsname" jsonschema:"required" jsonschema_description:"Domain that the record stands in."`
	Record string   `yaml:"record" validate:"required,uuid" jsonschema:"required" jsonschema_description:"Id of the record, a UUID."`
	Name   string   `yaml:"name,omitempty" validate:"omitempty,dnsname" jsonschema_description:"Name within the domain; left out for the domain itself."`
	TTL    Duration `yaml:"ttl,omitempty" validate:"span=1s 1d" jsonschema_description:"How long resolvers keep the record, in whole seconds: clients find a new primary at most that much later."`
}

const (
	defaultVultrURL = "https://api.vultr.com"
	defaultTTL      = Duration(time.Minute)
	// Names of a node's drivers in its list of fences.
	fenceLocal = "local"
	fenceVultr = "vultr"
)

// drivers names those that are set, the server's own before its machine's.
func (d Driver) drivers() []string {
	var names []string
	if d.Local != nil {
		names = append(names, fenceLocal)
	}
	if d.Kube != nil {
		names = append(names, fenceKube)
	}
	if d.Vultr != nil {
		names = append(names, fenceVultr)
	}
	return names
}

func (d *Driver) fill() {
	if d.Kube != nil {
		d.Kube.fill()
	}
	if len(d.Fence) == 0 {
		d.Fence = d.drivers()
	}
}

// judgeVultr refuses what would halt the wrong machine, or none.
func (s *source) judgeVultr(c Config) {
	instances := map[string]string{}
	for i, p := range c.Pairs {
		key := fmt.Sprintf("pairs[%d]", i)
		for j, n := range p.Nodes {
			s.judgeInstance(fmt.Sprintf("%s.nodes[%d].driver", key, j), c, n.Driver, instances)
		}
		if p.Endpoint != nil {
			s.judgeEndpoint(key+".endpoint", c, p)
		}
	}
}

// judgeInstance: instances holds the key of each seen before, by id.
func (s *source) judgeInstance(key string, c Config, d Driver, instances map[string]string) {
	s.judgeFences(key, d)
	if d.Vultr == nil {
		return
	}
	if c.Vultr == nil {
		s.reportKey(key+".vultr", "needs the account's section vultr, which is missing", "add it: vultr: {api_key: {env: NAME}}")
	}
	if d.Local != nil {
		s.reportKey(key+".vultr", "stands beside local: the instance would be the machine that the bot runs on, and it would halt itself", "run the bot elsewhere, or leave vultr out")
	}
	if other, dup := instances[d.Vultr.Instance]; dup {
		s.reportKey(key+".vultr.instance", "is that of "+other+" too: fencing one node would halt the other", "")
		return
	}
	instances[d.Vultr.Instance] = key
}

func (s *source) judgeFences(key string, d Driver) {
	for i, name := range d.Fence {
		at := fmt.Sprintf("%s.fence[%d]", key, i)
		switch {
		case !slices.Contains(d.drivers(), name):
			s.reportKey(at, fmt.Sprintf("is %q, but this node has no such driver", name), "")
		case slices.Contains(d.Fence[:i], name):
			s.reportKey(at, fmt.Sprintf("is %q for the second time", name), "")
		}
	}
}

func (s *source) judgeEndpoint(key string, c Config, p Pair) {
	r := p.Endpoint.Vultr
	if r == nil && p.Endpoint.Kube == nil {
		s.reportKey(key, "names no endpoint", "known keys: kube, vultr")
	}
	if r == nil {
		return
	}
	if c.Vultr == nil {
		s.reportKey(key+".vultr", "needs the account's section vultr, which is missing", "add it: vultr: {api_key: {env: NAME}}")
	}
	if r.TTL.Std()%time.Second != 0 {
		s.reportKey(key+".vultr.ttl", fmt.Sprintf("must be whole seconds, it is %s", r.TTL), "")
	}
	first, second := hostKind(p.Nodes[0].Host), hostKind(p.Nodes[1].Host)
	switch {
	case first != second:
		s.reportKey(key+".vultr", fmt.Sprintf("can't hold either node's host: %s's is %s, %s's is %s", p.Nodes[0].Name, first, p.Nodes[1].Name, second), "give both nodes hosts of one kind")
	case first == nameKind && r.Name == "":
		s.reportKey(key+".vultr.name", "is missing: the domain itself can't be an alias of a node's name", "give the record a name, or the nodes addresses")
	case p.Nodes[0].Port != p.Nodes[1].Port && hostOf(p.Nodes[0]) == hostOf(p.Nodes[1]): // with one port it is one server, and refused as that
		s.reportKey(key+".vultr", "can't tell the nodes apart: they have one host", "")
	}
}

func hostOf(n Node) string {
	host, _, _ := net.SplitHostPort(serverAddress(n))
	return host
}

const nameKind = "a name"

func hostKind(host string) string {
	addr, err := netip.ParseAddr(bareHost(host))
	switch {
	case err != nil:
		return nameKind
	case addr.Unmap().Is4():
		return "an IPv4 address"
	}
	return "an IPv6 address"
}
