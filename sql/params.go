package sql

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"twokey/secret"
)

// Params are what the scripts can be told. Empty fields are left out: a role
// keeps the password that it has.
type Params struct {
	Database            string      // the application's, e.g. "orders"
	BotPassword         secret.Text // of BotRole
	ReplicationPassword secret.Text // of ReplicationRole
	Slots               []string    // physical slots to have on this server
	Schemas             []string    // that verify-data compares; none means public
	ApplicationRole     string      // role to make for the application, none when empty
	ApplicationPassword secret.Text // of ApplicationRole
	Iterations          int         // of the passwords' verifiers, ScramIterations when 0
}

// Prefix is the SET statements that hand the parameters to Setup and
// Application, passwords as fresh verifiers. Every value is quoted. It fails on
// a password that can't be made a verifier and on a name with a comma or a NUL.
func (p Params) Prefix() (string, error) {
	var b strings.Builder
	for _, set := range []struct {
		name  string
		value func() (string, error)
	}{
		{"twokey.bot_password", p.verifier(p.BotPassword)},
		{"twokey.replication_password", p.verifier(p.ReplicationPassword)},
		{"twokey.slots", listOf(p.Slots)},
		{"twokey.schemas", listOf(p.Schemas)},
		{"twokey.application_role", listOf([]string{p.ApplicationRole})},
		{"twokey.application_password", p.verifier(p.ApplicationPassword)},
	} {
		v, err := set.value()
		if err != nil {
			return "", fmt.Errorf("parameter %s: %w", set.name, err)
		}
		fmt.Fprintf(&b, "SET %s = %s;\n", set.name, Literal(v))
	}
	return b.String(), nil
}

func (p Params) verifier(s secret.Text) func() (string, error) {
	return func() (string, error) {
		if s.Empty() {
			return "", nil
		}
		return Verifier(s, cmp.Or(p.Iterations, ScramIterations))
	}
}

func listOf(names []string) func() (string, error) {
	return func() (string, error) {
		if slices.ContainsFunc(names, func(n string) bool { return strings.ContainsAny(n, ",\x00") }) {
			return "", fmt.Errorf("%q holds a name with a comma or a NUL in it", names)
		}
		return strings.Join(names, ","), nil
	}
}

// Literal quotes a string for SQL whatever standard_conforming_strings says. A
// NUL, which PostgreSQL can't hold, is left out.
func Literal(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", "''")
	if strings.Contains(s, `\`) {
		return " E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}

// Identifier quotes a name for SQL; a NUL is left out.
func Identifier(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), `"`, `""`) + `"`
}
