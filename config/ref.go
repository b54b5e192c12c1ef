package config

import (
	"errors"
	"regexp"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"
)

// Ref says where a secret stands: in an environment variable or in a file.
// Exactly one of its fields is set; the zero Ref is "none".
type Ref struct {
	Env  string `yaml:"env,omitempty"`
	File string `yaml:"file,omitempty"`
}

// IsZero says that nothing is referred to.
func (r Ref) IsZero() bool { return r == Ref{} }

// String names the place, which is no secret.
func (r Ref) String() string {
	switch {
	case r.Env != "":
		return "environment variable " + r.Env
	case r.File != "":
		return "file " + r.File
	}
	return "nothing"
}

// envName leaves out lower case on purpose: tokens have it, and a token that
// was put where the variable's name belongs must not become a Ref, whose value
// is printed freely.
var envName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,99}$`)

const refHint = "write {env: NAME} with the name of an environment variable, or {file: /path}; this file never holds a secret"

// UnmarshalYAML reads a mapping with one of the two keys. No message here
// repeats a value: it may be the secret itself.
func (r *Ref) UnmarshalYAML(node ast.Node) error {
	entries, ok := mapping(node)
	if !ok {
		return hinted{errors.New("must say where the secret stands, not what it is"), refHint}
	}
	if len(entries) != 1 {
		return hinted{errors.New("must name one place, env or file"), refHint}
	}
	text, plain := scalar(entries[0].Value)
	key := keyText(entries[0])
	switch {
	case key != "env" && key != "file":
		return hinted{errors.New("must have the key env or file, nothing else"), refHint}
	case key == "env" && plain && envName.MatchString(text):
		*r = Ref{Env: text}
	case key == "env":
		return hinted{errors.New("env must be the name of an environment variable: capital letters, digits and _"), refHint}
	case plain && absolute(text):
		*r = Ref{File: text}
	default:
		return hinted{errors.New("file must be the whole path of a file, from / on"), refHint}
	}
	return nil
}

// JSONSchema describes the two forms.
func (Ref) JSONSchema() *jsonschema.Schema {
	one := func(key, pattern, what string) *jsonschema.Schema {
		props := jsonschema.NewProperties()
		props.Set(key, &jsonschema.Schema{Type: "string", Pattern: pattern, Description: what})
		return &jsonschema.Schema{
			Type: "object", Properties: props, Required: []string{key}, AdditionalProperties: jsonschema.FalseSchema,
		}
	}
	return &jsonschema.Schema{
		Title: "reference to a secret",
		OneOf: []*jsonschema.Schema{
			one("env", envName.String(), "Name of an environment variable."),
			one("file", "^/", "Path of a file that holds nothing else."),
		},
	}
}
