package terraform_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

func TestEveryFileIsFormattedAsTerraformDoes(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".terraform" {
			return err
		}
		plain := strings.TrimSuffix(path, ".example")
		if !slices.Contains([]string{".tf", ".hcl", ".tfvars"}, filepath.Ext(plain)) || filepath.Base(path) == ".terraform.lock.hcl" {
			return nil
		}
		seen++
		text := read(t, path)
		if diff := cmp.Diff(string(hclwrite.Format([]byte(text))), text); diff != "" {
			t.Errorf("%s is not as terraform fmt writes it (-want +got):\n%s", path, diff)
		}
		return nil
	})
	if err != nil || seen < 12 {
		t.Errorf("looked at %d files only (%v)", seen, err)
	}
}

func TestEveryVariableIsUsedAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{root, instance, firewall} {
		m := load(t, dir)
		used := m.references("var")
		for name, block := range m.blocks("variable") {
			if !slices.Contains(used, name) {
				t.Errorf("%s: variable %s is declared and not used", dir, name)
			}
			for _, must := range []string{"type", "description"} {
				if block.Body.Attributes[must] == nil {
					t.Errorf("%s: variable %s has no %s", dir, name, must)
				}
			}
		}
		for _, name := range used {
			if m.blocks("variable")[name] == nil {
				t.Errorf("%s: var.%s is used and not declared", dir, name)
			}
		}
		for name, attr := range m.localAttributes() {
			if !slices.Contains(m.references("local"), name) {
				t.Errorf("%s: local.%s is not used", attr.SrcRange, name)
			}
		}
	}
}

