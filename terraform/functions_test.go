package terraform_test

import (
	"errors"
	"maps"
	"net/netip"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of Terraform's language that the configuration uses. Most
// come from the library that Terraform takes them from; files, templates and
// networks are Terraform's own and are done again here.
func functions() map[string]function.Function {
	all := map[string]function.Function{
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc,
		"coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "floor": stdlib.FloorFunc, "indent": stdlib.IndentFunc,
		"jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "length": stdlib.LengthFunc,
		"merge": stdlib.MergeFunc, "pow": stdlib.PowFunc, "regex": stdlib.RegexFunc,
		"setintersection": stdlib.SetIntersectionFunc, "split": stdlib.SplitFunc, "values": stdlib.ValuesFunc,
		"tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
		"toset":       stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"alltrue":     of(cty.Bool, allTrue, cty.DynamicPseudoType),
		"cidrhost":    of(cty.String, cidrHost, cty.String, cty.Number),
		"cidrnetmask": of(cty.String, cidrNetmask, cty.String),
		"cidrsubnet":  of(cty.String, cidrSubnet, cty.String, cty.Number, cty.Number),
		"file":        of(cty.String, file, cty.String),
	}
	plain := maps.Clone(all)
	all["templatefile"] = of(cty.String, func(args []cty.Value) (cty.Value, error) {
		return template(args[0].AsString(), args[1], plain)
	}, cty.String, cty.DynamicPseudoType)
	return all
}

func of(result cty.Type, do func([]cty.Value) (cty.Value, error), takes ...cty.Type) function.Function {
	spec := &function.Spec{Type: function.StaticReturnType(result), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return do(args)
	}}
	for _, kind := range takes {
		spec.Params = append(spec.Params, function.Parameter{Name: "x", Type: kind})
	}
	return function.New(spec)
}

// template renders a file; like Terraform's, a template sees only what it is given.
func template(name string, values cty.Value, funcs map[string]function.Function) (cty.Value, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return cty.NilVal, err
	}
	parsed, diags := hclsyntax.ParseTemplate(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	out, diags := parsed.Value(&hcl.EvalContext{Variables: values.AsValueMap(), Functions: funcs})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return out, nil
}

func file(args []cty.Value) (cty.Value, error) {
	text, err := os.ReadFile(args[0].AsString())
	return cty.StringVal(string(text)), err
}

func allTrue(args []cty.Value) (cty.Value, error) {
	for _, v := range args[0].AsValueSlice() {
		if v.False() {
			return cty.False, nil
		}
	}
	return cty.True, nil
}

func cidrHost(args []cty.Value) (cty.Value, error) {
	network, err := netip.ParsePrefix(args[0].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	number, _ := args[1].AsBigFloat().Int64()
	address := network.Masked().Addr()
	for range number {
		address = address.Next()
	}
	if !network.Contains(address) {
		return cty.NilVal, errors.New("the network has no such host")
	}
	return cty.StringVal(address.String()), nil
}

func cidrNetmask(args []cty.Value) (cty.Value, error) {
	network, err := netip.ParsePrefix(args[0].AsString())
	if err != nil || !network.Addr().Is4() {
		return cty.NilVal, errors.Join(err, errors.New("no IPv4 network"))
	}
	ones, err := netip.AddrFrom4([4]byte{255, 255, 255, 255}).Prefix(network.Bits())
	return cty.StringVal(ones.Addr().String()), err
}

// cidrSubnet is asked for the network itself alone: no further bits, number 0.
func cidrSubnet(args []cty.Value) (cty.Value, error) {
	network, err := netip.ParsePrefix(args[0].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	if args[1].AsBigFloat().Sign() != 0 || args[2].AsBigFloat().Sign() != 0 {
		return cty.NilVal, errors.New("only the network itself is worked out here")
	}
	return cty.StringVal(network.Masked().String()), nil
}
