package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"twokey/bot"
	"twokey/config"
)

// TestManifestIsGolden: a change of what the app asks Slack for is seen in the
// review, and told to those who have installed it. Run with -update to write
// the files anew.
func TestManifestIsGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"http.json":    {"--transport", "http", "--url", "https://twokey.example.com"},
		"socket.yaml":  {"--transport", "socket", "-o", "yaml"},
		"private.yaml": {"--transport", "socket", "--private", "--name", "twokey-test", "-o", "yaml"},
	} {
		path := filepath.Join("testdata", "manifest-"+name)
		code, out, errOut := runMain(t, append([]string{"slack", "manifest"}, args...)...)
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", name, code, errOut)
		}
		if *update {
			if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; run: go test ./cmd/bot -run TestManifestIsGolden -update", err)
		}
		if diff := cmp.Diff(string(want), out); diff != "" {
			t.Errorf("%s reads differently (-want +got); apps that are installed need an update, see docs/slack-setup.md:\n%s", path, diff)
		}
	}
}

func TestManifestIsTheSameInBothFormats(t *testing.T) {
	t.Parallel()
	args := []string{"slack", "manifest", "--transport", "http", "--url", "https://twokey.example.com"}
	_, asJSON, _ := runMain(t, args...)
	_, asYAML, _ := runMain(t, append(args, "-o", "yaml")...)
	var fromJSON, fromYAML map[string]any
	if err := json.Unmarshal([]byte(asJSON), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &fromYAML); err != nil {
		t.Fatal(err)
	}
	delete(fromJSON, "_metadata") // empty in JSON, left out in YAML
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("JSON -, YAML +:\n%s", diff)
	}
}

func TestManifestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no transport":           {nil, "it is http or socket"},
		"another transport":      {[]string{"--transport", "rtm"}, `"rtm"`},
		"no URL":                 {[]string{"--transport", "http"}, "the URL is missing"},
		"a URL over Socket Mode": {[]string{"--transport", "socket", "--url", "https://x.example"}, "has no URL"},
		"another format":         {[]string{"--transport", "socket", "-o", "toml"}, "json, yaml"},
	} {
		if code, _, errOut := runMain(t, append([]string{"slack", "manifest"}, c.args...)...); code == 0 || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit code %d, %s", name, code, errOut)
		}
	}
}

func setupDoc(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/slack-setup.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSetupNamesEveryScope: docs/slack-setup.md explains each scope, and no other.
func TestSetupNamesEveryScope(t *testing.T) {
	t.Parallel()
	table := regexp.MustCompile(`(?s)<!-- scopes:begin -->(.*)<!-- scopes:end -->`).FindStringSubmatch(setupDoc(t))
	if table == nil {
		t.Fatal("docs/slack-setup.md has no table of scopes")
	}
	var explained []string
	for row := range strings.Lines(table[1]) {
		row = strings.ReplaceAll(row, "`--user-group`", "")
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`([a-z]+(?::[a-z.]+)?)`").FindAllStringSubmatch(first, -1) {
			explained = append(explained, m[1])
		}
	}
	slices.Sort(explained)
	asked := slices.Concat(bot.ManifestOptions{}.Scopes(), bot.ManifestOptions{Private: true}.Scopes(), bot.ManifestOptions{Group: true}.Scopes())
	slices.Sort(asked)
	if diff := cmp.Diff(slices.Compact(asked), explained); diff != "" {
		t.Errorf("asked for -, explained +:\n%s", diff)
	}
}

// TestSetupShowsAConfigurationThatWorks: the section slack of docs/slack-setup.md
// fits into the sample.
func TestSetupShowsAConfigurationThatWorks(t *testing.T) {
	t.Parallel()
	section := regexp.MustCompile("(?s)```yaml\n(slack:\n.*?)```").FindStringSubmatch(setupDoc(t))
	if section == nil {
		t.Fatal("docs/slack-setup.md shows no section slack")
	}
	sample := regexp.MustCompile(`(?s)slack:\n.*?\n\n`)
	if !sample.MatchString(config.Sample()) {
		t.Fatal("the sample has no section slack")
	}
	text := sample.ReplaceAllLiteralString(config.Sample(), section[1]+"\n")
	cfg, err := config.Parse([]byte(text), "docs/slack-setup.md")
	if err != nil || !cfg.Slack.Socket() {
		t.Errorf("transport %q, %v", cfg.Slack.Transport, err)
	}
}
