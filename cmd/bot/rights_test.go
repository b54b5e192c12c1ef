package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"twokey/actions"
	"twokey/actions/local"
	"twokey/actions/local/sandbox"
	"twokey/actions/postgres"
	"twokey/approvals"
	"twokey/sql"
)

// right is one thing that the scripts in sql/ let a role do, and what needs it.
type right struct {
	role, what string // as the catalogs have it: REVOKE what FROM role
	breaks     string // the step, check or recipe that can't do without
	how        string // for people: what it is for
	call       func(*rightsWorld, context.Context) error
	once       bool // the call can't be repeated: the flows before have shown that it works
}

// byRewind is what can only be tried while there is something to rewind.
const byRewind = "rejoin, by pg_rewind"

// neededRights is every right of both roles. A right that isn't in here fails
// the test: it is needed by nobody, or nobody has said by whom.
func neededRights() []right {
	const bot, replication = sql.BotRole, sql.ReplicationRole
	function := func(f string) string { return "EXECUTE ON FUNCTION " + f }
	return []right{
		{bot, "LOGIN", "every step", "its session", (*rightsWorld).checkpoint, false},
		{bot, "CONNECT ON DATABASE twokey", "every step", "its session", (*rightsWorld).checkpoint, false},
		{bot, "pg_monitor", "every check", "the look at a node", (*rightsWorld).observe, false},
		{bot, "pg_checkpoint", string(actions.OpCheckpoint), "a short shutdown checkpoint", (*rightsWorld).checkpoint, false},
		{bot, "ALTER SYSTEM ON PARAMETER primary_conninfo", string(actions.OpFreeze), "stopping the standby's receiver", (*rightsWorld).freeze, false},
		{bot, "ALTER SYSTEM ON PARAMETER synchronous_standby_names", string(actions.OpPrepare), "whom the new primary waits for", (*rightsWorld).names, false},
		{bot, "ALTER SYSTEM ON PARAMETER synchronized_standby_slots", string(actions.OpPrepare), "whom logical subscribers wait for", (*rightsWorld).syncedSlots, false},
		{bot, function("pg_reload_conf()"), string(actions.OpPrepare), "that a changed setting counts", (*rightsWorld).names, false},
		{bot, function("pg_promote(boolean,integer)"), string(actions.OpPromote), "the promotion", (*rightsWorld).promote, true},
		{bot, "USAGE ON SCHEMA twokey", string(actions.OpPrepare), "the helper functions and the probe's table", (*rightsWorld).ensureSlot, false},
		{bot, "SELECT ON TABLE twokey.probe", string(actions.OpProbe), "the count in the probe's row", (*rightsWorld).probe, false},
		{bot, "INSERT ON TABLE twokey.probe", string(actions.OpProbe), "the first probe", (*rightsWorld).probe, false},
		{bot, "UPDATE ON TABLE twokey.probe", string(actions.OpProbe), "every later probe", (*rightsWorld).probe, false},
		{bot, function("twokey.ensure_slot(text)"), string(actions.OpPrepare), "the slot for the old primary", (*rightsWorld).ensureSlot, false},
		{bot, function("twokey.drop_slot(text)"), string(actions.OpTidy), "the slot that nobody uses any more", (*rightsWorld).dropSlot, false},
		{bot, function("twokey.resume_replay()"), string(actions.OpFreeze), "a standby whose replay is paused", (*rightsWorld).freezePaused, false},
		{bot, function("twokey.end_standby_sessions()"), string(actions.OpFreeze), "a standby whose replay waits for a session", (*rightsWorld).freezeHeldUp, false},
		{bot, function("twokey.timeline_history(integer)"), string(actions.OpConfirm), "where the new timeline forked", (*rightsWorld).forks, false},
		{bot, function("twokey.guard_report()"), string(actions.OpRejoin), "what a node's guard has done for the bot's order, in Kubernetes", (*rightsWorld).guardReport, false},
		{bot, function("twokey.pg_get_wal_records_info(pg_lsn,pg_lsn)"), string(actions.OpGate), "the last record, seen without a restartpoint in the pause", (*rightsWorld).lastRecord, false},
		{replication, "LOGIN", "rejoin.login", "streaming", (*rightsWorld).logIn, false},
		{replication, "REPLICATION", "rejoin.login", "streaming", (*rightsWorld).logIn, false},
		{replication, "CONNECT ON DATABASE twokey", "rejoin.login", "pg_rewind and the guard", (*rightsWorld).logIn, false},
		{replication, "USAGE ON SCHEMA twokey", "guard", "the question to the partner", (*rightsWorld).askPartner, false},
		{replication, function("twokey.partner_state()"), "guard", "the question to the partner", (*rightsWorld).askPartner, false},
		{replication, function("pg_ls_dir(text,boolean,boolean)"), byRewind, "the source's files", (*rightsWorld).rewind, false},
		{replication, function("pg_stat_file(text,boolean)"), byRewind, "the source's files", (*rightsWorld).rewind, false},
		{replication, function("pg_read_binary_file(text)"), byRewind, "the source's control file and history", (*rightsWorld).rewind, false},
		{replication, function("pg_read_binary_file(text,bigint,bigint,boolean)"), byRewind, "the blocks that differ", (*rightsWorld).rewind, false},
	}
}

