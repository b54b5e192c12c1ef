package local

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
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

var settingPattern = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_.]*)\s*=?\s*(.*?)\s*$`)

// withoutStandbyOverrides returns the lines of postgresql.auto.conf but those that would keep a standby from
// following its partner, or from being waited for once it is promoted: a freeze, an own slot, and empty
// synchronous_standby_names, which a degraded primary has.
func withoutStandbyOverrides(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		match := settingPattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil || !hinders(strings.ToLower(match[1]), match[2]) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func hinders(name, value string) bool {
	switch name {
	case "primary_conninfo", "primary_slot_name":
		return true
	case "synchronous_standby_names":
		return value == "''"
	}
	return false
}

// dropOverrides rewrites postgresql.auto.conf of a stopped server that is to be a standby. With nothing to take
// back it writes nothing.
func (s Server) dropOverrides() error {
	path := s.file("postgresql.auto.conf")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	kept := withoutStandbyOverrides(string(text))
	if kept == string(text) {
		return nil
	}
	return s.User.WriteFile(path, []byte(kept), 0o600)
}
