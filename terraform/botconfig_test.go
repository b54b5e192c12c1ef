package terraform_test

import (
	"strings"
	"testing"

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
	for _, id := range []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"} {
		if !strings.Contains(d.bot, "Vultr instance "+id) {
			t.Errorf("instance %s isn't named", id)
		}
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