// neededInApplication is the same for application-setup.sql. Everybody may
// connect to a database, and look into schema public, by default; where that was
// taken away the grant counts.
func neededInApplication() []right {
	return []right{
		{sql.BotRole, "CONNECT ON DATABASE orders", "insert-test", "its session", (*rightsWorld).insertTest, false},
		{sql.BotRole, "USAGE ON SCHEMA twokey", "insert-test", "the test rows' table", (*rightsWorld).insertTest, false},
		{sql.BotRole, "INSERT ON TABLE twokey.insert_test", "insert-test", "a test row", (*rightsWorld).insertTest, false},
		{sql.BotRole, "SELECT ON TABLE twokey.insert_test", "insert-test", "the row's number and time", (*rightsWorld).insertTest, false},
		{sql.BotRole, "USAGE ON SCHEMA public", "verify-data", "the application's tables", (*rightsWorld).verifyData, false},
		{sql.BotRole, "SELECT ON TABLE notes", "verify-data", "a table that is there", (*rightsWorld).verifyData, false},
		{sql.BotRole, "SELECT ON TABLE orders", "verify-data", "a table that is there", (*rightsWorld).verifyData, false},
		{sql.BotRole, "SELECT ON TABLE users", "verify-data", "a table that is there", (*rightsWorld).verifyData, false},
		{sql.BotRole, "SELECT ON FUTURE TABLES", "verify-data", "a table that is made later", (*rightsWorld).verifyNewTable, false},
	}
}

var rightsTable = regexp.MustCompile(`(?s)(<!-- rights:begin -->\n).*?(<!-- rights:end -->)`)

// TestRightsTable holds the docs to the table above.
func TestRightsTable(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "rights.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| role | right | without it, what fails | what it is for |\n|---|---|---|---|\n")
	for _, n := range slices.Concat(neededRights(), neededInApplication()) {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", n.role, strings.Replace(n.what, "FUTURE TABLES", "TABLES, by default", 1), n.breaks, n.how)
	}
	want := rightsTable.ReplaceAllString(string(raw), "${1}"+b.String()+"${2}")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want != string(raw) && !*update {
		t.Errorf("the table in %s is stale; run: go test ./cmd/bot -run TestRightsTable -update", path)
	}
}

// rightsWorld is a world in which rights are taken away and given back.
type rightsWorld struct {
	*world
	primary, standby *sandbox.Node
	scratch          local.Server // a diverged server that was shut down, for pg_rewind
	tables           int          // that were made on the way
	kept             map[string]*pgx.Conn
	stop             atomic.Pointer[stop] // where the next execution waits
}

// stop is a step before which an execution waits for the test.
type stop struct {
	op            actions.Op
	reached, goOn chan struct{}
}

