package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// recipe is what just says of one.
type recipe struct {
	Name         string  `json:"name"`
	Doc          *string `json:"doc"`
	Private      bool    `json:"private"`
	Dependencies []struct {
		Recipe string `json:"recipe"`
	} `json:"dependencies"`
	Parameters []struct {
		Name    string `json:"name"`
		Default any    `json:"default"`
		Kind    string `json:"kind"`
	} `json:"parameters"`
	Body [][]any `json:"body"`
}

func recipes(t *testing.T) map[string]recipe {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), just(t), "--justfile", "../Justfile", "--dump", "--dump-format", "json")
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var dump struct {
		Recipes map[string]recipe `json:"recipes"`
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		t.Fatal(err)
	}
	return dump.Recipes
}

// TestRecipesAreListed: the first sketch's, and what else the deployment needs.
func TestRecipesAreListed(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), just(t), "--justfile", "../Justfile", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := recipes(t)
	for _, name := range []string{
		"setup-replication", "status", "verify-data", "insert-test", "failover", "vm", "destroy", "connect", "exec-psql", "rebuild-standby",
		"bot-deploy", "lint", "test", "demo", "pg17", "validate", "fmt", "tftest", "kubeconfig", "bot-config", "image", "secrets", "doctor", "pin-images", "point", "e2e",
	} {
		if !regexp.MustCompile(`(?m)^ +` + name + `\b.*#`).Match(out) {
			t.Errorf("just --list doesn't show %s with what it does", name)
		}
		if _, there := all[name]; !there {
			t.Errorf("there is no recipe %s", name)
		}
	}
}

func TestJustfileIsFormatted(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), just(t), "--justfile", "../Justfile", "--fmt", "--check", "--unstable").CombinedOutput(); err != nil {
		t.Errorf("run just fmt:\n%s", out)
	}
}

// TestNoRecipeDependsOnAnother: so none can bring one along that destroys something;
// and no script runs just.
func TestNoRecipeDependsOnAnother(t *testing.T) {
	t.Parallel()
	for name, r := range recipes(t) {
		if len(r.Dependencies) > 0 {
			t.Errorf("%s depends on %v", name, r.Dependencies)
		}
		if !r.Private && (r.Doc == nil || *r.Doc == "") {
			t.Errorf("%s doesn't say what it does", name)
		}
	}
	for name, text := range scripts(t) {
		if m := regexp.MustCompile(`(?m)^\s*(exec )?just [a-z]`).FindString(text); m != "" {
			t.Errorf("%s runs %s", name, m)
		}
	}
}

func scripts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".go") || f.IsDir() {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = string(text)
	}
	if len(out) < 20 {
		t.Fatalf("only these scripts were found: %v", slices.Sorted(maps.Keys(out)))
	}
	return out
}

// TestWhatCanDoHarmStandsWhereItsNameSays: each command that stops, destroys or
// changes something for good, and the only scripts in which it may be.
func TestWhatCanDoHarmStandsWhereItsNameSays(t *testing.T) {
	t.Parallel()
	harm := map[string][]string{
		`terraform [^\n]*\bapply\b`:   {"destroy", "vm"},
		`terraform [^\n]*-destroy`:    {"destroy"},
		`terraform (?:-\S+ )*destroy`: nil,
		`\bdelete pod\b`:              {"rebuild-standby", "restart-standby", "setup-replication"},
		`\bdelete (?:pvc|persistent|stateful|namespace|secret|configmap)`: nil,
		`--force(?:\s|=)|--grace-period`:                                  nil,
		`\bscale\b`:                                                       nil,
		`pg_promote|pg_ctl|\bpg_rewind --`:                                nil,
		`rewind-unfinished`:                                               {"rebuild-standby"},
		`\brm -rf\b`:                                                      {"lib.sh"}, // its own folder, at the end
		`(?i)\b(?:drop|truncate|alter system)\b`:                          nil,
		`--renew`:                                                         {"secrets"},
	}
	for pattern, allowed := range harm {
		for name, text := range scripts(t) {
			if m := regexp.MustCompile(pattern).FindString(withoutComments(text)); m != "" && !slices.Contains(allowed, name) {
				t.Errorf("%s has %q, which only %v may", name, m, allowed)
			}
		}
	}
}

func withoutComments(text string) string {
	return regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(text, "")
}

// TestSQLComesFromItsOneFolder: the scripts ask, but make and change nothing by SQL
// of their own.
func TestSQLComesFromItsOneFolder(t *testing.T) {
	t.Parallel()
	for name, text := range scripts(t) {
		if m := regexp.MustCompile(`\b(?:CREATE|ALTER|GRANT|REVOKE|INSERT|UPDATE|DELETE)\b [A-Z]`).FindString(withoutComments(text)); m != "" {
			t.Errorf("%s has %q: that belongs into sql/", name, m)
		}
	}
}

// TestDryRunsOfEveryRecipe: each is one line that runs one script, which is there.
func TestDryRunsOfEveryRecipe(t *testing.T) {
	t.Parallel()
	program := just(t)
	for name, r := range recipes(t) {
		if r.Private {
			continue
		}
		arguments := []string{"--justfile", "../Justfile", "--dry-run", name}
		for _, p := range r.Parameters {
			if p.Default == nil && p.Kind == "singular" {
				arguments = append(arguments, "dc1")
			}
		}
		out, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput()
		script := regexp.MustCompile(`^\./deploy/([a-z0-9-]+)`).FindStringSubmatch(string(out))
		if err != nil || script == nil || strings.Count(strings.TrimSpace(string(out)), "\n") > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
			continue
		}
		if info, err := os.Stat(script[1]); err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("%s runs deploy/%s, which can't be run: %v", name, script[1], err)
		}
	}
}

// TestScriptsPassShellcheck, and the recipes' own lines.
func TestScriptsPassShellcheck(t *testing.T) {
	t.Parallel()
	shellcheck := tool(t, "shellcheck", "apt-get install shellcheck")
	var files []string
	for name := range scripts(t) {
		files = append(files, name)
	}
	files = append(files, "../manifests/base/configure.sh")
	slices.Sort(files)
	if out, err := exec.CommandContext(t.Context(), shellcheck, append([]string{"--external-sources"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	lines := "#!/bin/bash\n"
	for _, r := range recipes(t) {
		for _, line := range r.Body {
			for _, part := range line {
				if text, plain := part.(string); plain {
					lines += strings.TrimPrefix(text, "@")
				}
			}
			lines += "\n"
		}
	}
	path := filepath.Join(t.TempDir(), "recipes")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), shellcheck, path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, lines)
	}
}

// TestDocumentsNameRealRecipes: what a newcomer is told to run is there.
func TestDocumentsNameRealRecipes(t *testing.T) {
	t.Parallel()
	all := recipes(t)
	for _, document := range []string{"deploy.md", "seed.md", "kube.md"} {
		text, err := os.ReadFile(filepath.Join("..", "docs", document))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:`|^)just ([a-z][a-z0-9-]*)").FindAllStringSubmatch(string(text), -1) {
			if _, there := all[m[1]]; !there {
				t.Errorf("%s tells of just %s, and there is no such recipe", document, m[1])
			}
		}
	}
}
