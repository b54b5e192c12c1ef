package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/config"
)

// Parts of the sample.
const (
	sampleEndpoint = "      vultr: # a DNS record; it holds the primary's host\n        domain: example.com\n" +
		"        record: 3c0f7e5a-2b1d-4c8e-9f60-7a1b2c3d4e5f # its id\n" +
		"        name: db # left out: the domain itself, where hosts are addresses\n" +
		"        ttl: 60s # default; clients find a new primary at most that much later\n"
	sampleAccount = "vultr:\n  api_key: {env: TWOKEY_VULTR_API_KEY}\n  api_url: https://api.vultr.com # default; anything that speaks Vultr's API\n"
)

func wrongVultr() []refusal {
	id := "5f1d0c9b-8a7e-4d6c-b5a4-938271605f4e"
	return []refusal{
		{"no key", "  api_key: {env: TWOKEY_VULTR_API_KEY}\n", "", "vultr.api_key", "vultr:\n  api_url", "is missing", "never holds a secret"},
		{"a key in the file", "{env: TWOKEY_VULTR_API_KEY}", "ABCDEF", "vultr.api_key", "api_key: ABC", "where the secret stands", "never holds a secret"},
		{"an address in clear", "https://api.vultr.com", "http://api.vultr.com", "vultr.api_url", "http://api", "must be an https:// address", "api.vultr.com"},
		{"an instance by name", "instance: " + id, "instance: dc1", "pairs[0].nodes[0].driver.vultr.instance", "instance: dc1", "must be an id of 32", "customer portal"},
		{"an instance with a path", "instance: " + id, "instance: " + id + "/halt", "pairs[0].nodes[0].driver.vultr.instance", "/halt", "must be an id of 32", ""},
		{"an instance in capitals", "instance: " + id, "instance: " + strings.ToUpper(id), "pairs[0].nodes[0].driver.vultr.instance", "instance: 5F", "must be an id of 32", ""},
		{"no instance", "            instance: " + id + " # its id\n", "            {}\n", "pairs[0].nodes[0].driver.vultr.instance", "vultr: # the server's", "is missing", ""},
		{"an instance on the bot's own machine", "          local: #", "          vultr: {instance: 11111111-8a7e-4d6c-b5a4-938271605f4e}\n          local: #", "pairs[0].nodes[1].driver.vultr", "vultr: {instance: 1111", "it would halt itself", "run the bot elsewhere"},
		{"a fence that is no driver", "fence: [kube, vultr] #", "fence: [ipmi] #", "pairs[0].nodes[0].driver.fence[0]", "fence: [ipmi]", "one of the node's drivers", ""},
		{"a fence that the node hasn't", "fence: [kube, vultr] #", "fence: [local, vultr] #", "pairs[0].nodes[0].driver.fence[0]", "fence: [local", `is "local", but this node has no such driver`, ""},
		{"a fence twice", "fence: [kube, vultr] #", "fence: [vultr, vultr] #", "pairs[0].nodes[0].driver.fence[1]", "fence: [vultr, vultr]", "for the second time", ""},
		{"a domain that is none", "domain: example.com", "domain: example.com/records", "pairs[0].endpoint.vultr.domain", "domain: example", "must be a name in the DNS", ""},
		{"dots as the domain", "domain: example.com", "domain: ..", "pairs[0].endpoint.vultr.domain", "domain: ..", "must be a name in the DNS", ""},
		{"a record by name", "record: 3c0f7e5a-2b1d-4c8e-9f60-7a1b2c3d4e5f", "record: db", "pairs[0].endpoint.vultr.record", "record: db", "must be an id of 32", ""},
		{"a TTL of no time", "ttl: 60s", "ttl: 100ms", "pairs[0].endpoint.vultr.ttl", "ttl: 100ms", "must be between 1s and 1d", ""},
		{"a TTL between two seconds", "ttl: 60s", "ttl: 1500ms", "pairs[0].endpoint.vultr.ttl", "ttl: 1500ms", "must be whole seconds", ""},
		{"an alias for the domain itself", "        name: db #", "        #", "pairs[0].endpoint.vultr.name", "vultr: # a DNS", "can't be an alias", "addresses"},
		{"hosts of two kinds", "host: dc2.example.com", "host: 192.0.2.12", "pairs[0].endpoint.vultr", "vultr: # a DNS", "dc1's is a name, dc2's is an IPv4 address", "one kind"},
		{"one host for both", "host: dc2.example.com", "host: dc1.example.com\n        port: 5433", "pairs[0].endpoint.vultr", "vultr: # a DNS", "can't tell the nodes apart", ""},
		{"an endpoint of nothing", sampleKubeEndpoint + sampleEndpoint, "    endpoint: {}\n", "pairs[0].endpoint", "endpoint: {}", "names no endpoint", "kube, vultr"},
	}
}

