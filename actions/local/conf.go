package local

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Quote writes a value for postgresql.conf.
func Quote(value string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`).Replace(value) + "'"
}

// Keyword writes one "name='value'" of a connection string.
func Keyword(name, value string) string {
	return name + "='" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}

var settingPattern = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?:=|\s)`)

// withoutSettings returns the lines of a configuration file but those that set one of the names.
func withoutSettings(text string, names ...string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		match := settingPattern.FindStringSubmatch(line)
		if match == nil || !slices.Contains(names, strings.ToLower(match[1])) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// dropOverrides takes settings of ALTER SYSTEM back while the server doesn't run. Without any of them it
// writes nothing.
func (s Server) dropOverrides(names ...string) error {
	path := s.file("postgresql.auto.conf")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	kept := withoutSettings(string(text), names...)
	if kept == string(text) {
		return nil
	}
	return s.User.WriteFile(path, []byte(kept), 0o600)
}
