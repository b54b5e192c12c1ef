package terraform_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"twokey/config"
)

// sampleWith is the shipped sample with the pairs that Terraform wrote.
func sampleWith(t *testing.T, pairs string) []byte {
	t.Helper()
	head, _, found := strings.Cut(config.Sample(), "\npairs:\n")
	if !found {
		t.Fatal("the sample has no pairs")
	}
	return []byte(head + "\n" + pairs)
}

func TestTheBotTakesWhatTerraformWrote(t *testing.T) {
	t.Parallel()
	d := deploy(t, "dns", object("domain", "example.com", "name", "orders"))
	c, err := config.Parse(sampleWith(t, d.bot), "twokey.yaml")
	if err != nil {
		t.Fatalf("%v\n%s", err, d.bot)
	}
	pair := c.Pairs[0]
	if len(c.Pairs) != 1 || pair.Name != "orders" || pair.Database != "orders" || len(pair.Nodes) != 2 {
		t.Fatalf("pairs: %+v", c.Pairs)
	}
	for i, want := range []config.Node{
		{Name: "dc1", Site: "atl", Host: "10.99.0.1", Source: "10.99.0.1", Slot: "twokey_dc1"},
		{Name: "dc2", Site: "dfw", Host: "10.99.0.2", Source: "10.99.0.2", Slot: "twokey_dc2"},
	} {
		got := pair.Nodes[i]
		if got.Name != want.Name || got.Site != want.Site || got.Host != want.Host || got.Source != want.Source || got.Slot != want.Slot || got.SSLMode != "verify-full" {
			t.Errorf("node %d: %+v", i, got)
		}
	}
	for i, id := range []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"} {
		n := pair.Nodes[i]
		if n.Port != 30432 || n.Driver.Kube == nil || n.Driver.Kube.Kubeconfig != "/run/secrets/twokey/"+n.Name+".kubeconfig" || n.Driver.Vultr.Instance != id || !slices.Equal(n.Driver.Fence, []string{"kube", "vultr"}) {
			t.Errorf("%s: port %d, %+v", n.Name, n.Port, n.Driver)
		}
	}
	if e := pair.Endpoint; e == nil || e.Kube == nil || e.Vultr == nil || e.Vultr.Record != "00000000-0000-4000-8000-0000000000dd" || e.Vultr.Name != "orders" || e.Vultr.TTL.Std() != time.Minute {
		t.Errorf("endpoint: %+v", pair.Endpoint)
	}
	if c, err = config.Parse(sampleWith(t, deploy(t).bot), "twokey.yaml"); err != nil || c.Pairs[0].Endpoint.Vultr != nil || c.Pairs[0].Endpoint.Kube == nil {
		t.Errorf("without a record: %v, %+v", err, c.Pairs[0].Endpoint)
	}
}

func TestAPairOfThreeMachinesHasTheTwoThatWereNamed(t *testing.T) {
	t.Parallel()
	d := deploy(t,
		"nodes", object("dc1", node("atl", 1), "dc2", node("dfw", 2), "dc3", node("ewr", 3)),
		"tunnel_public_keys", object("dc1", publicDC1, "dc2", publicDC2, "dc3", publicDC3),
		"tunnel_private_keys", object("dc1", privateDC1, "dc2", privateDC2, "dc3", privateDC3),
		"pair", object("name", "orders", "database", "orders", "nodes", []string{"dc1", "dc3"}))
	var out struct {
		Pairs []struct {
			Nodes []struct{ Name string }
		}
	}
	if err := yaml.Unmarshal([]byte(d.bot), &out); err != nil {
		t.Fatal(err)
	}
	if nodes := out.Pairs[0].Nodes; len(nodes) != 2 || nodes[0].Name != "dc1" || nodes[1].Name != "dc3" {
		t.Errorf("nodes: %+v", nodes)
	}
}

// The overlays of manifests/ and what Terraform says of the machines are one thing.
func TestTheOverlaysSpeakOfTheseMachines(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(sampleWith(t, deploy(t).bot), "twokey.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Pairs[0].Nodes {
		env := read(t, "..", "manifests", n.Name, "node.env")
		for _, line := range []string{"ADDRESS=" + n.Host, "API_SERVER=https://" + n.Host + ":6443", "DATABASE=" + c.Pairs[0].Database, "NETWORK=10.99.0.0/24"} {
			if !strings.Contains(env, "\n"+line+"\n") {
				t.Errorf("manifests/%s/node.env has no %s", n.Name, line)
			}
		}
	}
}