// TestEveryRightIsNeeded walks a whole switchover and a whole failover with
// rejoin as the two roles that sql/ makes, neither of them a superuser; then it
// takes away every right that the catalogs say they have, one by one, and sees
// what each is for refused by the server.
func TestEveryRightIsNeeded(t *testing.T) {
	t.Parallel()
	r := &rightsWorld{kept: map[string]*pgx.Conn{}}
	needed := neededRights()
	r.world = newWorld(t, func(d *demo) {
		d.settings = "    after_switchover: degrade\n" // so that names are set, too
		d.sandbox.Settings = map[string]string{"max_standby_streaming_delay": "-1"}
		d.at = func(_ context.Context, at actions.Point) error {
			if s := r.stop.Load(); s != nil && at.Op == s.op && !at.After && r.stop.CompareAndSwap(s, nil) {
				close(s.reached)
				<-s.goOn
			}
			return nil
		}
	})
	r.plain()
	seen := r.wholeSwitchover()
	r.aborted()
	seen = append(seen, r.wholeFailover(needed)...)
	r.stepsExist(needed, seen)
	for database, rights := range map[string][]right{"twokey": needed, r.pair.Database: neededInApplication()} {
		r.complete(database, rights)
		for _, n := range rights {
			if n.breaks != byRewind { // done, where there was something to rewind
				r.try(database, n)
			}
		}
	}
	r.noLoss()
}

// plain says that neither role can do what it wants to.
func (r *rightsWorld) plain() {
	r.t.Helper()
	var powerful int
	err := r.admin("dc1").QueryRow(r.ctx(), `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'twokey\_%'
		AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls)`).Scan(&powerful)
	if err != nil || powerful > 0 {
		r.t.Fatalf("%d of the roles can do everything (%v)", powerful, err)
	}
}

func (r *rightsWorld) approved(text string) {
	r.t.Helper()
	ts := r.ask(text)
	r.press(dba1, ts, "approve")
	r.press(dba2, ts, "approve")
}

func (r *rightsWorld) wholeSwitchover() []actions.Op {
	r.t.Helper()
	r.health(actions.HealthOK)
	r.must(r.load.Until(r.ctx(), 50))
	r.approved("switchover")
	return r.succeeded()
}

func (r *rightsWorld) succeeded() (seen []actions.Op) {
	r.t.Helper()
	req, out := r.ended()
	if req.State != approvals.Succeeded || len(out.Todo) > 0 {
		r.t.Fatalf("ended %s, left to do %v: %s", req.State, out.Todo, req.Why)
	}
	entries, err := r.service.desk.Journal(r.ctx(), req.ID)
	r.must(err)
	for _, e := range entries {
		if e.Phase == actions.Done {
			seen = append(seen, e.Op)
		}
	}
	r.primary, r.standby = r.pair.Node(out.NewPrimary), r.pair.Node(r.pair.Actions().Partner(out.NewPrimary).Name)
	r.health(actions.HealthOK)
	return seen
}

// before runs do while the execution that ask begins waits before the step.
func (r *rightsWorld) before(op actions.Op, ask, do func()) {
	r.t.Helper()
	s := &stop{op, make(chan struct{}), make(chan struct{})}
	r.stop.Store(s)
	defer close(s.goOn)
	ask()
	select {
	case <-s.reached:
		do()
	case <-r.ctx().Done():
		r.t.Errorf("step %s was never begun", op)
	}
}

// aborted: a right that goes away once all checks have passed ends the request
// in its step; nothing was stopped, and people read what failed and why.
func (r *rightsWorld) aborted() {
	r.t.Helper()
	lost := right{role: sql.BotRole, what: "EXECUTE ON FUNCTION twokey.ensure_slot(text)"}
	r.before(actions.OpPrepare, func() { r.approved("switchover") }, func() { r.revoke("twokey", lost) })
	req, out := r.ended()
	if req.State != approvals.Aborted || out.Serving != r.primary.Name || !strings.Contains(req.Why, "permission denied for function ensure_slot") {
		r.t.Errorf("ended %s, %s serves: %s", req.State, out.Serving, req.Why)
	}
	r.grant("twokey", lost)
	r.health(actions.HealthOK)
}

