package config_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"twokey/config"
)

func TestSampleIsValidAndReadsBackAsWritten(t *testing.T) {
	t.Parallel()
	c := parsed(t, config.Sample())
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, parsed(t, string(text))); diff != "" {
		t.Errorf("written and read again (want -, got +):\n%s", diff)
	}
}

// What the sample's comments call a default is one: without the line the file
// means the same. What they don't call one makes a difference or is missed.
func TestSampleMarksEveryDefault(t *testing.T) {
	t.Parallel()
	whole := parsed(t, config.Sample())
	lines := strings.SplitAfter(config.Sample(), "\n")
	marked := 0
	for i, line := range lines {
		if !strings.Contains(line, "# default") || strings.Contains(line, "# default: ") {
			continue
		}
		marked++
		without := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")
		if diff := cmp.Diff(whole, parsed(t, without)); diff != "" {
			t.Errorf("without %q (with it -, without +):\n%s", strings.TrimSpace(line), diff)
		}
	}
	if marked < 20 {
		t.Errorf("only %d lines are marked as defaults", marked)
	}
}

// Every key that the schema knows stands in the sample, so that whoever starts
// from it sees all there is.
func TestSampleShowsEveryKey(t *testing.T) {
	t.Parallel()
	for key := range schemaKeys(t) {
		if key == "sslcert" || key == "sslkey" { // named in the comment of password
			continue
		}
		if !regexp.MustCompile(`(?m)[\s{]` + key + `:`).MatchString(config.Sample()) {
			t.Errorf("the sample doesn't show %s", key)
		}
	}
}

func TestSampleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	if regexp.MustCompile(`xox[a-z]-\w|[0-9a-f]{32}|:[^/\s]+@`).MatchString(config.Sample()) {
		t.Error("the sample holds something that looks like a secret")
	}
}
