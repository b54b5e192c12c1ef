package config_test

import (
	"errors"
	"strings"
	"testing"

	"twokey/config"
)

// changed is the sample with one place of it replaced.
func changed(t *testing.T, old, replacement string) string {
	t.Helper()
	if strings.Count(config.Sample(), old) != 1 {
		t.Fatalf("the sample must hold %q exactly once", old)
	}
	return strings.Replace(config.Sample(), old, replacement, 1)
}

func parsed(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text), "twokey.yaml")
	if err != nil {
		t.Fatalf("a good file was refused:\n%v", err)
	}
	return c
}

func refused(t *testing.T, text string) *config.Error {
	t.Helper()
	_, err := config.Parse([]byte(text), "twokey.yaml")
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("got %v, want the file to be refused", err)
	}
	return wrong
}

// lineOf is the number of the first line that holds part, from 1.
func lineOf(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("no line holds %q", part)
	}
	return strings.Count(before, "\n") + 1
}