// wholeFailover loses a primary that has committed alone, so that there is
// something to rewind.
func (r *rightsWorld) wholeFailover(needed []right) []actions.Op {
	r.t.Helper()
	old, next := r.primary.Name, r.standby.Name
	r.exec(next, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	r.health(actions.HealthBlocked)
	r.commitAlone(old, 3)
	r.loses(old)
	r.primary, r.standby = r.standby, r.primary
	r.before(actions.OpRejoin, func() {
		r.approved("failover orders -- lost")
		held := r.request(in(approvals.Held))
		_, err := r.service.desk.Answer(r.ctx(), held.ID, approvals.Ballot{Person: "dba-1", Place: held.Place}, approvals.Accept, "orders")
		r.must(err)
	}, func() { r.tryRewinding(needed) })
	return r.succeeded()
}

// stepsExist: every step that the table names was walked.
func (r *rightsWorld) stepsExist(needed []right, seen []actions.Op) {
	r.t.Helper()
	for _, n := range needed {
		op, isStep := actions.Op(n.breaks), !strings.ContainsAny(n.breaks, " .") && n.breaks != "guard"
		if isStep && !slices.Contains(seen, op) {
			r.t.Errorf("%s is said to be for step %s, which was not walked: %q", n.what, op, seen)
		}
	}
}

// heldRights asks the catalogs what the roles may do in a database.
const heldRights = `
	WITH who AS (SELECT oid, rolname, rolcanlogin, rolreplication FROM pg_roles WHERE rolname IN ('twokey_bot', 'twokey_replication')),
	own AS (SELECT current_database() = 'twokey' AS shared)
	SELECT rolname, what FROM who JOIN (
		SELECT a.grantee, a.privilege_type || ' ON DATABASE ' || quote_ident(datname) AS what
			FROM pg_database CROSS JOIN aclexplode(datacl) a WHERE datname = current_database()
		UNION SELECT a.grantee, a.privilege_type || ' ON SCHEMA ' || quote_ident(nspname) FROM pg_namespace CROSS JOIN aclexplode(nspacl) a
		UNION SELECT a.grantee, a.privilege_type || ' ON TABLE ' || c.oid::regclass FROM pg_class c CROSS JOIN aclexplode(relacl) a
		UNION SELECT a.grantee, a.privilege_type || ' ON COLUMN ' || attrelid::regclass || '.' || attname FROM pg_attribute CROSS JOIN aclexplode(attacl) a
		UNION SELECT a.grantee, a.privilege_type || ' ON FUNCTION ' || p.oid::regprocedure FROM pg_proc p CROSS JOIN aclexplode(proacl) a
		UNION SELECT a.grantee, a.privilege_type || ' ON FUTURE TABLES' FROM pg_default_acl CROSS JOIN aclexplode(defaclacl) a WHERE defaclobjtype = 'r'
		UNION SELECT a.grantee, a.privilege_type || ' ON FUTURE ' || defaclobjtype::text FROM pg_default_acl CROSS JOIN aclexplode(defaclacl) a WHERE defaclobjtype <> 'r'
		UNION SELECT a.grantee, a.privilege_type || ' ON PARAMETER ' || parname FROM pg_parameter_acl CROSS JOIN aclexplode(paracl) a, own WHERE shared
		UNION SELECT m.member, m.roleid::regrole::text FROM pg_auth_members m, own WHERE shared
		UNION SELECT oid, 'LOGIN' FROM who, own WHERE shared AND rolcanlogin
		UNION SELECT oid, 'REPLICATION' FROM who, own WHERE shared AND rolreplication
	) held ON held.grantee = who.oid`

// complete: the catalogs and the table have the same rights.
func (r *rightsWorld) complete(database string, needed []right) {
	r.t.Helper()
	rows, err := r.as(database).Query(r.ctx(), heldRights)
	r.must(err)
	held := map[string]bool{}
	var role, what string
	_, err = pgx.ForEachRow(rows, []any{&role, &what}, func() error { held[role+": "+what] = true; return nil })
	r.must(err)
	for _, n := range needed {
		key := n.role + ": " + n.what
		if !held[key] && !r.tooOldFor(n) {
			r.t.Errorf("in %s nobody has %s", database, key)
		}
		delete(held, key)
	}
	for _, extra := range slices.Sorted(maps.Keys(held)) {
		r.t.Errorf("in %s %s: needed by what?", database, extra)
	}
}

// tooOldFor: the setting came with 17.
func (r *rightsWorld) tooOldFor(n right) bool {
	return strings.Contains(n.what, "synchronized_standby_slots") && r.pair.Nodes[0].Server.Programs.Major < 17
}

// try takes the right away, sees what needs it refused, and gives it back.
func (r *rightsWorld) try(database string, n right) {
	r.t.Helper()
	if r.tooOldFor(n) {
		return
	}
	r.revoke(database, n)
	err := n.call(r, r.ctx())
	if !denied(err) {
		r.t.Errorf("%s without %s: %v", n.breaks, n.what, err)
	}
	r.named(n)
	r.grant(database, n)
	if n.once {
		return
	}
	if err := n.call(r, r.ctx()); err != nil {
		r.t.Errorf("%s with %s again: %v", n.breaks, n.what, err)
	}
}

// named: the checks refuse a plan while the bot lacks the right, with its name.
// What no check names has a slower way, is seen at the login, is asked for by a
// recipe alone, or is needed where servers are pods: bot doctor names it.
func (r *rightsWorld) named(n right) {
	r.t.Helper()
	unnamed := strings.Contains(n.what, "pg_get_wal_records_info") || strings.Contains(n.what, "guard_report") || n.role != sql.BotRole || slices.Contains([]string{"every step", "every check", "insert-test", "verify-data"}, n.breaks)
	if unnamed {
		return
	}
	rep, err := r.service.desk.Status(r.ctx(), r.pair.Name)
	r.must(err)
	for _, c := range rep.Verdict.Checks {
		if c.ID == "primary.rights" && (c.Status != actions.Bad || !strings.Contains(c.Detail, lastWord(n.what))) && !strings.HasPrefix(n.what, "USAGE") {
			r.t.Errorf("without %s the check says %s: %s", n.what, c.Status, c.Detail)
		}
	}
}

var lastName = regexp.MustCompile(`[a-z_.]+(?:\(|$)`)

// lastWord is the object's name without its arguments.
func lastWord(what string) string { return strings.TrimSuffix(lastName.FindString(what), "(") }

// denied is the server's refusal, and nothing else.
func denied(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "42501" || pg.Code == "28000"
	}
	_, ours := errors.AsType[refusedText](err)
	return ours
}

