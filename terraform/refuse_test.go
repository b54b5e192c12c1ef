package terraform_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// mistake is what an operator gave, and the words with which it is refused.
type mistake struct {
	changes []any
	says    string
}

func mistakes() map[string]mistake {
	three := object("dc1", node("atl", 1), "dc2", node("dfw", 2), "dc3", node("ewr", 3))
	peer := func(key string, number any, cidr string) cty.Value {
		return object("app1", object("public_key", key, "number", number, "cidr", cidr))
	}
	k3s := func(version, binary, install string) cty.Value {
		return object("version", version, "binary_sha256", binary, "install_sha256", install)
	}
	zeros, ones := strings.Repeat("0", 64), strings.Repeat("1", 64)
	return map[string]mistake{
		"one machine":               {[]any{"nodes", object("dc1", node("atl", 1))}, "nodes: a pair needs two machines"},
		"both in one region":        {[]any{"nodes", object("dc1", node("atl", 1), "dc2", node("atl", 2))}, "nodes: all machines are in one region"},
		"a region's name":           {[]any{"nodes", object("dc1", node("Atlanta", 1), "dc2", node("dfw", 2))}, "nodes: region is a Vultr region id"},
		"two with one number":       {[]any{"nodes", object("dc1", node("atl", 1), "dc2", node("dfw", 1))}, "nodes: two machines have the same number"},
		"number 0":                  {[]any{"nodes", object("dc1", node("atl", 0), "dc2", node("dfw", 1))}, "nodes: number is a whole number"},
		"half a number":             {[]any{"nodes", object("dc1", node("atl", 1.5), "dc2", node("dfw", 2))}, "nodes: number is a whole number"},
		"a name that is no slot's":  {[]any{"nodes", object("dc-1", node("atl", 1), "dc2", node("dfw", 2))}, "nodes: a name is a host name"},
		"a name that is a keyword":  {[]any{"nodes", object("first", node("atl", 1), "dc2", node("dfw", 2))}, "nodes: a name is a host name"},
		"no plan's id":              {[]any{"nodes", object("dc1", object("region", "atl", "number", 1, "plan", "big"), "dc2", node("dfw", 2))}, "nodes: plan is"},
		"an unknown primary":        {[]any{"primary", "dc3"}, "primary: no node has this name"},
		"nobody's ssh key":          {[]any{"ssh_public_keys", cty.EmptyObjectVal}, "ssh_public_keys: one key at least"},
		"a private ssh key":         {[]any{"ssh_public_keys", object("dba-1", "-----BEGIN OPENSSH PRIVATE KEY-----")}, "A private key never belongs here"},
		"a key of two lines":        {[]any{"ssh_public_keys", object("dba-1", sshKey+"\n"+sshKey)}, "ssh_public_keys: each is one line"},
		"a key of Somebody":         {[]any{"ssh_public_keys", object("Somebody", sshKey)}, "ssh_public_keys: names have"},
		"root as admin":             {[]any{"admin_user", "root"}, "admin_user:"},
		"operators from anywhere":   {[]any{"operator_cidrs", []string{"0.0.0.0/0"}}, "wider than /16 is no allow-list"},
		"operators from nowhere":    {[]any{"operator_cidrs", cty.EmptyTupleVal}, "operator_cidrs: one network at least"},
		"an address without length": {[]any{"operator_cidrs", []string{"203.0.113.7"}}, "operator_cidrs: IPv4 networks with their length"},
		"host bits":                 {[]any{"operator_cidrs", []string{"203.0.113.7/24"}}, "operator_cidrs: IPv4 networks with their length"},
		"an IPv6 network":           {[]any{"operator_cidrs", []string{"2001:db8::/32"}}, "operator_cidrs: IPv4 networks"},
		"a public tunnel":           {[]any{"tunnel_network", "198.51.100.0/24"}, "tunnel_network: a private network"},
		"k3s's own network":         {[]any{"tunnel_network", "10.42.7.0/24"}, "k3s's own"},
		"a tunnel with host bits":   {[]any{"tunnel_network", "10.99.0.1/24"}, "tunnel_network: an IPv4 network"},
		"a huge tunnel":             {[]any{"tunnel_network", "10.0.0.0/8"}, "tunnel_network: from /20 to /29"},
		"a number beyond it": {[]any{"tunnel_network", "10.99.0.0/29", "nodes", object("dc1", node("atl", 1), "dc2", node("dfw", 7))},
			"tunnel_network: too small"},
		"a NodePort for the tunnel": {[]any{"tunnel_port", 30001}, "tunnel_port:"},
		"a node without key":        {[]any{"nodes", three, "pair", object("name", "orders", "database", "orders", "nodes", []string{"dc1", "dc2"})}, "tunnel_public_keys: one key for each"},
		"a short public key":        {[]any{"tunnel_public_keys", object("dc1", "AAAA=", "dc2", publicDC2)}, "tunnel_public_keys: a WireGuard key has 44"},
		"one key for two":           {[]any{"tunnel_public_keys", object("dc1", publicDC1, "dc2", publicDC1)}, "two nodes share a key"},
		"keys the wrong way round":  {[]any{"tunnel_public_keys", object("dc1", privateDC1, "dc2", publicDC2)}, "or the other way round"},
		"a private key for nobody":  {[]any{"tunnel_private_keys", object("dc1", privateDC1, "dc3", privateDC3)}, "tunnel_private_keys: one key for each"},
		"a short private key":       {[]any{"tunnel_private_keys", object("dc1", "x", "dc2", privateDC2)}, "tunnel_private_keys: a WireGuard key"},
		"a peer at a node's place":  {[]any{"tunnel_peers", peer(publicApp, 2, "198.51.100.9/32")}, "tunnel_peers: a number is taken"},
		"a peer with a node's name": {[]any{"tunnel_peers", object("dc1", object("public_key", publicApp, "number", 9, "cidr", "198.51.100.9/32"))}, "tunnel_peers: names have"},
		"a peer with a node's key":  {[]any{"tunnel_peers", peer(publicDC1, 9, "198.51.100.9/32")}, "and is no node's"},
		"a peer from anywhere":      {[]any{"tunnel_peers", peer(publicApp, 9, "0.0.0.0/0")}, "tunnel_peers: cidr"},
		"a peer beyond the network": {[]any{"tunnel_peers", peer(publicApp, 255, "198.51.100.9/32")}, "tunnel_peers: number is"},
		"the newest k3s":            {[]any{"k3s", k3s("latest", zeros, ones)}, `no channel and no "latest"`},
		"no checksum":               {[]any{"k3s", k3s("v1.36.5+k3s1", "", ones)}, "64 small hexadecimal digits"},
		"one checksum twice":        {[]any{"k3s", k3s("v1.36.5+k3s1", ones, ones)}, "one of them is of the wrong file"},
		"a record without zone":     {[]any{"dns", object("domain", "example", "name", "orders")}, "dns: domain is a zone"},
		"a record for a week":       {[]any{"dns", object("domain", "example.com", "name", "orders", "ttl", 604800)}, "dns: ttl is"},
		"a record's odd name":       {[]any{"dns", object("domain", "example.com", "name", "Orders!")}, "dns: name is"},
		"a pair of one":             {[]any{"pair", object("name", "orders", "database", "orders", "nodes", []string{"dc1", "dc1"})}, "pair: nodes names two different"},
		"a pair's odd name":         {[]any{"pair", object("name", "Orders", "database", "orders")}, "pair: name has"},
		"an image that is no id":    {[]any{"os_id", 0.5}, "os_id: a whole number"},
		"an odd prefix":             {[]any{"prefix", "2key"}, "prefix: small letters"},
	}
}

func TestWhatCannotWorkIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for name, c := range mistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := load(t, root)
			wrong := strings.Join(m.refusals(m.variables(given(c.changes...))), "\n")
			if !strings.Contains(wrong, c.says) {
				t.Errorf("refused with %q, want %q", wrong, c.says)
			}
		})
	}
}

func TestEveryRuleRefusesSomething(t *testing.T) {
	t.Parallel()
	for name, block := range load(t, root).blocks("variable") {
		for _, rule := range block.Body.Blocks {
			message := literal(t, rule.Body.Attributes["error_message"].Expr).AsString()
			if !strings.HasPrefix(message, name+": ") {
				t.Errorf("the message of %s doesn't begin with its name: %s", name, message)
			}
			if !slices.ContainsFunc(slices.Collect(maps.Values(mistakes())), func(m mistake) bool { return strings.Contains(message, m.says) }) {
				t.Errorf("no mistake is refused with: %s", message)
			}
		}
	}
}

func TestWhatWorksIsTaken(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]any{
		"as little as possible": nil,
		"a record":              {"dns", object("domain", "example.com", "name", "db.orders", "ttl", 120)},
		"an application":        {"tunnel_peers", object("app-1", object("public_key", publicApp, "number", 254, "cidr", "198.51.100.0/24"))},
		"another tunnel":        {"tunnel_network", "192.168.77.0/29"},
		"three machines": {
			"nodes", object("dc1", node("atl", 1), "dc2", node("dfw", 2), "dc3", node("ewr", 3)),
			"tunnel_public_keys", object("dc1", publicDC1, "dc2", publicDC2, "dc3", publicDC3),
			"tunnel_private_keys", object("dc1", privateDC1, "dc2", privateDC2, "dc3", privateDC3),
			"pair", object("name", "orders", "database", "orders", "nodes", []string{"dc3", "dc1"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, changes...)
			for _, n := range d.nodes {
				d.userData(t, n)
			}
		})
	}
}
