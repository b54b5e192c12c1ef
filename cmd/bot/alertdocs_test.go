package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twokey/actions"
)

// TestEveryAlertHasItsRunbook: the messages link to an anchor for each code, and
// the page has no other.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z-]+)$`).FindAllStringSubmatch(string(raw), -1) {
		anchors = append(anchors, m[1])
	}
	if !slices.Equal(anchors, actions.TroubleCodes()) {
		t.Errorf("the page has %q, the bot tells of %q, the gravest first", anchors, actions.TroubleCodes())
	}
	for _, code := range actions.TroubleCodes() {
		if !strings.Contains(string(raw), "| ["+code+"](#"+code+") | ") {
			t.Errorf("%s is not in the table", code)
		}
	}
}
