package terraform_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

const (
	root     = "."
	instance = "modules/vultr_instance"
	firewall = "modules/vultr_firewall"
)

// module is one folder of configuration, parsed.
type module struct {
	t      *testing.T
	dir    string
	bodies map[string]*hclsyntax.Body // by file name
}

func load(t *testing.T, dir string) *module {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no configuration in %s (%v)", dir, err)
	}
	m := &module{t: t, dir: dir, bodies: map[string]*hclsyntax.Body{}}
	for _, name := range files {
		file, diags := hclparse.NewParser().ParseHCLFile(name)
		m.must(diags)
		m.bodies[filepath.Base(name)] = file.Body.(*hclsyntax.Body)
	}
	return m
}

func (m *module) must(diags hcl.Diagnostics) {
	m.t.Helper()
	if diags.HasErrors() {
		m.t.Fatal(diags)
	}
}

// blocks lists the blocks of a type, by their last label.
func (m *module) blocks(kind string) map[string]*hclsyntax.Block {
	out := map[string]*hclsyntax.Block{}
	for _, body := range m.bodies {
		for _, block := range body.Blocks {
			if block.Type == kind && len(block.Labels) > 0 {
				out[block.Labels[len(block.Labels)-1]] = block
			}
		}
	}
	return out
}

func (m *module) resource(kind, name string) *hclsyntax.Block {
	m.t.Helper()
	for _, body := range m.bodies {
		for _, block := range body.Blocks {
			if block.Type == "resource" && block.Labels[0] == kind && block.Labels[1] == name {
				return block
			}
		}
	}
	m.t.Fatalf("%s has no resource %s.%s", m.dir, kind, name)
	return nil
}

// variables converts what is given as Terraform does: defaults, optional
// attributes, then the declared type.
func (m *module) variables(given map[string]cty.Value) cty.Value {
	m.t.Helper()
	declared, values := m.blocks("variable"), map[string]cty.Value{}
	for name := range given {
		if declared[name] == nil {
			m.t.Fatalf("%s has no variable %s", m.dir, name)
		}
	}
	for name, block := range declared {
		values[name] = m.variable(name, block.Body.Attributes, given[name])
	}
	return cty.ObjectVal(values)
}

func (m *module) variable(name string, declared hclsyntax.Attributes, value cty.Value) cty.Value {
	m.t.Helper()
	if value == cty.NilVal {
		if declared["default"] == nil {
			m.t.Fatalf("%s needs variable %s", m.dir, name)
		}
		fallback, diags := declared["default"].Expr.Value(nil)
		m.must(diags)
		value = fallback
	}
	kind, defaults, diags := typeexpr.TypeConstraintWithDefaults(declared["type"].Expr)
	m.must(diags)
	if defaults != nil && !value.IsNull() {
		value = defaults.Apply(value)
	}
	value, err := convert.Convert(value, kind)
	if err != nil {
		m.t.Fatalf("%s: variable %s: %v", m.dir, name, err)
	}
	return value
}

// scope is what the module's expressions see: its variables, its locals, and
// what the provider or other modules have answered.
func (m *module) scope(variables cty.Value, answers map[string]cty.Value) *hcl.EvalContext {
	m.t.Helper()
	ctx := &hcl.EvalContext{Functions: functions(), Variables: map[string]cty.Value{
		"var": variables, "path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(m.dir)}),
	}}
	maps.Copy(ctx.Variables, answers)
	done := map[string]cty.Value{}
	for name, attr := range m.localAttributes() {
		m.local(ctx, done, name, attr)
	}
	return ctx
}

func (m *module) localAttributes() hclsyntax.Attributes {
	all := hclsyntax.Attributes{}
	for _, body := range m.bodies {
		for _, block := range body.Blocks {
			if block.Type == "locals" {
				maps.Copy(all, block.Body.Attributes)
			}
		}
	}
	return all
}

// local evaluates one local value after those that it stands on.
func (m *module) local(ctx *hcl.EvalContext, done map[string]cty.Value, name string, attr *hclsyntax.Attribute) {
	m.t.Helper()
	if _, ok := done[name]; ok {
		return
	}
	for _, ref := range attr.Expr.Variables() {
		if ref.RootName() == "local" {
			other := ref[1].(hcl.TraverseAttr).Name
			m.local(ctx, done, other, m.localAttributes()[other])
		}
	}
	ctx.Variables["local"] = cty.ObjectVal(done)
	value, diags := attr.Expr.Value(ctx)
	m.must(diags)
	done[name] = value
	ctx.Variables["local"] = cty.ObjectVal(done)
}

// refusals lists the messages of the validations that don't hold.
func (m *module) refusals(variables cty.Value) []string {
	m.t.Helper()
	ctx := &hcl.EvalContext{Functions: functions(), Variables: map[string]cty.Value{"var": variables}}
	var out []string
	for _, block := range m.blocks("variable") {
		for _, rule := range block.Body.Blocks {
			holds, diags := rule.Body.Attributes["condition"].Expr.Value(ctx)
			m.must(diags)
			if holds.False() {
				message, diags := rule.Body.Attributes["error_message"].Expr.Value(ctx)
				m.must(diags)
				out = append(out, message.AsString())
			}
		}
	}
	return out
}

// arguments evaluates what a module block passes on, for one key of its for_each.
func (m *module) arguments(ctx *hcl.EvalContext, call, key string) map[string]cty.Value {
	m.t.Helper()
	block, out := m.blocks("module")[call], map[string]cty.Value{}
	inner := ctx.NewChild()
	if each := block.Body.Attributes["for_each"]; each != nil {
		all, diags := each.Expr.Value(ctx)
		m.must(diags)
		inner.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{
			"key": cty.StringVal(key), "value": all.AsValueMap()[key],
		})}
	}
	for name, attr := range block.Body.Attributes {
		if name == "source" || name == "for_each" {
			continue
		}
		value, diags := attr.Expr.Value(inner)
		m.must(diags)
		out[name] = value
	}
	return out
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
