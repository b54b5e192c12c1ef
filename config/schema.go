package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
)

// Schema is the JSON Schema (2020-12) of the file, indented, for editors. It
// knows every key, notation and default, but not the rules that compare values:
// a file that it accepts can still be refused by Parse, never the reverse.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		FieldNameTag: "yaml", DoNotReference: true, RequiredFromJSONSchemaTags: true, Anonymous: true,
	}
	root := r.ReflectFromType(reflect.TypeFor[Config]())
	root.Title, root.Description = "twokey", "Configuration of the twokey bot."
	addPatterns(root, reflect.TypeFor[Config]())
	if err := addDefaults(root, Default()); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// addPatterns carries the rules that are patterns over to the schema.
func addPatterns(s *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			s = s.Items
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || s.Properties == nil {
		return
	}
	for f := range fields(t) {
		property, ok := s.Properties.Get(yamlName(f))
		if !ok {
			continue
		}
		if p := patternOf(f); p != "" && len(property.Enum) == 0 {
			property.Pattern = p
		}
		addPatterns(property, f.Type)
	}
}

func patternOf(f reflect.StructField) string {
	for tag := range strings.SplitSeq(f.Tag.Get("validate"), ",") {
		if p := rules()[tag].pattern; p != "" {
			return p
		}
	}
	return ""
}

// addDefaults writes each value of the default configuration that is one.
func addDefaults(s *jsonschema.Schema, c Config) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing the defaults: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("reading the defaults back: %w", err)
	}
	setDefaults(s, values)
	return nil
}

func setDefaults(s *jsonschema.Schema, values map[string]any) {
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		switch value := values[pair.Key].(type) {
		case map[string]any:
			if pair.Value.Properties != nil {
				setDefaults(pair.Value, value)
			}
		case string:
			if value != "" {
				pair.Value.Default = value
			}
		case bool:
			pair.Value.Default = value
		}
	}
}