// refusedText is a refusal of which only the server's words are left.
type refusedText string

func (e refusedText) Error() string { return string(e) }

func asRefusal(text string) error {
	for _, words := range []string{"42501", "permission denied", "is not permitted to log in"} {
		if strings.Contains(text, words) {
			return refusedText(text)
		}
	}
	if text == "" {
		return nil
	}
	return errors.New(text)
}

func (r *rightsWorld) revoke(database string, n right) { r.t.Helper(); r.alter(database, n, false) }
func (r *rightsWorld) grant(database string, n right)  { r.t.Helper(); r.alter(database, n, true) }

// alter runs on the primary, and returns once the standby has it as well.
func (r *rightsWorld) alter(database string, n right, give bool) {
	r.t.Helper()
	text := map[bool]string{true: "GRANT " + n.what + " TO " + n.role, false: "REVOKE " + n.what + " FROM " + n.role}[give]
	switch what := strings.TrimPrefix(n.what, "SELECT ON "); {
	case n.what == "LOGIN", n.what == "REPLICATION":
		text = "ALTER ROLE " + n.role + map[bool]string{true: " ", false: " NO"}[give] + n.what
	case what == "FUTURE TABLES":
		text = "ALTER DEFAULT PRIVILEGES IN SCHEMA public " + strings.Replace(text, "FUTURE ", "", 1)
	case (strings.HasPrefix(n.what, "CONNECT") || n.what == "USAGE ON SCHEMA public") && !give:
		text += ", PUBLIC"
	}
	c := r.as(database)
	_, err := c.Exec(r.ctx(), text)
	r.must(err)
	r.replayed(c)
}

// as is a superuser's connection to the primary, kept for the next use.
func (r *rightsWorld) as(database string) *pgx.Conn {
	r.t.Helper()
	return r.superuser(r.primary.AdminURL(database))
}

func (r *rightsWorld) superuser(url string) *pgx.Conn {
	r.t.Helper()
	if c := r.kept[url]; c != nil && c.Ping(r.ctx()) == nil {
		return c
	}
	c, err := pgx.Connect(r.ctx(), url)
	r.must(err)
	r.t.Cleanup(func() { _ = c.Close(context.Background()) })
	r.kept[url] = c
	return c
}

// once is one that its caller closes.
func (r *rightsWorld) once(database string) *pgx.Conn {
	r.t.Helper()
	c, err := pgx.Connect(r.ctx(), r.primary.AdminURL(database))
	r.must(err)
	return c
}

