-- What the bot may do in an application's database: connect, write its test
-- rows (insert-test), and read the application's tables to compare them on both
-- nodes (verify-data). Nothing else; it can't change a row of the application.
--
-- Run it as a superuser on the primary, connected to the application's database,
-- after postgres-setup.sql, and again when the application has got new schemas.
--
-- Parameters are settings of the session, all optional:
--   SET twokey.schemas = 'public';              schemas that verify-data compares, separated by commas
--   SET twokey.application_role = 'orders_app'; role to make for the application, with the rights to use those tables
--   SET twokey.application_password = '…';      its SCRAM verifier or password

SET client_min_messages = warning;
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET log_error_verbosity = 'terse';
SET password_encryption = 'scram-sha-256';
SET synchronous_commit = 'local';

DO $do$
BEGIN
  IF current_database() IN ('twokey', 'template0', 'template1') THEN
    RAISE EXCEPTION 'connected to database %: run this in the application''s database', current_database();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'twokey_bot') THEN
    RAISE EXCEPTION 'there is no role twokey_bot: run postgres-setup.sql first';
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO twokey_bot', current_database());
END
$do$;

-- Test rows. Kept apart from the application's own schemas.
CREATE SCHEMA IF NOT EXISTS twokey;
DO $do$ BEGIN EXECUTE format('ALTER SCHEMA twokey OWNER TO %I', current_user); END $do$;
REVOKE ALL ON SCHEMA twokey FROM PUBLIC;
GRANT USAGE ON SCHEMA twokey TO twokey_bot;

CREATE TABLE IF NOT EXISTS twokey.insert_test (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  by text NOT NULL CHECK (length(by) <= 200)
);
REVOKE ALL ON twokey.insert_test FROM PUBLIC;
GRANT SELECT, INSERT ON twokey.insert_test TO twokey_bot;

-- The application's own role, where one is asked for.
DO $do$
DECLARE
  app text := current_setting('twokey.application_role', true);
  password text := current_setting('twokey.application_password', true);
BEGIN
  IF coalesce(app, '') = '' THEN
    RETURN;
  END IF;
  IF app ~ '^(pg_|twokey_)' OR EXISTS (SELECT FROM pg_roles WHERE rolname = app AND rolsuper) THEN
    RAISE EXCEPTION 'role % can''t be the application''s: it is a superuser, or PostgreSQL''s or the bot''s own', app;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = app) THEN
    EXECUTE format('CREATE ROLE %I', app);
  END IF;
  EXECUTE format('ALTER ROLE %I LOGIN NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', app);
  IF password <> '' THEN
    EXECUTE format('ALTER ROLE %I PASSWORD %L', app, password);
  END IF;
  IF EXISTS (SELECT FROM pg_authid WHERE rolname = app AND rolpassword NOT LIKE 'SCRAM-SHA-256$%') THEN
    RAISE EXCEPTION 'the password of role % is not stored as SCRAM-SHA-256: give it anew', app;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), app);
END
$do$;

-- Reading for the bot, using for the application: of the tables that are there,
-- and of those that their owners make later.
DO $do$
DECLARE
  app text := nullif(current_setting('twokey.application_role', true), '');
  s text;
  o text;
BEGIN
  FOREACH s IN ARRAY string_to_array(coalesce(nullif(current_setting('twokey.schemas', true), ''), 'public'), ',')
  LOOP
    s := trim(s);
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = s) THEN
      RAISE EXCEPTION 'database % has no schema %', current_database(), s;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO twokey_bot', s);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO twokey_bot', s);
    IF app IS NOT NULL THEN
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', s, app);
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', s, app);
      EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', s, app);
    END IF;
    FOR o IN
      SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = s)
      UNION SELECT current_user::text
      UNION SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()
    LOOP
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO twokey_bot', o, s);
      IF app IS NOT NULL THEN
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', o, s, app);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT USAGE ON SEQUENCES TO %I', o, s, app);
      END IF;
    END LOOP;
  END LOOP;
END
$do$;
