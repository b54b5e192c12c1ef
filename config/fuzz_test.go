package config_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"twokey/config"
)

// FuzzParse: whatever a file holds, Parse ends with a usable configuration or
// with sentences that name places in the file.
func FuzzParse(f *testing.F) {
	f.Add(config.Sample())
	f.Add(least)
	for _, text := range []string{
		"", "a: [", "? a\n: b", "&a *a", "!!binary x", "--- \n...\n%YAML 1.2", "slack: {<<: *a}", "slack: |\n  a", "a: >-\n\n b",
		"\xef\xbb\xbflisten: x", "pairs: [{nodes: [{}, {}]}]", "pairs: [null]", "policy: {expiry: 1e9}", "- - - -", "\"\\x",
		"timeouts: {stop: .inf}", "slack: {token: {env: A}}", "slack: {token: !!x {env: A}}", "listen: 'a\n\n  b'", "\t",
		"schedule: {report: TZ=}", "thresholds: {lag_bytes: 0x10}", "pairs: [{nodes: [{port: 0o17}]}]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse([]byte(text), "f")
		if err != nil {
			checkError(t, err)
			return
		}
		again, err := yaml.Marshal(c)
		if err != nil {
			t.Fatalf("can't be written: %v", err)
		}
		second, err := config.Parse(again, "again")
		if err != nil {
			t.Fatalf("written, it is refused: %v\n%s", err, again)
		}
		if diff := cmp.Diff(c, second); diff != "" {
			t.Fatalf("written and read again (want -, got +):\n%s", diff)
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok || len(wrong.Problems) == 0 {
		t.Fatalf("an error without a problem: %#v", err)
	}
	for _, p := range wrong.Problems {
		if p.Line < 1 || p.Column < 1 || p.Text == "" {
			t.Fatalf("a problem without place or text: %+v", p)
		}
	}
	if !utf8.ValidString(wrong.Error()) {
		t.Fatalf("not printable: %q", wrong.Error())
	}
}