// onStandby runs statements there, one by one.
func (r *rightsWorld) onStandby(statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		_, err := r.superuser(r.standby.AdminURL("postgres")).Exec(r.ctx(), s)
		r.must(err)
	}
}

// replayed waits for the standby, if there is one that streams.
func (r *rightsWorld) replayed(primary *pgx.Conn) {
	r.t.Helper()
	ctx := r.ctx()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var target string
	r.must(primary.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&target))
	for {
		var done bool
		r.must(primary.QueryRow(ctx, "SELECT coalesce(bool_and(replay_lsn >= $1::text::pg_lsn), true) FROM pg_stat_replication", target).Scan(&done))
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.must(context.Cause(ctx))
		}
	}
}

// fresh is the bot's own driver for a node, without kept sessions.
func (r *rightsWorld) fresh(n *sandbox.Node, do func(*postgres.Node) error) error {
	cfg, secrets, err := loadConfig(filepath.Join(r.pair.Dir, "twokey.yaml"))
	if err != nil {
		return err
	}
	for _, node := range cfg.Pairs[0].Nodes {
		if node.Name != n.Name {
			continue
		}
		db, err := databaseOf(cfg, cfg.Pairs[0], node, secrets, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		return do(db)
	}
	return fmt.Errorf("no node %s", n.Name)
}

func (r *rightsWorld) checkpoint(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.Checkpoint(ctx) })
}

func (r *rightsWorld) observe(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error {
		if o := n.Observe(ctx); o.Failure != nil {
			return asRefusal(o.Failure.Text)
		}
		return nil
	})
}

func (r *rightsWorld) names(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.SetSyncNames(ctx, r.standby.Name) })
}

func (r *rightsWorld) syncedSlots(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.SetSyncedSlots(ctx, "") })
}

func (r *rightsWorld) ensureSlot(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.EnsureSlot(ctx, r.standby.Slot()) })
}

func (r *rightsWorld) dropSlot(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.DropSlot(ctx, "twokey_nobody") })
}

func (r *rightsWorld) probe(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error { return n.ProbeWrite(ctx) })
}

func (r *rightsWorld) forks(ctx context.Context) error {
	return r.fresh(r.primary, func(n *postgres.Node) error {
		_, err := n.Forks(ctx, n.Observe(ctx).Server.Timeline)
		return err
	})
}

func (r *rightsWorld) guardReport(ctx context.Context) error {
	return r.fresh(r.standby, func(n *postgres.Node) error {
		_, err := n.GuardReport(ctx)
		return err
	})
}

// lastRecord is refused nothing: without the right the bot takes the way that
// costs a restartpoint, and sees no record at all while the standby streams.
func (r *rightsWorld) lastRecord(ctx context.Context) error {
	return r.fresh(r.standby, func(n *postgres.Node) error {
		end, err := n.LastRecord(ctx)
		if err == nil && end.LSN == 0 {
			return refusedText("the last record was not seen")
		}
		return err
	})
}

// inLock does something in the session that holds the pair's lock on the standby.
func (r *rightsWorld) inLock(ctx context.Context, do func(actions.Session) error) error {
	return r.fresh(r.standby, func(n *postgres.Node) error {
		s, err := n.Lock(ctx, 42)
		if err != nil {
			return err
		}
		defer s.Close()
		return do(s)
	})
}

func (r *rightsWorld) promote(ctx context.Context) error {
	return r.inLock(ctx, func(s actions.Session) error { return s.Promote(ctx) })
}

// freeze leaves a standby that streams, whatever came of it.
func (r *rightsWorld) freeze(ctx context.Context) error {
	err := r.inLock(ctx, func(s actions.Session) error { return s.Freeze(ctx) })
	r.onStandby("ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()")
	r.health(actions.HealthOK)
	return err
}

func (r *rightsWorld) freezePaused(ctx context.Context) error {
	r.onStandby("SELECT pg_wal_replay_pause()")
	defer r.onStandby("SELECT pg_wal_replay_resume()")
	return r.freeze(ctx)
}

