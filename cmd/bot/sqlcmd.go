package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"twokey/secret"
	"twokey/sql"
)

const sqlLong = `sql prints the scripts that this program holds, the same that it runs itself, for
psql or any other client: each is plain SQL and one transaction, and may run again.

  setup        roles, rights, helper functions, slots; as superuser on the primary,
               in database twokey, which "create" makes
  application  what the bot may do in the application's database; there, after setup
  create       make a database where it is missing
  schema       the sample application's tables
  sample       its rows
  verify       how replication stands, on either node

Passwords are taken from the environment, and printed as SCRAM verifiers alone:
TWOKEY_BOT_PASSWORD, TWOKEY_REPLICATION_PASSWORD and TWOKEY_APPLICATION_PASSWORD.
A role keeps the one that it has where none is given.`

func newSQL() *cobra.Command {
	var p sql.Params
	cmd := &cobra.Command{
		Use: "sql SCRIPT", Short: "Print a script of sql/, with its parameters", Long: sqlLong, Args: cobra.ExactArgs(1),
		ValidArgs: []string{"setup", "application", "create", "schema", "sample", "verify"},
		Example:   "  bot sql setup --slots twokey_dc2 | psql -X -v ON_ERROR_STOP=1 -1 -d twokey",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := scriptOf(args[0], p, os.Getenv)
			if err == nil {
				_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&p.Slots, "slots", nil, "physical slots to have on this server (setup)")
	flags.StringSliceVar(&p.Schemas, "schemas", nil, "schemas that verify-data compares; default public (application)")
	flags.StringVar(&p.ApplicationRole, "application-role", "", "role to make for the application (application)")
	flags.StringVar(&p.Database, "database", sql.BotDatabase, "name of the database (create)")
	return cmd
}

func scriptOf(name string, p sql.Params, getenv func(string) string) (string, error) {
	p.BotPassword = secret.New(getenv("TWOKEY_BOT_PASSWORD"))
	p.ReplicationPassword = secret.New(getenv("TWOKEY_REPLICATION_PASSWORD"))
	p.ApplicationPassword = secret.New(getenv("TWOKEY_APPLICATION_PASSWORD"))
	switch name {
	case "setup", "application":
		prefix, err := p.Prefix()
		script := map[string]string{"setup": sql.Setup(), "application": sql.Application()}[name]
		return sql.Quiet() + prefix + script, err
	case "create":
		return sql.CreateDatabase(p.Database), nil
	case "schema":
		return sql.Schema(), nil
	case "sample":
		return sql.Sample(), nil
	case "verify":
		return sql.Verify(), nil
	}
	return "", fmt.Errorf("there is no script %q; there are: %s", name, strings.Join([]string{"setup", "application", "create", "schema", "sample", "verify"}, ", "))
}
