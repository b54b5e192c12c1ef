package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Connect opens a superuser's connection to a database of the primary. Install
// closes it.
type Connect func(ctx context.Context, database string) (*pgconn.PgConn, error)

// Install prepares a primary: makes the bot's database and the application's
// where they are missing, then runs Setup and Application in them. It leaves
// the application's tables alone; see InstallSample.
func Install(ctx context.Context, connect Connect, p Params) error {
	if err := p.check(); err != nil {
		return err
	}
	prefix, err := p.Prefix()
	if err != nil {
		return err
	}
	if err := createDatabases(ctx, connect, BotDatabase, p.Database); err != nil {
		return err
	}
	if err := run(ctx, connect, BotDatabase, "postgres-setup.sql", prefix+setup); err != nil {
		return err
	}
	return run(ctx, connect, p.Database, "application-setup.sql", prefix+application)
}

// InstallSample makes the sample application's tables and rows, before or after
// Install.
func InstallSample(ctx context.Context, connect Connect, database string) error {
	if err := createDatabases(ctx, connect, database); err != nil {
		return err
	}
	if err := run(ctx, connect, database, "schema.sql", schema); err != nil {
		return err
	}
	return run(ctx, connect, database, "sample-data.sql", sample)
}

func (p Params) check() error {
	switch p.Database {
	case "":
		return errors.New("no application database given")
	case BotDatabase, "template0", "template1":
		return fmt.Errorf("the application's database can't be %q: that one is the bot's or a template", p.Database)
	}
	return nil
}

func createDatabases(ctx context.Context, connect Connect, names ...string) error {
	return with(ctx, connect, "postgres", func(c *pgconn.PgConn) error {
		for _, name := range names {
			if err := createDatabase(ctx, c, name); err != nil {
				return fmt.Errorf("create database %s: %w", name, err)
			}
		}
		return nil
	})
}

func createDatabase(ctx context.Context, c *pgconn.PgConn, name string) error {
	res, err := c.Exec(ctx, "SELECT FROM pg_catalog.pg_database WHERE datname = "+Literal(name)).ReadAll()
	if err != nil {
		return err
	}
	if len(res) == 1 && len(res[0].Rows) == 1 {
		return nil
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+Identifier(name)).ReadAll()
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "42P04" {
		return nil // somebody made it this moment
	}
	return err
}

// quiet goes ahead in a message of its own: what a message logs is decided
// before any of its statements runs.
const quiet = `SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_duration_sample = -1;
SET log_transaction_sample_rate = 0; SET log_min_error_statement = 'panic'; SET log_error_verbosity = 'terse';`

func run(ctx context.Context, connect Connect, database, file, script string) error {
	return with(ctx, connect, database, func(c *pgconn.PgConn) error {
		for _, text := range []string{quiet, script} {
			if _, err := c.Exec(ctx, text).ReadAll(); err != nil {
				return fmt.Errorf("%s in database %s: %w", file, database, err)
			}
		}
		return nil
	})
}

// Quiet is what goes ahead of a script with verifiers in it: from then on the
// server doesn't log the session's statements.
func Quiet() string { return quiet + "\n" }

// CreateDatabase makes a database unless it is there. It is for psql, for no
// transaction and no function can make one; and it doesn't wait for a standby
// that is still to be made.
func CreateDatabase(name string) string {
	return "SET synchronous_commit = 'local';\nSELECT 'CREATE DATABASE ' || quote_ident(" + Literal(name) +
		") WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = " + Literal(name) + ") \\gexec\n"
}

func with(ctx context.Context, connect Connect, database string, do func(*pgconn.PgConn) error) error {
	c, err := connect(ctx, database)
	if err != nil {
		return fmt.Errorf("connect to database %s: %w", database, err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	return do(c)
}
