package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// shape compares a node with the type that it will be decoded into, reports
// whatever doesn't fit and notes where each key's value stands. It exists
// beside the decoder's own strictness because that stops at the first error and
// speaks of Go's types.
func (s *source) shape(key string, at position, node ast.Node, t reflect.Type) {
	s.at[key] = at
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		s.reportKey(key, "uses an anchor, alias or tag, which this file can't have", "write the value out where it holds")
		return
	case *ast.NullNode:
		s.reportKey(key, "has no value", "give it one, or leave the key out")
		return
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s.custom(key, node, t) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		s.shapeMapping(key, node, t)
	case reflect.Slice:
		s.shapeList(key, node, t)
	case reflect.Bool:
		if _, ok := node.(*ast.BoolNode); !ok {
			s.reportKey(key, "must be true or false, "+found(node), "")
		}
	default:
		s.shapeText(key, node)
	}
}

// custom lets a type with its own notation read the node.
func (s *source) custom(key string, node ast.Node, t reflect.Type) bool {
	reader, ok := reflect.TypeAssert[yaml.NodeUnmarshaler](reflect.New(t))
	if !ok {
		return false
	}
	err := reader.UnmarshalYAML(node)
	if err == nil {
		return true
	}
	hint := ""
	if h, ok := errors.AsType[hinted](err); ok {
		hint = h.hint
	}
	s.reportKey(key, err.Error(), hint)
	return true
}

func (s *source) shapeText(key string, node ast.Node) {
	text, plain := scalar(node)
	switch {
	case !plain:
		s.reportKey(key, "must be a text, "+found(node), "")
	case isNumber(node) || isBool(node):
		s.reportKey(key, "must be a text, "+found(node), "put it in quotes")
	case strings.TrimSpace(text) == "":
		s.reportKey(key, "has no value", "give it one, or leave the key out")
	}
}

func (s *source) shapeList(key string, node ast.Node, t reflect.Type) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		s.reportKey(key, "must be a list, "+found(node), "begin each entry with a dash")
		return
	}
	for i, entry := range list.Values {
		s.shape(fmt.Sprintf("%s[%d]", key, i), start(entry), entry, t.Elem())
	}
}

func (s *source) shapeMapping(key string, node ast.Node, t reflect.Type) {
	entries, ok := mapping(node)
	if !ok {
		s.reportKey(key, "must have keys of its own, "+found(node), "known keys: "+strings.Join(keysOf(t), ", "))
		return
	}
	for _, entry := range entries {
		name := keyText(entry)
		field, ok := fieldOf(t, name)
		if !ok {
			s.unknown(key, entry, t)
			continue
		}
		s.shape(join(key, name), place(entry, field.Type), entry.Value, field.Type)
	}
}

// place is what an error about an entry points at: its value where that is one
// word, else its key. Of a reference to a secret it is always the key, because
// the line under the error must not be the secret.
func place(entry *ast.MappingValueNode, t reflect.Type) position {
	if _, plain := scalar(entry.Value); plain && t != reflect.TypeFor[Ref]() {
		return start(entry.Value)
	}
	return start(entry)
}

func (s *source) unknown(key string, entry *ast.MappingValueNode, t reflect.Type) {
	at, name := start(entry), keyText(entry)
	if _, merge := entry.Key.(*ast.MergeKeyNode); merge {
		s.report(key, at, "uses a merge key, which this file can't have", "write the values out where they hold")
		return
	}
	known := keysOf(t)
	hint := "known keys here: " + strings.Join(known, ", ")
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	s.reportUnknown(join(key, name), at, "is no key that can stand here", hint)
}

// nearest gives the known word that a typing error could have been meant for,
// "" when none is close.
func nearest(word string, known []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range fields(t) {
		keys = append(keys, yamlName(f))
	}
	return keys
}

func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range fields(t) {
		if yamlName(f) == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return slices.Values(reflect.VisibleFields(t))
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// mapping gives the entries of a mapping; the parser has two types for one.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func keyText(entry *ast.MappingValueNode) string {
	if text, ok := entry.Key.(*ast.StringNode); ok {
		return text.Value
	}
	return tokenOf(entry.Key).Value
}

// scalar gives the text of a single value, and whether it is one.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return tokenOf(n).Value, true
	}
	return "", false
}

func isNumber(node ast.Node) bool {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

func isBool(node ast.Node) bool {
	_, ok := node.(*ast.BoolNode)
	return ok
}

// found says in words what a node is.
func found(node ast.Node) string {
	if text, ok := scalar(node); ok {
		return fmt.Sprintf("it is %q", text)
	}
	if _, ok := mapping(node); ok {
		return "it has keys of its own"
	}
	if _, ok := node.(*ast.SequenceNode); ok {
		return "it is a list"
	}
	return "it is something else"
}

// start is where a node begins; a mapping begins at its first key.
func start(node ast.Node) position {
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	return positionOf(tokenOf(node))
}

func positionOf(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// tokenOf never gives nil: some nodes that the parser makes up have no token.
func tokenOf(node ast.Node) *token.Token {
	if t := node.GetToken(); t != nil {
		return t
	}
	return &token.Token{}
}