// Each user of the account is told that it is missing.
func TestVultrNeedsItsAccount(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, p := range refused(t, changed(t, sampleAccount, "")).Problems {
		if strings.Contains(p.String(), "needs the account's section vultr") {
			keys = append(keys, p.Key)
		}
	}
	if want := []string{"pairs[0].endpoint.vultr", "pairs[0].nodes[0].driver.vultr"}; !slices.Equal(slices.Sorted(slices.Values(keys)), want) {
		t.Errorf("told at %q, want %q", keys, want)
	}
}

// One instance for two nodes: fencing one would halt the other.
func TestVultrInstanceBelongsToOneNode(t *testing.T) {
	t.Parallel()
	one := "{vultr: {instance: 5f1d0c9b-8a7e-4d6c-b5a4-938271605f4e}}"
	text := strings.ReplaceAll(least, "passfile: /etc/twokey/passfile}", "passfile: /etc/twokey/passfile, driver: "+one+"}") + "vultr: {api_key: {env: KEY}}\n"
	wrong := refused(t, text)
	if len(wrong.Problems) != 1 || wrong.Problems[0].Key != "pairs[0].nodes[1].driver.vultr.instance" || !strings.Contains(wrong.Error(), "would halt the other") {
		t.Error(wrong)
	}
}

func TestVultrDefaults(t *testing.T) {
	t.Parallel()
	text := strings.Replace(least, "host: 192.0.2.11, passfile: /etc/twokey/passfile}", "host: 192.0.2.11, passfile: /etc/twokey/passfile, driver: {vultr: {instance: 5f1d0c9b-8a7e-4d6c-b5a4-938271605f4e}}}", 1)
	text = strings.Replace(text, `host: "[2001:db8::2]"`, "host: 192.0.2.12", 1)
	text = strings.Replace(text, "    nodes:", "    endpoint: {vultr: {domain: example.com, record: 3c0f7e5a-2b1d-4c8e-9f60-7a1b2c3d4e5f}}\n    nodes:", 1)
	c := parsed(t, text+"vultr: {api_key: {env: KEY}}\n")
	if c.Vultr.APIURL != "https://api.vultr.com" || c.Pairs[0].Endpoint.Vultr.TTL != config.Duration(time.Minute) || !slices.Equal(c.Pairs[0].Nodes[0].Driver.Fence, []string{"vultr"}) {
		t.Errorf("%+v, %+v, %+v", c.Vultr, c.Pairs[0].Endpoint.Vultr, c.Pairs[0].Nodes[0].Driver)
	}
	secrets, err := c.Secrets(lookup(map[string]string{"TOKEN": "t", "SECRET": "s", "KEY": planted}))
	if err == nil || secrets.VultrKey.Reveal() != "" {
		t.Errorf("the password file is missing, and yet: %v", err)
	}
	for i := range c.Pairs[0].Nodes {
		c.Pairs[0].Nodes[i].Passfile = ""
	}
	if secrets, err = c.Secrets(lookup(map[string]string{"TOKEN": "t", "SECRET": "s", "KEY": planted})); err != nil || secrets.VultrKey.Reveal() != planted {
		t.Errorf("the key is not read: %v", err)
	}
	if _, err = c.Secrets(lookup(map[string]string{"TOKEN": "t", "SECRET": "s"})); err == nil || err.Error() != "vultr.api_key: environment variable KEY is not set" {
		t.Errorf("got %v", err)
	}
}
