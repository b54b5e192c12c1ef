// Package sql holds the database side of twokey: the scripts that give a pair
// its roles, rights and helper functions, the sample application, and queries
// for people.
//
// The scripts are plain SQL without a client's own commands, each sent as one
// simple query and therefore one transaction: a script that fails has changed
// nothing. All of them may run again; they create what is missing and put right
// what has drifted. They run as a superuser on the primary, the only moment at
// which twokey needs one.
//
// Passwords become SCRAM verifiers on this side (see Verifier), so the server
// never sees one and can't log one.
package sql

import _ "embed"

// The scripts. Setup runs in the database named BotDatabase, Application,
// Schema and Sample in the application's, Verify anywhere.
var (
	//go:embed common/postgres-setup.sql
	setup string
	//go:embed common/application-setup.sql
	application string
	//go:embed templates/schema.sql
	schema string
	//go:embed templates/verify-replication.sql
	verify string
	//go:embed data/sample-data.sql
	sample string
)

// Names that the scripts create.
const (
	BotDatabase     = "twokey"
	BotRole         = "twokey_bot"
	ReplicationRole = "twokey_replication"
)

// Setup makes roles, rights, helper functions and slots (common/postgres-setup.sql).
func Setup() string { return setup }

// Application gives the bot what it may do in the application's database
// (common/application-setup.sql).
func Application() string { return application }

// Schema is the sample application's tables (templates/schema.sql).
func Schema() string { return schema }

// Verify shows how replication stands, for people (templates/verify-replication.sql).
func Verify() string { return verify }

// Sample is the sample application's rows (data/sample-data.sql).
func Sample() string { return sample }
