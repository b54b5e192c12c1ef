package slacksim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// The page's bundle is committed; this notices when its sources changed since.
func TestPageBundleIsFresh(t *testing.T) {
	t.Parallel()
	want := sourceHash(t)
	for _, name := range []string{"app.js", "app.css"} {
		raw, err := os.ReadFile("web/dist/" + name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := bytes.Cut(raw, []byte("\n"))
		found := regexp.MustCompile(`sources sha256:([0-9a-f]{64})`).FindSubmatch(first)
		if found == nil || string(found[1]) != want {
			t.Errorf("web/dist/%s is stale (its sources hash to %s): run `npm ci && npm run build` in bot/slacksim/web", name, want)
		}
	}
	page, err := os.ReadFile("web/dist/index.html")
	source, err2 := os.ReadFile("web/src/index.html")
	if err != nil || err2 != nil || !bytes.Equal(page, source) {
		t.Errorf("web/dist/index.html is stale: %v %v", err, err2)
	}
}

// sourceHash is build.mjs's: name, newline, content of each source in order.
func sourceHash(t *testing.T) string {
	t.Helper()
	names := []string{"build.mjs", "package-lock.json", "package.json"}
	sources, err := fs.Glob(os.DirFS("web"), "src/*")
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, sources...)
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		raw, err := os.ReadFile("web/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(name + "\n"))
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func TestPageBundleCarriesItsLicences(t *testing.T) {
	t.Parallel()
	notice, err := os.ReadFile("web/dist/NOTICE.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"preact 11.2.0 (MIT)", "slack-blocks-to-jsx 1.1.1 (MIT)", "react-markdown", "node-emoji"} {
		if !bytes.Contains(notice, []byte(name)) {
			t.Errorf("web/dist/NOTICE.txt doesn't mention %s", name)
		}
	}
}

func TestPageReadsMrkdwnAsSlackDoes(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("TWOKEY_CI") != "" {
			t.Fatal("Node.js isn't installed, and CI tests the page's mrkdwn reader")
		}
		t.Skip("SKIPPED: Node.js isn't installed, so the page's mrkdwn reader was not tested")
	}
	cmd := exec.CommandContext(t.Context(), node, "--test", "test")
	cmd.Dir = "web"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