// references lists the names after var. or local. outside of validations, where
// a variable names itself.
func (m *module) references(of string) []string {
	var out []string
	for _, body := range m.bodies {
		for _, block := range body.Blocks {
			if block.Type == "variable" {
				continue
			}
			_ = hclsyntax.VisitAll(block.Body, func(n hclsyntax.Node) hcl.Diagnostics {
				if ref, ok := n.(*hclsyntax.ScopeTraversalExpr); ok && ref.Traversal.RootName() == of {
					out = append(out, ref.Traversal[1].(hcl.TraverseAttr).Name)
				}
				return nil
			})
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestModulesGetExactlyWhatTheyDeclare(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for _, name := range d.nodes {
		for declared := range load(t, instance).blocks("variable") {
			if _, ok := d.m[name][declared]; !ok {
				t.Errorf("%s isn't given %s", name, declared)
			}
		}
		load(t, instance).variables(d.m[name]) // fails for what isn't declared
	}
}

// An edit of cloud-init, of a key or of the image's id must not make Terraform
// replace a machine with a database on it; whatever else would is refused.
func TestNoEditCanRecreateADatabase(t *testing.T) {
	t.Parallel()
	m := load(t, instance)
	machine := m.resource("vultr_instance", "this").Body
	if !literal(t, lifecycle(t, machine, "prevent_destroy")).True() {
		t.Error("prevent_destroy isn't true")
	}
	ignored := names(lifecycle(t, machine, "ignore_changes"))
	if diff := cmp.Diff([]string{"os_id", "ssh_key_ids", "user_data"}, ignored); diff != "" {
		t.Errorf("ignore_changes (-want +got):\n%s", diff)
	}
	// Whatever comes out of cloud-init reaches the machine by user_data alone.
	if got := m.sources(machine, "local"); !slices.Equal(got, []string{"user_data"}) {
		t.Errorf("local values reach the machine through %v", got)
	}
	for _, forbidden := range []string{"script_id", "snapshot_id", "image_id", "app_id", "iso_id", "app_variables", "user_scheme"} {
		if machine.Attributes[forbidden] != nil {
			t.Errorf("%s remakes the machine, or brings in another system", forbidden)
		}
	}
}

// sources lists the attributes of a block that are made from a root name.
func (m *module) sources(body *hclsyntax.Body, from string) []string {
	var out []string
	for name, attr := range body.Attributes {
		for _, ref := range attr.Expr.Variables() {
			if ref.RootName() == from {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestTerraformLeavesAloneWhatOthersOwn(t *testing.T) {
	t.Parallel()
	m := load(t, root)
	record := m.resource("vultr_dns_record", "endpoint").Body
	if got := names(lifecycle(t, record, "ignore_changes")); !slices.Equal(got, []string{"data"}) {
		t.Errorf("the bot moves the record's data; ignored is %v", got)
	}
	ip := m.resource("vultr_reserved_ip", "node").Body
	if got := names(lifecycle(t, ip, "ignore_changes")); !slices.Equal(got, []string{"instance_id"}) {
		t.Errorf("the machine holds the address; ignored is %v", got)
	}
	if !literal(t, lifecycle(t, ip, "prevent_destroy")).True() {
		t.Error("an address that the partner's tunnel points to isn't protected")
	}
}

// A teardown's override takes off exactly the guards that are there.
func TestTeardownMatchesTheGuards(t *testing.T) {
	t.Parallel()
	for dir, guarded := range map[string][2]string{root: {"vultr_reserved_ip", "node"}, instance: {"vultr_instance", "this"}} {
		text := read(t, dir, "teardown_override.tf.example")
		file, diags := hclsyntax.ParseConfig([]byte(text), dir, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		blocks := file.Body.(*hclsyntax.Body).Blocks
		if len(blocks) != 1 || !slices.Equal(blocks[0].Labels, guarded[:]) {
			t.Fatalf("%s: the override is of another resource than %v", dir, guarded)
		}
		if !literal(t, lifecycle(t, blocks[0].Body, "prevent_destroy")).False() {
			t.Errorf("%s: the override leaves the guard on", dir)
		}
		load(t, dir).resource(guarded[0], guarded[1])
	}
	if !strings.Contains(read(t, ".gitignore"), "*_override.tf") {
		t.Error("an override that was left behind could be committed")
	}
}

func lifecycle(t *testing.T, body *hclsyntax.Body, attribute string) hclsyntax.Expression {
	t.Helper()
	for _, block := range body.Blocks {
		if block.Type == "lifecycle" && block.Body.Attributes[attribute] != nil {
			return block.Body.Attributes[attribute].Expr
		}
	}
	t.Fatalf("no %s in a lifecycle block", attribute)
	return nil
}

func literal(t *testing.T, expr hclsyntax.Expression) cty.Value {
	t.Helper()
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return v
}

// names reads a list of attribute names.
func names(expr hclsyntax.Expression) []string {
	var out []string
	for _, ref := range expr.Variables() {
		out = append(out, ref.RootName())
	}
	slices.Sort(out)
	return out
}

func TestTheProviderIsPinnedEverywhere(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{root, instance, firewall} {
		if text := read(t, dir, "versions.tf"); !strings.Contains(text, `version = "~> 2.32"`) || !strings.Contains(text, `source  = "vultr/vultr"`) {
			t.Errorf("%s/versions.tf doesn't pin vultr/vultr", dir)
		}
	}
}

func TestStateAndKeysAreNotCommitted(t *testing.T) {
	t.Parallel()
	ignored := strings.Fields(read(t, ".gitignore"))
	for _, must := range []string{"*.tfstate", "*.tfstate.*", "*.tfvars", "*.key", "*.tfplan", ".terraform/", "backend.tf"} {
		if !slices.Contains(ignored, must) {
			t.Errorf(".gitignore lacks %s", must)
		}
	}
	keys := load(t, root).blocks("variable")["tunnel_private_keys"].Body.Attributes
	if keys["sensitive"] == nil || !literal(t, keys["sensitive"].Expr).True() || keys["default"] != nil {
		t.Error("private keys must be sensitive, and without a default")
	}
	if load(t, instance).blocks("variable")["tunnel"].Body.Attributes["sensitive"] == nil {
		t.Error("the module's tunnel holds a private key and must be sensitive")
	}
}

func TestTheAllowListNamesEverythingThatMayArrive(t *testing.T) {
	t.Parallel()
	d := deploy(t, "operator_cidrs", []string{"203.0.113.7/32", "198.51.100.0/24"},
		"tunnel_peers", object("app1", object("public_key", publicApp, "number", 10, "cidr", "198.51.100.9/32")))
	m := load(t, firewall)
	ctx := m.scope(m.variables(d.root.arguments(&hcl.EvalContext{Variables: d.scope, Functions: functions()}, "firewall", "")), nil)
	got := map[string]bool{}
	for name, each := range map[string]cty.Value{"operator": ctx.Variables["local"].GetAttr("operator_rules"), "tunnel": ctx.Variables["var"].GetAttr("tunnel_cidrs")} {
		for key, v := range each.AsValueMap() {
			got[m.rule(ctx, name, key, v)] = true
		}
	}
	want := map[string]bool{
		"tcp 22 203.0.113.7/32": true, "tcp 22 198.51.100.0/24": true,
		"tcp 6443 203.0.113.7/32": true, "tcp 6443 198.51.100.0/24": true,
		"udp 51820 192.0.2.11/32": true, "udp 51820 192.0.2.12/32": true, "udp 51820 198.51.100.9/32": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if machine := load(t, instance).resource("vultr_instance", "this").Body; !literal(t, machine.Attributes["enable_ipv6"].Expr).False() {
		t.Error("the list speaks IPv4 only, and the machine has IPv6")
	}
}

func (m *module) rule(ctx *hcl.EvalContext, name, key string, each cty.Value) string {
	inner := ctx.NewChild()
	inner.Variables = map[string]cty.Value{
		"each":                 object("key", key, "value", each),
		"vultr_firewall_group": object("this", object("id", "group-1")),
	}
	attr := func(name2 string) string {
		v, diags := m.resource("vultr_firewall_rule", name).Body.Attributes[name2].Expr.Value(inner)
		m.must(diags)
		if v.Type() == cty.Number {
			return v.AsBigFloat().String()
		}
		return v.AsString()
	}
	return attr("protocol") + " " + attr("port") + " " + attr("subnet") + "/" + attr("subnet_size")
}
