package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Right is something that the bot's role may do, or may not.
type Right struct {
	What string
	Held bool
	// Optional: without it something is slower, not impossible.
	Optional bool
}

// Login is what a session of the bot's own sees.
type Login struct {
	TLS     string        // the protocol's version; "" without TLS
	Skew    time.Duration // how far the server's clock is ahead of this machine's
	Within  time.Duration // Skew is known to so much: half of the way there and back
	Rights  []Right
	Primary bool
}

// rightsSQL is every right that sql/common/postgres-setup.sql gives the bot, as the
// catalogs write them. What the schema doesn't have is not held.
const rightsSQL = `
	SELECT what, coalesce(held, false), optional FROM (
		SELECT 'CONNECT ON DATABASE twokey' AS what, has_database_privilege(current_database(), 'CONNECT') AS held, false AS optional
		UNION ALL SELECT r, pg_has_role(r, 'USAGE'), false FROM unnest(ARRAY['pg_monitor', 'pg_checkpoint']) r
		UNION ALL SELECT 'ALTER SYSTEM ON PARAMETER ' || p, has_parameter_privilege(p, 'ALTER SYSTEM'), false
			FROM unnest(CASE WHEN current_setting('server_version_num')::int < 170000 THEN ARRAY['primary_conninfo', 'synchronous_standby_names']
				ELSE ARRAY['primary_conninfo', 'synchronous_standby_names', 'synchronized_standby_slots'] END) p
		UNION ALL SELECT 'EXECUTE ON FUNCTION ' || f, has_function_privilege(f, 'EXECUTE'), false
			FROM unnest(ARRAY['pg_promote(boolean,integer)', 'pg_reload_conf()']) f
		UNION ALL SELECT 'USAGE ON SCHEMA twokey', (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'twokey'), false
		UNION ALL SELECT p || ' ON TABLE twokey.probe', (SELECT has_table_privilege(c.oid, p) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = 'twokey' AND c.relname = 'probe'), false
			FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) p
		UNION ALL SELECT 'EXECUTE ON FUNCTION twokey.' || f || '(' || a || ')', (SELECT has_function_privilege(p.oid, 'EXECUTE')
				FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = 'twokey' AND p.proname = f AND replace(oidvectortypes(p.proargtypes), ', ', ',') = a), o
			FROM (VALUES ('ensure_slot', 'text', false), ('drop_slot', 'text', false), ('resume_replay', '', false), ('end_standby_sessions', '', false),
				('timeline_history', 'integer', false), ('guard_report', '', false), ('pg_get_wal_records_info', 'pg_lsn,pg_lsn', true)) v (f, a, o)
	) all_rights`

// applicationRightsSQL is the same for application-setup.sql, in the application's
// database.
const applicationRightsSQL = `
	SELECT what, coalesce(held, false), false FROM (
		SELECT 'CONNECT ON DATABASE ' || quote_ident(current_database()) AS what, has_database_privilege(current_database(), 'CONNECT') AS held
		UNION ALL SELECT 'USAGE ON SCHEMA ' || s, (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = s)
			FROM unnest(array_append($1::text[], 'twokey')) s
		UNION ALL SELECT p || ' ON TABLE twokey.insert_test', (SELECT has_table_privilege(c.oid, p) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = 'twokey' AND c.relname = 'insert_test')
			FROM unnest(ARRAY['SELECT', 'INSERT']) p
		UNION ALL SELECT 'SELECT ON TABLE ' || c.oid::regclass, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND n.nspname = ANY ($1)
	) all_rights`

// Login looks at a session of the bot's own, and at every right that it should
// have. The error is that of logging in at the bot's own database; one of the
// application's shows as the missing right to connect there.
func (n *Node) Login(ctx context.Context) (Login, error) {
	var l Login
	err := n.work(ctx, n.opt.Database, func(c *pgx.Conn) error {
		var now time.Time
		sent := n.opt.Now()
		err := c.QueryRow(ctx, "SELECT clock_timestamp(), NOT pg_is_in_recovery(), coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '')").
			Scan(&now, &l.Primary, &l.TLS)
		if err != nil {
			return err
		}
		l.Within = n.opt.Now().Sub(sent) / 2
		l.Skew = now.Sub(sent.Add(l.Within))
		l.Rights, err = rightsIn(ctx, c, rightsSQL)
		return err
	})
	if err != nil {
		return Login{}, fmt.Errorf("log in at %s: %w", n.opt.Node.Name, err)
	}
	if n.opt.AppDatabase != "" {
		l.Rights = append(l.Rights, n.applicationRights(ctx)...)
	}
	return l, nil
}

func (n *Node) applicationRights(ctx context.Context) (rights []Right) {
	err := n.work(ctx, n.opt.AppDatabase, func(c *pgx.Conn) (err error) {
		rights, err = rightsIn(ctx, c, applicationRightsSQL, n.opt.Schemas)
		return err
	})
	if err != nil {
		return []Right{{What: fmt.Sprintf("CONNECT ON DATABASE %s (%s)", n.opt.AppDatabase, textOf(err))}}
	}
	return rights
}

func rightsIn(ctx context.Context, c *pgx.Conn, query string, args ...any) ([]Right, error) {
	rows, err := c.Query(ctx, query, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Right, err error) {
		return r, row.Scan(&r.What, &r.Held, &r.Optional)
	})
}

// Failure says in words for people why something at this node failed, and which
// kind of failure it is.
func (n *Node) Failure(err error) (reach, text string) {
	f := classify(err)
	return string(f.Reach), f.Text
}
