package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"twokey/approvals"
)

var update = flag.Bool("update", false, "write generated parts of the docs anew")

var diagram = regexp.MustCompile(`(?s)(<!-- diagram:begin -->\n).*?(<!-- diagram:end -->)`)

func TestDiagrams(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "architecture.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := diagram.ReplaceAllString(string(raw), "${1}```mermaid\n"+strings.TrimSpace(approvals.Mermaid())+"\n```\n${2}")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want != string(raw) && !*update {
		t.Errorf("the diagram in %s is not what approvals.Transitions says; run: go test ./cmd/bot -run TestDiagrams -update", path)
	}
}

// TestDocsNameRealFiles keeps the concept map honest.
func TestDocsNameRealFiles(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("`((?:actions|approvals|bot|store|cmd|sql|config)/[a-z0-9_./]*)`").FindAllStringSubmatch(string(raw), -1)
	if len(files) < 20 {
		t.Fatalf("only %d files are named; the pattern is broken", len(files))
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join("..", "..", f[1])); err != nil {
			t.Errorf("the docs name %s: %v", f[1], err)
		}
	}
}

var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// TestDocsNameRealTests: a claim that names its test is worth what that test is,
// so there must be one.
func TestDocsNameRealTests(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`).FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			named++
			if !there[m[1]] {
				t.Errorf("%s names %s, which is no test", filepath.Base(page), m[1])
			}
		}
	}
	if named < 40 {
		t.Errorf("only %d tests are named; the search is broken", named)
	}
}

// TestDocsAreFilledIn: a word in capitals that stands alone on a line, or in a
// cell of a table, is where a result was to be put.
func TestDocsAreFilledIn(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(err, pages)
	}
	hole := regexp.MustCompile(`(?m)^[A-Z]{4,}$|\| [A-Z]{4,} \||\. [A-Z]{7,}$`)
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hole.FindAllString(string(text), -1) {
			t.Errorf("%s has a place that was not filled in: %q", page, h)
		}
	}
}