// freezeHeldUp freezes while a session on the standby reads a table whose
// removal the standby has to replay.
func (r *rightsWorld) freezeHeldUp(ctx context.Context) error {
	r.tables++
	name := fmt.Sprintf("held_up_%d", r.tables)
	primary := r.as(r.pair.Database)
	_, err := primary.Exec(ctx, "CREATE TABLE "+name+" ()")
	r.must(err)
	r.replayed(primary)
	reader, err := pgx.Connect(ctx, r.standby.AdminURL(r.pair.Database))
	r.must(err)
	defer func() { _ = reader.Close(context.Background()) }()
	_, err = reader.Exec(ctx, "BEGIN; SELECT FROM "+name)
	r.must(err)
	_, err = primary.Exec(ctx, "DROP TABLE "+name)
	r.must(err)
	r.must(r.heldUp(ctx))
	err = r.inLock(ctx, func(s actions.Session) error { return s.Freeze(ctx) })
	_ = reader.Close(ctx) // it may be ended already
	r.onStandby("ALTER SYSTEM RESET primary_conninfo", "SELECT pg_reload_conf()")
	r.health(actions.HealthOK)
	return err
}

func (r *rightsWorld) heldUp(ctx context.Context) error {
	return r.fresh(r.standby, func(n *postgres.Node) error {
		for {
			o := n.Observe(ctx)
			if o.Server == nil || o.Server.ReplayConflict {
				return ctx.Err()
			}
		}
	})
}

func (r *rightsWorld) logIn(ctx context.Context) error {
	return asRefusal(r.primary.Machine().Inside(ctx).Login)
}

// askPartner is what a guard learns about its partner before it starts a server.
func (r *rightsWorld) askPartner(ctx context.Context) error {
	g := local.Guard{Machine: *r.standby.Machine(), Node: r.standby.Name, Partner: r.primary.Name}
	d, err := g.Look(ctx)
	if err != nil || d.Kind == actions.StartAsIs {
		return err
	}
	return asRefusal(d.Why)
}

func (r *rightsWorld) insertTest(ctx context.Context) error {
	_, _, err := r.service.desk.InsertTest(ctx, r.pair.Name, "oncall")
	return err
}

func (r *rightsWorld) verifyData(ctx context.Context) error {
	c, err := r.service.desk.VerifyData(ctx, r.pair.Name)
	switch {
	case err != nil && strings.Contains(err.Error(), "the bot may not read"):
		return refusedText(err.Error())
	case err == nil && !c.Identical:
		return fmt.Errorf("the nodes differ: %+v", c.Tables)
	}
	return err
}

func (r *rightsWorld) verifyNewTable(ctx context.Context) error {
	c := r.as(r.pair.Database)
	r.tables++
	name := fmt.Sprintf("public.later_%d", r.tables)
	_, err := c.Exec(ctx, "CREATE TABLE "+name+" ()")
	r.must(err)
	r.replayed(c)
	err = r.verifyData(ctx)
	_, derr := c.Exec(ctx, "DROP TABLE "+name)
	r.must(derr)
	r.replayed(c)
	return err
}

// tryRewinding takes pg_rewind's rights away on the new primary, right before
// the old one is rewound, and runs it on a copy of that one.
func (r *rightsWorld) tryRewinding(needed []right) {
	r.t.Helper()
	old := r.standby.Server
	r.scratch = old
	r.scratch.DataDir = filepath.Join(filepath.Dir(old.DataDir), "scratch")
	r.must(local.CopyFolder(r.ctx(), old.DataDir, r.scratch.DataDir, old.User))
	defer func() { r.must(os.RemoveAll(r.scratch.DataDir)) }()
	// pg_rewind wants a target that was shut down, and lets it recover itself; in
	// a dry run it doesn't.
	r.must(r.scratch.Run(r.ctx(), "postgres", "--single", "-D", r.scratch.DataDir, "-c", "config_file="+old.ConfigFile, "template1"))
	for _, n := range needed {
		if n.breaks == byRewind {
			r.try("twokey", n)
		}
	}
}

func (r *rightsWorld) rewind(ctx context.Context) error {
	u := r.standby.Upstream
	source := fmt.Sprintf("host=%s port=%d user=%s dbname=%s passfile='%s' sslmode=disable", u.Host, u.Port, u.User, u.Database, u.Passfile)
	err := r.scratch.Run(ctx, "pg_rewind", "--dry-run", "--target-pgdata="+r.scratch.DataDir, "--source-server="+source)
	if err != nil {
		return asRefusal(err.Error())
	}
	return nil
}
