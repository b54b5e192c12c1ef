package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"twokey/actions"
	"twokey/sql"
)

// Fingerprint counts and sums up the rows of every table of the application's
// schemas and the bot's test rows, in one snapshot. The sum adds up two 64-bit
// hashes of each row's text, so it needs no order and no memory and goes
// through tables of any size; it finds what differs by accident, not what
// somebody forged. Unlogged tables, which a standby can't read, are left out.
// It fails, naming them, when there are tables that the bot may not read or
// whose rows are hidden from it: a comparison with holes would look like one
// without.
func (n *Node) Fingerprint(ctx context.Context) (actions.Fingerprint, error) {
	var f actions.Fingerprint
	if n.opt.AppDatabase == "" {
		return f, errNoAppDatabase
	}
	err := n.work(ctx, n.opt.AppDatabase, func(c *pgx.Conn) error {
		tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }() // it only reads
		f, err = n.fingerprint(ctx, tx)
		return err
	})
	if err != nil {
		return actions.Fingerprint{}, fmt.Errorf("compare the data of %s: %w", n.opt.Node.Name, err)
	}
	return f, nil
}

// sameText makes the text of a row depend on the row alone.
const sameText = `SET LOCAL row_security = off; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex';
SET LOCAL IntervalStyle = 'postgres'; SET LOCAL xmlbinary = 'base64'; SET LOCAL lc_monetary = 'C'`

func (n *Node) fingerprint(ctx context.Context, tx pgx.Tx) (actions.Fingerprint, error) {
	if _, err := tx.Conn().PgConn().Exec(ctx, sameText).ReadAll(); err != nil {
		return actions.Fingerprint{}, err
	}
	tables, err := n.tables(ctx, tx)
	if err != nil {
		return actions.Fingerprint{}, err
	}
	var f actions.Fingerprint
	for _, t := range tables {
		sum := actions.TableSum{Table: t.schema + "." + t.name}
		err := tx.QueryRow(ctx, `SELECT count(*), to_hex(count(*)) || ':' || coalesce(sum(hashtextextended(ROW(r.*)::text, 1)), 0) || ':' ||
			coalesce(sum(hashtextextended(ROW(r.*)::text, 2)), 0) FROM ONLY `+t.quoted()+` r`).Scan(&sum.Rows, &sum.Sum)
		if err != nil {
			return actions.Fingerprint{}, fmt.Errorf("table %s: %w", sum.Table, err)
		}
		f.Tables = append(f.Tables, sum)
	}
	return f, nil
}

type table struct {
	schema, name string
	readable     bool
}

func (t table) quoted() string { return sql.Identifier(t.schema) + "." + sql.Identifier(t.name) }

func (n *Node) tables(ctx context.Context, tx pgx.Tx) ([]table, error) {
	rows, err := tx.Query(ctx, `
		SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relispopulated
			AND (n.nspname = ANY ($1) OR n.nspname = 'twokey' AND c.relname = 'insert_test')
		ORDER BY n.nspname, c.relname`, n.opt.Schemas)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.schema, &t.name, &t.readable)
	})
	if err != nil {
		return nil, err
	}
	var hidden []string
	for _, t := range all {
		if !t.readable {
			hidden = append(hidden, t.schema+"."+t.name)
		}
	}
	if len(hidden) > 0 {
		return nil, fmt.Errorf("the bot may not read %s: run application-setup.sql again, as superuser", strings.Join(hidden, ", "))
	}
	return all, nil
}
