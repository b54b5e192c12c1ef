package terraform_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// What an operator gives, as little as there must be.

const (
	sshKey     = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA dba-1"
	publicDC1  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
	publicDC2  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
	publicDC3  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
	publicApp  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ="
	privateDC1 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
	privateDC2 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
	privateDC3 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
)

func object(pairs ...any) cty.Value {
	out := map[string]cty.Value{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = value(pairs[i+1])
	}
	return cty.ObjectVal(out)
}

func value(v any) cty.Value {
	switch v := v.(type) {
	case string:
		return cty.StringVal(v)
	case int:
		return cty.NumberIntVal(int64(v))
	case float64:
		return cty.NumberFloatVal(v)
	case []string:
		return cty.TupleVal(texts(v))
	}
	return v.(cty.Value)
}

func texts(all []string) []cty.Value {
	out := make([]cty.Value, 0, len(all))
	for _, s := range all {
		out = append(out, cty.StringVal(s))
	}
	return out
}

func node(region string, number any) cty.Value { return object("region", region, "number", number) }

// given is what there must be, with changes: names and values in turn.
func given(changes ...any) map[string]cty.Value {
	out := map[string]cty.Value{
		"ssh_public_keys":     object("dba-1", sshKey),
		"operator_cidrs":      value([]string{"203.0.113.7/32"}),
		"tunnel_public_keys":  object("dc1", publicDC1, "dc2", publicDC2),
		"tunnel_private_keys": object("dc1", privateDC1, "dc2", privateDC2),
	}
	maps.Copy(out, object(changes...).AsValueMap())
	return out
}

// deployment is the root module with what the provider would have answered.
type deployment struct {
	root  *module
	scope map[string]cty.Value // each node's arguments, evaluated by the root module
	nodes []string
	m     map[string]map[string]cty.Value
	bot   string
}

func deploy(t *testing.T, changes ...any) *deployment {
	t.Helper()
	m := load(t, root)
	variables := m.variables(given(changes...))
	if wrong := m.refusals(variables); len(wrong) > 0 {
		t.Fatalf("refused: %q", wrong)
	}
	d := &deployment{root: m, m: map[string]map[string]cty.Value{}}
	d.nodes = slices.Sorted(maps.Keys(variables.GetAttr("nodes").AsValueMap()))
	ctx := m.scope(variables, answers(d.nodes))
	for _, name := range d.nodes {
		d.m[name] = m.arguments(ctx, "node", name)
	}
	d.scope = ctx.Variables
	text, diags := m.blocks("output")["bot_config"].Body.Attributes["value"].Expr.Value(ctx)
	m.must(diags)
	d.bot = text.AsString()
	return d
}

// answers has the addresses from the range for documentation, from 192.0.2.11 on.
func answers(nodes []string) map[string]cty.Value {
	ips, machines := map[string]cty.Value{}, map[string]cty.Value{}
	for i, name := range nodes {
		address := "192.0.2.1" + string(rune('1'+i))
		ips[name] = object("id", "ip-of-"+name, "subnet", address)
		machines[name] = object("id", "00000000-0000-4000-8000-00000000000"+string(rune('1'+i)), "label", "twokey-"+name, "region", "any")
	}
	return map[string]cty.Value{
		"vultr_reserved_ip": object("node", cty.ObjectVal(ips)),
		"vultr_dns_record":  object("endpoint", cty.TupleVal([]cty.Value{object("id", "00000000-0000-4000-8000-0000000000dd")})),
		"vultr_ssh_key":     object("admin", object("dba-1", object("id", "key-1"))),
		"module":            object("firewall", object("id", "group-1"), "node", cty.ObjectVal(machines)),
	}
}

// userData renders a node's cloud-init through the instance module's own locals.
func (d *deployment) userData(t *testing.T, name string) string {
	t.Helper()
	m := load(t, instance)
	variables := m.variables(d.m[name])
	if wrong := m.refusals(variables); len(wrong) > 0 {
		t.Fatalf("refused: %q", wrong)
	}
	return m.scope(variables, nil).Variables["local"].GetAttr("user_data").AsString()
}
