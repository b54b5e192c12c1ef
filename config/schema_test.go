package config_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/config"
)

// schema is as much of JSON Schema as these tests look at.
type schema struct {
	Properties  map[string]*schema
	Items       *schema
	Required    []string
	Pattern     string
	Default     any
	Description string
	OneOf       []*schema
	If          *schema
	Then        *schema
	Else        *schema
	Const       any
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// walk visits every property with the name of its key.
func (s *schema) walk(visit func(key string, owner, property *schema)) {
	if s.Items != nil {
		s.Items.walk(visit)
	}
	for key, property := range s.Properties {
		visit(key, s, property)
		property.walk(visit)
	}
}

func schemaKeys(t *testing.T) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	readSchema(t).walk(func(key string, _, _ *schema) { keys[key] = true })
	return keys
}

func TestSchemaDescribesEveryKeyAndHasUsablePatterns(t *testing.T) {
	t.Parallel()
	patterns := 0
	readSchema(t).walk(func(key string, _, property *schema) {
		if property.Description == "" {
			t.Errorf("%s has no description", key)
		}
		if property.Pattern != "" {
			patterns++
			if _, err := regexp.Compile(property.Pattern); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
	if patterns < 15 {
		t.Errorf("only %d patterns", patterns)
	}
}

func TestSchemaKnowsTheDefaults(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	for _, row := range []struct {
		section, key string
		want         any
	}{
		{"policy", "expiry", "30m"},
		{"policy", "allow_requester", false},
		{"slack", "api_url", "https://slack.com/api/"},
		{"timeouts", "rejoin", "30m"},
		{"thresholds", "lag_bytes", "16MiB"},
	} {
		if got := s.Properties[row.section].Properties[row.key].Default; got != row.want {
			t.Errorf("%s.%s: %v, want %v", row.section, row.key, got, row.want)
		}
	}
}

// The schema demands exactly what Parse demands, or an editor would call a good
// file wrong.
func TestSchemaRequiresWhatParseRequires(t *testing.T) {
	t.Parallel()
	s := readSchema(t)
	pair := s.Properties["pairs"].Items
	node := pair.Properties["nodes"].Items
	local := node.Properties["driver"].Properties["local"]
	for name, row := range map[string]struct {
		section *schema
		keys    string
	}{
		"file": {s, "pairs policy slack"}, "slack": {s.Properties["slack"], "channel team token"},
		"policy": {s.Properties["policy"], ""}, "schedule": {s.Properties["schedule"], ""},
		"approver": {s.Properties["policy"].Properties["approvers"].Items, "name slack"},
		"pair":     {pair, "database name nodes"}, "node": {node, "host name"},
		"vultr": {s.Properties["vultr"], "api_key"}, "instance": {node.Properties["driver"].Properties["vultr"], "instance"},
		"record": {pair.Properties["endpoint"].Properties["vultr"], "domain record"},
		"kube":   {node.Properties["driver"].Properties["kube"], ""}, "kube endpoint": {pair.Properties["endpoint"].Properties["kube"], ""},
		"local": {local, "data_dir log_file"}, "replication": {local.Properties["replication"], ""},
	} {
		got := strings.Join(slices.Sorted(slices.Values(row.section.Required)), " ")
		if diff := cmp.Diff(row.keys, got); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", name, diff)
		}
	}
	slack := s.Properties["slack"]
	if slack.If.Properties["transport"].Const != "socket" || slack.Then.Required[0] != "app_token" || slack.Else.Required[0] != "signing_secret" {
		t.Errorf("slack: if %+v then %+v else %+v", slack.If, slack.Then, slack.Else)
	}
	if keys := slices.Sorted(maps.Keys(s.Properties)); len(keys) != 11 {
		t.Errorf("sections: %v", keys)
	}
	parsed(t, least) // holds the required keys alone
}
