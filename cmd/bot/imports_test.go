package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rule forbids imports: packages below from may not import anything below what,
// except what allow lists.
type rule struct {
	from, what string
	allow      []string
	reason     string
}

// The house's import directions: approvals ← actions ← drivers, store, bot ←
// cmd/bot. Test files are free: they bring real parts together.
var rules = []rule{
	{"approvals", "twokey", []string{"twokey/approvals"}, "the two-person rule depends on nothing, so that it can be read alone"},
	{"approvals", "external", nil, "the two-person rule is standard library only"},
	{"actions", "twokey", []string{"twokey/actions", "twokey/approvals"}, "the domain knows no driver, no store and no Slack"},
	{"actions", "external", []string{"golang.org/x/sync/errgroup", "github.com/dustin/go-humanize"}, "the domain talks to outside systems through its ports"},
	{"actions/postgres", "twokey", []string{"twokey/actions", "twokey/actions/postgres", "twokey/approvals", "twokey/secret", "twokey/sql"}, "brothers don't know one another"},
	{"actions/local", "twokey", []string{"twokey/actions", "twokey/actions/local", "twokey/approvals", "twokey/secret", "twokey/sql"}, "brothers don't know one another"},
	{"actions/vultr", "twokey", []string{"twokey/actions", "twokey/actions/vultr", "twokey/approvals", "twokey/secret"}, "brothers don't know one another"},
	{"actions/vultr/vultrfake", "twokey", nil, "the fake API must not share a mistake with the driver"},
	{"actions/kube", "twokey", []string{"twokey/actions", "twokey/actions/kube", "twokey/approvals", "twokey/secret"}, "brothers don't know one another"},
	{"actions/kube/kubefake", "twokey", nil, "the fake API server must not share a mistake with the driver"},
	{"", "twokey/actions/kube/kubefake", nil, "a fake is for tests alone"},
	{"", "twokey/actions/vultr/vultrfake", nil, "a fake is for tests alone"},
	{"", "twokey/actions/fencetest", nil, "tests that every fence must pass"},
	{"", "github.com/vultr/govultr", []string{"actions/vultr"}, "nothing outside its driver knows Vultr's library"},
	{"", "k8s.io", []string{"actions/kube"}, "nothing outside its driver knows Kubernetes' library"},
	{"actions/watch", "twokey", []string{"twokey/actions", "twokey/actions/watch", "twokey/approvals"}, "watch tells facts and knows nobody who shows them"},
	{"store", "twokey", []string{"twokey/actions", "twokey/approvals", "twokey/store"}, "the store keeps what the domain defines"},
	{"bot", "twokey", []string{"twokey/actions", "twokey/approvals", "twokey/bot", "twokey/secret"}, "the Slack adapter reaches everything through the desk"},
	{"totp", "twokey", []string{"twokey/approvals", "twokey/secret", "twokey/totp"}, "codes know persons and nothing of requests"},
	{"", "twokey/totp", []string{"cmd/bot", "totp"}, "whoever checks a code does it through approvals.Codes"},
	{"", "github.com/pquerna/otp", []string{"totp"}, "nothing outside its package knows the library"},
	{"bot/slacksim", "twokey", []string{"twokey/bot/slacksim"}, "the simulated Slack must not share a mistake with the bot"},
	{"bot/lagchart", "twokey", []string{"twokey/actions", "twokey/bot/lagchart"}, "a picture knows numbers, and nothing of Slack"},
	{"", "github.com/go-analyze/charts", []string{"bot/lagchart"}, "nothing outside it knows the drawing library"},
	{"config", "twokey", []string{"twokey/actions", "twokey/approvals", "twokey/config", "twokey/secret"}, "the file is decoded into plain types"},
	{"sql", "twokey", []string{"twokey/secret", "twokey/sql"}, "scripts are data"},
	{"secret", "twokey", []string{"twokey/secret"}, "everybody who holds a secret imports it"},
	{"secret", "external", nil, "what hides secrets is standard library only"},
	{"", "twokey/config", []string{"cmd/bot", "config"}, "only cmd/bot maps the file to the packages' options"},
	{"", "go.etcd.io/bbolt", []string{"store"}, "nothing outside store knows bbolt"},
	{"", "github.com/slack-go/slack", []string{"bot"}, "nothing outside bot knows Slack"},
	{"", "github.com/gorilla/websocket", []string{"bot"}, "Socket Mode is the bot's alone"},
	{"bot/slacksim", "github.com/gorilla/websocket", nil, "the simulated Slack must not share a mistake with the bot"},
	{"", "twokey/actions/local/faultproxy", nil, "only tests break a network"},
	{"", "twokey/cmd", nil, "nobody imports a program"},
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	seen := 0
	for file, imports := range productionImports(t) {
		seen++
		for _, r := range rules {
			for _, imp := range imports {
				if r.forbids(filepath.ToSlash(filepath.Dir(file)), imp) {
					t.Errorf("%s imports %s: %s", file, imp, r.reason)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d files were looked at; the walk is broken", seen)
	}
}

func (r rule) forbids(dir, imp string) bool {
	if r.from == "" { // allow lists importers
		return below(imp, r.what) && !anyBelow(dir, r.allow)
	}
	if !r.applies(dir) {
		return false
	}
	if r.what == "external" {
		return strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !anyBelow(imp, r.allow)
	}
	return below(imp, r.what) && !allowed(imp, r.allow, r.from)
}

// applies keeps the rules of actions from its drivers, which have their own.
func (r rule) applies(dir string) bool {
	if r.from == "actions" || r.from == "bot" {
		return dir == r.from
	}
	return below(dir, r.from)
}

// allowed takes "twokey/actions" for the package alone, unless it is the
// importer's own tree.
func allowed(imp string, allow []string, from string) bool {
	for _, a := range allow {
		if imp == a || (a == "twokey/"+from && from != "actions" && below(imp, a)) {
			return true
		}
	}
	return false
}

func anyBelow(path string, roots []string) bool {
	for _, r := range roots {
		if below(path, r) {
			return true
		}
	}
	return false
}

func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// productionImports maps each non-test file of the module to its imports.
func productionImports(t *testing.T) map[string][]string {
	t.Helper()
	root, out := filepath.Join("..", ".."), map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		for _, spec := range f.Imports {
			name, uerr := strconv.Unquote(spec.Path.Value)
			if uerr != nil {
				return uerr
			}
			out[rel] = append(out[rel], name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImportRulesCanFail(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct{ dir, imp string }{
		{"approvals", "twokey/actions"}, {"approvals", "github.com/x/y"}, {"actions", "twokey/store"}, {"actions", "github.com/jackc/pgx/v5"},
		{"actions", "twokey/actions/postgres"}, {"actions/postgres", "twokey/actions/local"}, {"bot", "twokey/store"},
		{"actions/vultr", "twokey/actions/local"}, {"actions/vultr/vultrfake", "twokey/actions/vultr"}, {"cmd/bot", "twokey/actions/vultr/vultrfake"}, {"bot", "github.com/go-analyze/charts"}, {"bot/lagchart", "twokey/bot"},
		{"cmd/bot", "github.com/vultr/govultr/v3"}, {"cmd/bot", "k8s.io/client-go/rest"}, {"actions/kube", "twokey/actions/local"}, {"actions/kube/kubefake", "twokey/actions"}, {"actions/kube", "twokey/actions/kube/kubefake"}, {"bot/slacksim", "twokey/approvals"}, {"actions/watch", "twokey/config"}, {"store", "twokey/bot"}, {"actions", "github.com/slack-go/slack"},
	} {
		caught := false
		for _, r := range rules {
			caught = caught || r.forbids(bad.dir, bad.imp)
		}
		if !caught {
			t.Errorf("nothing forbids %s in %s", bad.imp, bad.dir)
		}
	}
}
