package sql_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions/local/sandbox"
	"twokey/secret"
	"twokey/sql"
)

type server struct {
	*sandbox.Pair
	params sql.Params
}

// newServer is a pair on which the scripts have run once, by the sandbox.
func newServer(t *testing.T) *server {
	t.Helper()
	p, err := sandbox.New(t.Context(), sandbox.Options{Memory: true, Settings: map[string]string{
		"log_statement": "all", "log_min_duration_statement": "0", "log_min_error_statement": "info", "log_error_verbosity": "verbose",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{Pair: p, params: sql.Params{Database: p.Database, ApplicationRole: sandbox.AppRole}}
}

func (s *server) connect(ctx context.Context, database string) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, s.Nodes[0].AdminURL(database))
}

func (s *server) install(t *testing.T) {
	t.Helper()
	if err := sql.Install(t.Context(), s.connect, s.params); err != nil {
		t.Fatal(err)
	}
}

func (s *server) conn(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func (s *server) admin(t *testing.T, database string, statements ...string) *pgx.Conn {
	t.Helper()
	c := s.conn(t, s.Nodes[0].AdminURL(database))
	for _, q := range statements {
		if _, err := c.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return c
}

func ask[T any](t *testing.T, c *pgx.Conn, query string) T {
	t.Helper()
	var v T
	if err := c.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// state is everything that the scripts are about, as text.
func (s *server) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(ask[string](t, s.admin(t, "postgres"), `SELECT jsonb_pretty(jsonb_build_object(
		'roles', (SELECT jsonb_agg(to_jsonb(r) - 'rolpassword' - 'oid' ORDER BY rolname) FROM pg_roles r WHERE rolname ~ '^(twokey_|app)'),
		'passwords', (SELECT jsonb_object_agg(rolname, left(rolpassword, 13)) FROM pg_authid WHERE rolname ~ '^(twokey_|app)'),
		'members', (SELECT jsonb_agg(m.rolname || ' of ' || g.rolname ORDER BY 1) FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
			JOIN pg_roles g ON g.oid = a.roleid WHERE m.rolname ~ '^(twokey_|app)'),
		'settings', (SELECT jsonb_agg(setconfig) FROM pg_db_role_setting),
		'parameters', (SELECT jsonb_agg(parname || paracl::text ORDER BY parname) FROM pg_parameter_acl),
		'databases', (SELECT jsonb_agg(datname || (SELECT string_agg(i::text, ' ' ORDER BY i::text) FROM unnest(datacl) i) ORDER BY datname) FROM pg_database WHERE datname IN ('twokey', 'orders'))))`))
	for _, db := range []string{"twokey", "orders"} {
		b.WriteString(ask[string](t, s.admin(t, db), `SELECT jsonb_pretty(jsonb_build_object(
			'schemas', (SELECT jsonb_agg(nspname || coalesce(nspacl::text, '') ORDER BY nspname) FROM pg_namespace WHERE nspname IN ('public', 'twokey')),
			'tables', (SELECT jsonb_agg(relname || coalesce(relacl::text, '') ORDER BY relname) FROM pg_class
				WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'twokey'))),
			'functions', (SELECT jsonb_agg(oid::regprocedure::text || proowner::regrole || md5(prosrc) || coalesce(proacl::text, '') || prosecdef ORDER BY oid::regprocedure::text)
				FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'twokey')),
			'granted', (SELECT jsonb_agg(oid::regprocedure::text || proacl::text ORDER BY oid::regprocedure::text) FROM pg_proc WHERE proacl::text ~ 'twokey'),
			'defaults', (SELECT jsonb_agg(defaclobjtype::text || defaclacl::text ORDER BY 1) FROM pg_default_acl)))`))
	}
	return b.String()
}

func TestInstallingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.state(t)
	s.install(t)
	s.install(t)
	if after := s.state(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	s.conn(t, s.Nodes[0].BotURL("twokey")) // passwords that aren't given stay
}

func TestInstallingRepairsWhatHasDrifted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.state(t)
	s.admin(t, "twokey",
		"ALTER ROLE twokey_bot SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS CONNECTION LIMIT 3",
		"ALTER ROLE twokey_bot SET synchronous_commit = off", "ALTER ROLE twokey_bot IN DATABASE twokey SET search_path = evil",
		"GRANT pg_read_all_data, pg_signal_backend TO twokey_bot WITH ADMIN OPTION", "GRANT twokey_bot TO twokey_replication",
		"REVOKE pg_checkpoint FROM twokey_bot", "REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo FROM twokey_bot",
		"GRANT CONNECT ON DATABASE twokey TO PUBLIC", "GRANT ALL ON SCHEMA twokey TO PUBLIC",
		"REVOKE EXECUTE ON FUNCTION pg_promote(boolean, integer) FROM twokey_bot",
		"CREATE OR REPLACE FUNCTION twokey.resume_replay() RETURNS void LANGUAGE sql AS 'SELECT'",
		"GRANT EXECUTE ON FUNCTION twokey.drop_slot(text) TO PUBLIC", "DROP FUNCTION twokey.timeline_history(integer)",
		"REVOKE INSERT ON twokey.probe FROM twokey_bot")
	s.admin(t, "orders", "REVOKE INSERT ON twokey.insert_test FROM twokey_bot", "REVOKE CONNECT ON DATABASE orders FROM twokey_bot")
	s.install(t)
	if after := s.state(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestBotMayDoNothingElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ database, statement string }{
		{"twokey", "ALTER SYSTEM SET fsync = off"},
		{"twokey", "ALTER SYSTEM SET primary_slot_name = 'x'"},
		{"twokey", "ALTER SYSTEM SET restore_command = 'x'"},
		{"twokey", "SELECT pg_create_physical_replication_slot('x')"},
		{"twokey", "SELECT pg_drop_replication_slot('twokey_dc2')"},
		{"twokey", "SELECT twokey.ensure_slot('x')"},
		{"twokey", "SELECT pg_read_file('postgresql.auto.conf')"},
		{"twokey", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'"},
		{"twokey", "CREATE TABLE twokey.x (id int)"},
		{"twokey", "CREATE TABLE public.x (id int)"},
		{"twokey", "DELETE FROM twokey.probe"},
		{"twokey", "CREATE ROLE x"},
		{"twokey", "CREATE DATABASE x"},
		{"twokey", "ALTER FUNCTION twokey.resume_replay() SET search_path = x"},
		{"orders", "DELETE FROM twokey.insert_test"},
		{"orders", "UPDATE twokey.insert_test SET by = ''"},
		{"orders", "CREATE TABLE public.x (id int)"},
		{"orders", "INSERT INTO public.rows VALUES (1)"},
		{"orders", "DELETE FROM public.rows"},
		{"orders", "TRUNCATE public.rows"},
	} {
		s.admin(t, "orders", "CREATE TABLE IF NOT EXISTS public.rows (id int)")
		bot := s.conn(t, s.Nodes[0].BotURL(c.database))
		_, err := bot.Exec(t.Context(), c.statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !slices.Contains([]string{"42501", "42602"}, refused.Code) {
			t.Errorf("%s in %s: %v", c.statement, c.database, err)
		}
	}
	for _, database := range []string{"postgres", "template1"} {
		if c, err := pgx.Connect(t.Context(), s.Nodes[0].BotURL(database)); err == nil {
			c.Close(t.Context())
			t.Errorf("it may connect to %s", database)
		}
	}
	bot := s.conn(t, s.Nodes[0].BotURL("orders"))
	ask[int](t, bot, "SELECT count(*) FROM public.rows") // a table made after the setup
}

func TestHelpersResistTheCallersSearchPathAndTemporaryObjects(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	bot := s.conn(t, s.Nodes[0].BotURL("orders")) // here it may make temporary objects
	if _, err := bot.Exec(t.Context(), "CREATE TEMP TABLE pg_replication_slots (slot_name text, slot_type text)"); err != nil {
		t.Fatal(err)
	}
	names := ask[[]string](t, s.admin(t, "twokey"), `SELECT array_agg(oid::regprocedure::text) FROM pg_proc
		WHERE pronamespace = 'twokey'::regnamespace AND prosecdef
		AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`)
	if len(names) > 0 {
		t.Errorf("these run as their owner with the caller's search path: %q", names)
	}
	bot = s.conn(t, s.Nodes[0].BotURL("twokey"))
	if _, err := bot.Exec(t.Context(), "CREATE TEMP TABLE x (id int)"); err == nil {
		t.Error("the bot may make temporary objects beside the helper functions")
	}
}

func TestNothingSecretReachesTheServersLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before, err := os.Stat(s.Nodes[0].Server.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	s.params.BotPassword = secret.New(planted)
	s.install(t)
	s.params.ApplicationRole = "postgres" // refused, within the script that holds the passwords
	if err := sql.Install(t.Context(), s.connect, s.params); err == nil || strings.Contains(err.Error(), "SCRAM") || strings.Contains(err.Error(), planted) {
		t.Errorf("%v", err)
	}
	log, err := os.ReadFile(s.Nodes[0].Server.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "statement:") {
		t.Error("the log shows nothing at all, so this test shows nothing")
	}
	for line := range strings.SplitSeq(string(log[before.Size():]), "\n") {
		if strings.Contains(line, planted) || strings.Contains(line, "SCRAM-SHA-256$4096:") {
			t.Errorf("the log holds %s", line)
		}
	}
	cfg, err := pgx.ParseConfig(s.Nodes[0].BotURL("twokey"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = planted
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the new password doesn't work: %v", err)
	}
	c.Close(t.Context())
}

func TestScriptsSayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ what, url, script, want string }{
		{"setup in another database", s.Nodes[0].AdminURL("orders"), sql.Setup(), "CREATE DATABASE twokey"},
		{"setup on a standby", s.Nodes[1].AdminURL("twokey"), sql.Setup(), "is a standby"},
		{"setup as a plain role", s.Nodes[0].BotURL("twokey"), sql.Setup(), "permission denied"},
		{"the application's in the bot's", s.Nodes[0].AdminURL("twokey"), sql.Application(), "in the application's database"},
		{"a schema that isn't there", s.Nodes[0].AdminURL("orders"), "SET twokey.schemas = 'nope';" + sql.Application(), "no schema nope"},
		{"a slot of somebody else", s.Nodes[0].AdminURL("twokey"), "SET twokey.slots = 'theirs';" + sql.Setup(), "not allowed"},
	} {
		_, err := s.conn(t, c.url).PgConn().Exec(t.Context(), c.script).ReadAll()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestVerifyRunsOnBothNodesAsTheBot(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, n := range s.Nodes {
		results, err := s.conn(t, n.BotURL("twokey")).PgConn().Exec(t.Context(), sql.Verify()).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", n.Name, err)
		}
		if len(results) != 8 || len(results[0].Rows) != 1 || len(results[1].Rows) < 10 {
			t.Errorf("%s: %d results", n.Name, len(results))
		}
	}
}

func TestSampleCanBeInstalledTwice(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for range 2 {
		if err := sql.InstallSample(t.Context(), s.connect, "shop"); err != nil {
			t.Fatal(err)
		}
	}
	c := s.admin(t, "shop")
	if n := ask[int](t, c, "SELECT (SELECT count(*) FROM users) * 100 + (SELECT count(*) FROM orders) * 10 + (SELECT count(*) FROM notes)"); n != 232 {
		t.Errorf("users, orders, notes: %d", n)
	}
}

// TestPartnerStateIsForTheNodes: a node that starts asks its partner with its own
// login, which may do nothing else here.
func TestPartnerStateIsForTheNodes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	say := func(n *sandbox.Node) (state string) {
		cfg, err := pgx.ParseConfig(n.BotURL("twokey"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.User, cfg.Password = sql.ReplicationRole, s.ReplicationPassword.Reveal()
		c, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		for _, refused := range []string{"SELECT twokey.resume_replay()", "SELECT * FROM twokey.probe", "SELECT pg_promote()", "SELECT twokey.timeline_history(1)"} {
			if _, err := c.Exec(t.Context(), refused); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s: %v", refused, err)
			}
		}
		const text = `SELECT format('recovery %s, timeline %s, frozen %s, of this system %s, receives %s', in_recovery, timeline, frozen,
			system = (SELECT system_identifier::text FROM pg_control_system()), receives_from <> '') FROM twokey.partner_state()`
		return ask[string](t, c, text)
	}
	if got := say(s.Nodes[0]); got != "recovery f, timeline 1, frozen f, of this system t, receives f" {
		t.Errorf("the primary says: %s", got)
	}
	if got := say(s.Nodes[1]); got != "recovery t, timeline 1, frozen f, of this system t, receives t" {
		t.Errorf("the standby says: %s", got)
	}
	b := s.conn(t, s.Nodes[1].AdminURL("twokey"))
	for _, q := range []string{"ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"} {
		if _, err := b.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for got := ""; got != "recovery t, timeline 1, frozen t, of this system t, receives f"; got = say(s.Nodes[1]) {
		if time.Now().After(deadline) {
			t.Fatalf("the frozen standby says: %s", got)
		}
	}
	bot := s.conn(t, s.Nodes[1].BotURL("twokey"))
	if _, err := bot.Exec(t.Context(), "SELECT twokey.partner_state()"); err == nil {
		t.Error("the bot may ask it, too: it has pg_monitor for that")
	}
}
