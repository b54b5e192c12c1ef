-- The roles, rights and helper functions that twokey needs on a pair.
--
-- Run it as a superuser on the primary, connected to the bot's own database
-- (CREATE DATABASE twokey; once, before), as often as you like: it creates what
-- is missing and puts right what has drifted. Everything in it but the slots
-- reaches the standby by replication. Then run application-setup.sql in each
-- database that the bot shall compare.
--
-- Parameters are settings of the session, all optional:
--   SET twokey.bot_password = '…';          a SCRAM verifier, or the password itself
--   SET twokey.replication_password = '…';  the same
--   SET twokey.slots = 'twokey_dc1,twokey_dc2';  physical slots to have on this server
-- A role without a password can't log in by password; one that has a password
-- keeps it when the parameter is not given. Prefer verifiers: then no password
-- ever reaches the server or its log (the bot's own tools always make one).
--
-- By hand, on the primary:
--   psql -d postgres -c 'CREATE DATABASE twokey'
--   (echo "SET twokey.bot_password = '…';"; cat postgres-setup.sql) | psql -d twokey -v ON_ERROR_STOP=1
--
-- Nothing here is psql's own: no meta commands, no COPY, no CREATE DATABASE, so
-- any client can send the file as one simple query, which makes it one
-- transaction.

SET client_min_messages = warning;
-- What follows must not be written to the server's log with its constants.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET log_error_verbosity = 'terse';
SET password_encryption = 'scram-sha-256';
-- A pair that is already synchronous, but whose standby is away, must not make
-- this hang: the rows are the standby's as soon as it is back.
SET synchronous_commit = 'local';

DO $do$
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'this server is a standby: run this on the primary';
  END IF;
  IF current_database() <> 'twokey' THEN
    RAISE EXCEPTION 'connected to database %: run CREATE DATABASE twokey once, and this connected to it', current_database();
  END IF;
  IF current_setting('server_version_num')::int < 150000 THEN
    RAISE EXCEPTION 'PostgreSQL % is too old: twokey needs 15 or newer', current_setting('server_version');
  END IF;
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'role % is no superuser: the helper functions must belong to one', current_user;
  END IF;
END
$do$;

-- Roles ---------------------------------------------------------------------

DO $do$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT * FROM (VALUES
    ('twokey_bot', 'NOREPLICATION', current_setting('twokey.bot_password', true)),
    ('twokey_replication', 'REPLICATION', current_setting('twokey.replication_password', true))
  ) AS v (name, replication, password)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.name) THEN
      EXECUTE format('CREATE ROLE %I', r.name);
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS %s CONNECTION LIMIT -1 VALID UNTIL ''infinity''',
      r.name, r.replication);
    IF r.password <> '' THEN
      EXECUTE format('ALTER ROLE %I PASSWORD %L', r.name, r.password);
    END IF;
    IF EXISTS (SELECT FROM pg_authid WHERE rolname = r.name AND rolpassword NOT LIKE 'SCRAM-SHA-256$%') THEN
      RAISE EXCEPTION 'the password of role % is not stored as SCRAM-SHA-256: give it anew', r.name;
    END IF;
  END LOOP;
END
$do$;

-- What somebody added is taken away: settings, for they would change what the
-- bot sees, and memberships, for the roles hold what stands here and no more.
DO $do$
DECLARE
  r record;
  granted_by text := '';
BEGIN
  FOR r IN
    SELECT m.rolname AS member, d.datname AS db
    FROM pg_db_role_setting s JOIN pg_roles m ON m.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE m.rolname IN ('twokey_bot', 'twokey_replication')
  LOOP
    EXECUTE format('ALTER ROLE %I %s RESET ALL', r.member, CASE WHEN r.db IS NULL THEN '' ELSE format('IN DATABASE %I', r.db) END);
  END LOOP;
  FOR r IN
    SELECT g.rolname AS granted, m.rolname AS member, b.rolname AS grantor
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      LEFT JOIN pg_roles b ON b.oid = a.grantor
    WHERE m.rolname IN ('twokey_bot', 'twokey_replication')
      AND NOT (m.rolname = 'twokey_bot' AND g.rolname IN ('pg_monitor', 'pg_checkpoint'))
  LOOP
    -- From 16 on a grant is revoked only in the name of who made it.
    IF current_setting('server_version_num')::int >= 160000 THEN
      granted_by := format('GRANTED BY %I', r.grantor);
    END IF;
    EXECUTE format('REVOKE %I FROM %I %s CASCADE', r.granted, r.member, granted_by);
  END LOOP;
END
$do$;

GRANT pg_monitor, pg_checkpoint TO twokey_bot;
GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, synchronous_standby_names TO twokey_bot;
DO $do$
BEGIN
  IF current_setting('server_version_num')::int >= 170000 THEN -- logical subscribers wait for the slot that it names
    GRANT ALTER SYSTEM ON PARAMETER synchronized_standby_slots TO twokey_bot;
  END IF;
END
$do$;

-- The bot's database: its lock lives here, so nobody else may come in. The
-- replication role may, for pg_rewind reads its source through it.
REVOKE ALL ON DATABASE twokey FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE twokey TO twokey_bot, twokey_replication;

GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_reload_conf() TO twokey_bot;
GRANT EXECUTE ON FUNCTION
  pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
  pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean)
  TO twokey_replication;

-- Schema --------------------------------------------------------------------

CREATE SCHEMA IF NOT EXISTS twokey;
DO $do$ BEGIN EXECUTE format('ALTER SCHEMA twokey OWNER TO %I', current_user); END $do$;
REVOKE ALL ON SCHEMA twokey FROM PUBLIC;
GRANT USAGE ON SCHEMA twokey TO twokey_bot, twokey_replication;

-- One row, written over and over: that a new primary commits.
CREATE TABLE IF NOT EXISTS twokey.probe (
  id boolean PRIMARY KEY DEFAULT true CHECK (id),
  at timestamptz NOT NULL,
  writes bigint NOT NULL
);
REVOKE ALL ON twokey.probe FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON twokey.probe TO twokey_bot;

-- Functions -----------------------------------------------------------------
-- What a plain role can't do, each as narrow as it can be made. They run with
-- the rights of the superuser who owns them, so each fixes its search path and
-- names every object with its schema, and only the bot may call them. They
-- write no table, so they work on a standby as well.

-- Is the name one that the bot may make and drop?
CREATE OR REPLACE FUNCTION twokey.require_slot_name(slot text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN
  IF slot IS NULL OR slot !~ '^twokey_[a-z0-9_]{1,56}$' THEN
    RAISE EXCEPTION 'slot name % is not allowed: it must begin with twokey_ and hold only a to z, 0 to 9 and _', quote_nullable(slot)
      USING ERRCODE = 'invalid_name';
  END IF;
END
$fn$;

-- Makes the physical slot unless it is there. One that keeps no WAL (never
-- reserved, or lost) is made anew.
CREATE OR REPLACE FUNCTION twokey.ensure_slot(slot text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  s record;
BEGIN
  PERFORM twokey.require_slot_name(slot);
  SELECT r.slot_type, r.active, r.restart_lsn IS NOT NULL AND r.wal_status IS DISTINCT FROM 'lost' AS keeps
    INTO s FROM pg_catalog.pg_replication_slots r WHERE r.slot_name = slot;
  IF FOUND AND s.slot_type <> 'physical' THEN
    RAISE EXCEPTION 'slot % exists and is %, not physical', slot, s.slot_type USING ERRCODE = 'wrong_object_type';
  END IF;
  IF FOUND AND (s.keeps OR s.active) THEN
    RETURN;
  END IF;
  IF FOUND THEN
    PERFORM pg_catalog.pg_drop_replication_slot(slot);
  END IF;
  PERFORM pg_catalog.pg_create_physical_replication_slot(slot, true, false);
EXCEPTION WHEN duplicate_object THEN
  RETURN; -- somebody made it this moment
END
$fn$;

-- Drops the physical slot if it is there; one in use is an error.
CREATE OR REPLACE FUNCTION twokey.drop_slot(slot text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  kind text;
BEGIN
  PERFORM twokey.require_slot_name(slot);
  SELECT r.slot_type INTO kind FROM pg_catalog.pg_replication_slots r WHERE r.slot_name = slot;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF kind <> 'physical' THEN
    RAISE EXCEPTION 'slot % is %, not physical', slot, kind USING ERRCODE = 'wrong_object_type';
  END IF;
  PERFORM pg_catalog.pg_drop_replication_slot(slot);
EXCEPTION WHEN undefined_object THEN
  RETURN; -- somebody dropped it this moment
END
$fn$;

-- Lets a paused replay go on; nothing to do on a primary.
CREATE OR REPLACE FUNCTION twokey.resume_replay() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN
  IF pg_catalog.pg_is_in_recovery() THEN
    PERFORM pg_catalog.pg_wal_replay_resume();
  END IF;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  RETURN; -- promoted this moment
END
$fn$;

-- Ends the sessions of a standby that can hold up its replay: those in a
-- transaction, the bot's own left out. Gives how many it ended. pg_signal_backend
-- wouldn't do: it doesn't reach the sessions of superusers.
CREATE OR REPLACE FUNCTION twokey.end_standby_sessions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
  holder integer;
  ended integer := 0;
BEGIN
  IF NOT pg_catalog.pg_is_in_recovery() THEN
    RETURN 0;
  END IF;
  -- A loop, for in a WHERE clause the planner may end sessions before it looks
  -- at whose they are.
  FOR holder IN
    SELECT a.pid FROM pg_catalog.pg_stat_activity a
    WHERE a.backend_type = 'client backend'
      AND a.pid <> pg_catalog.pg_backend_pid()
      AND a.usename IS DISTINCT FROM session_user
      AND (a.xact_start IS NOT NULL OR a.backend_xmin IS NOT NULL OR a.state LIKE 'idle in transaction%')
  LOOP
    IF pg_catalog.pg_terminate_backend(holder) THEN
      ended := ended + 1;
    END IF;
  END LOOP;
  RETURN ended;
END
$fn$;

-- The history file of a timeline as it stands in pg_wal, NULL without one.
CREATE OR REPLACE FUNCTION twokey.timeline_history(timeline integer) RETURNS text
LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
  SELECT pg_catalog.pg_read_file('pg_wal/' || pg_catalog.upper(pg_catalog.lpad(pg_catalog.to_hex(timeline), 8, '0')) || '.history',
    0, 1048576, true)
$fn$;

-- What this node's guard has left beside the data folder about its last start,
-- NULL without a guard: JSON.
CREATE OR REPLACE FUNCTION twokey.guard_report() RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
  SELECT pg_catalog.pg_read_file(pg_catalog.current_setting('data_directory') || '.report', 0, 1048576, true)
$fn$;

-- What a node asks its partner before it starts: what that one is, on which
-- timeline, and whether a failover has stopped its receiver. primary_conninfo,
-- which is empty then, is for superusers and monitoring roles alone.
CREATE OR REPLACE FUNCTION twokey.partner_state(
  OUT in_recovery boolean, OUT system text, OUT timeline bigint, OUT frozen boolean, OUT receives_from text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $fn$
  SELECT here.standby, s.system_identifier::text,
    CASE WHEN here.standby
      THEN greatest(c.timeline_id, r.min_recovery_end_timeline, w.received_tli)
      ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END,
    here.standby AND pg_catalog.current_setting('primary_conninfo') = '',
    coalesce(w.sender_host || ':' || w.sender_port, '')
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) here
    CROSS JOIN pg_catalog.pg_control_system() s CROSS JOIN pg_catalog.pg_control_checkpoint() c
    CROSS JOIN pg_catalog.pg_control_recovery() r LEFT JOIN pg_catalog.pg_stat_get_wal_receiver() w ON true
$fn$;
DO $do$
BEGIN
  EXECUTE format('ALTER FUNCTION twokey.partner_state() OWNER TO %I', current_user);
  REVOKE ALL ON FUNCTION twokey.partner_state() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION twokey.partner_state() TO twokey_replication;
END
$do$;

DO $do$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'twokey' AND p.proname IN
      ('require_slot_name', 'ensure_slot', 'drop_slot', 'resume_replay', 'end_standby_sessions', 'timeline_history', 'guard_report')
  LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO %I', f, current_user);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, twokey_bot', f);
    IF f <> 'twokey.require_slot_name(text)'::regprocedure THEN -- the others call it, with their owner's rights
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO twokey_bot', f);
    END IF;
  END LOOP;
END
$do$;

-- pg_walinspect shows the last record of a standby without a checkpoint there;
-- where it isn't installed the bot takes the slower way.
DO $do$
DECLARE
  f regprocedure;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_walinspect') THEN
    RETURN;
  END IF;
  CREATE EXTENSION IF NOT EXISTS pg_walinspect WITH SCHEMA twokey;
  SELECT p.oid::regprocedure INTO f FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'pg_walinspect' AND p.proname = 'pg_get_wal_records_info';
  EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO twokey_bot', f);
END
$do$;

-- Slots of this server (a standby has its own, see twokey.ensure_slot).
DO $do$
DECLARE
  s text;
BEGIN
  FOREACH s IN ARRAY string_to_array(coalesce(current_setting('twokey.slots', true), ''), ',')
  LOOP
    IF trim(s) <> '' THEN
      PERFORM twokey.ensure_slot(trim(s));
    END IF;
  END LOOP;
END
$do$;
