package actions_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twokey/actions"
)

// TestDocumentedFactsAreTheRelevantOnes: the list in the docs is the list in the
// code, for the kind that has them all.
func TestDocumentedFactsAreTheRelevantOnes(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "<!-- facts:begin -->")
	list, _, found := strings.Cut(rest, "<!-- facts:end -->")
	if !found {
		t.Fatal("the docs hold no list of facts")
	}
	var documented []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1) {
		documented = append(documented, m[1])
	}
	var code []string
	for _, f := range actions.FactsFor(but(), switchover, actions.Block) {
		name := strings.NewReplacer("dc1 ", "NODE ", "dc2 ", "NODE ").Replace(f.Name)
		if !slices.Contains(code, name) {
			code = append(code, name)
		}
	}
	slices.Sort(documented)
	slices.Sort(code)
	if !slices.Equal(documented, code) {
		t.Errorf("documented: %q\nrelevant:   %q", documented, code)
	}
}
