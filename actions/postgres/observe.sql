-- Everything that an observation holds, as one document. One snapshot of each
-- source, read once. Rows whose columns differ between versions 15 and 18 go
-- through to_jsonb, where a missing column is NULL.
WITH here AS MATERIALIZED (
  SELECT pg_is_in_recovery() AS standby
), control AS MATERIALIZED (
  SELECT checkpoint_lsn, redo_lsn, timeline_id, checkpoint_time FROM pg_control_checkpoint()
), activity AS MATERIALIZED (
  SELECT pid, backend_type, wait_event_type, wait_event, backend_start FROM pg_stat_get_activity(NULL)
), settings AS MATERIALIZED ( -- by far the dearest part, so only where the session's are not known yet
  SELECT name, setting, pending_restart FROM pg_show_all_settings() WHERE $4
), functions AS MATERIALIZED (
  SELECT p.proname, has_schema_privilege(s.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE') AS may
  FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace
  WHERE s.nspname = 'twokey' AND p.proname = ANY ($2)
), replication AS MATERIALIZED ( -- read before the primary's own flush position, which no standby's may exceed
  SELECT coalesce(json_agg(json_build_object(
    'application_name', coalesce(application_name, ''), 'user', coalesce(usename, ''), 'client_addr', coalesce(host(client_addr), ''),
    'state', coalesce(state, ''), 'sync_state', coalesce(sync_state, ''),
    'sent_lsn', sent_lsn, 'write_lsn', write_lsn, 'flush_lsn', flush_lsn, 'replay_lsn', replay_lsn,
    'write_lag', (extract(epoch FROM write_lag) * 1e9)::bigint, 'flush_lag', (extract(epoch FROM flush_lag) * 1e9)::bigint,
    'replay_lag', (extract(epoch FROM replay_lag) * 1e9)::bigint, 'reply_at', reply_time) ORDER BY application_name, pid), '[]') AS standbys
  FROM pg_stat_replication
), missing AS (
  SELECT 'membership in ' || r AS what FROM unnest(ARRAY['pg_monitor', 'pg_checkpoint']) r
    WHERE NOT pg_has_role(r, 'USAGE')
  UNION ALL
  SELECT 'ALTER SYSTEM on ' || p FROM unnest(ARRAY['primary_conninfo', 'synchronous_standby_names']) p
    WHERE NOT has_parameter_privilege(p, 'ALTER SYSTEM')
  UNION ALL
  SELECT 'ALTER SYSTEM on synchronized_standby_slots'
    WHERE CASE WHEN current_setting('server_version_num')::int < 170000 THEN false
      ELSE NOT has_parameter_privilege('synchronized_standby_slots', 'ALTER SYSTEM') END
  UNION ALL
  SELECT 'EXECUTE on ' || split_part(f, '(', 1) FROM unnest(ARRAY['pg_promote(boolean, integer)', 'pg_reload_conf()']) f
    WHERE NOT has_function_privilege(f, 'EXECUTE')
  UNION ALL
  SELECT 'EXECUTE on twokey.' || f FROM unnest($2::text[]) f
    WHERE NOT EXISTS (SELECT FROM functions WHERE proname = f AND may)
  UNION ALL
  SELECT p || ' on twokey.probe' FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) p
    WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE s.nspname = 'twokey' AND c.relname = 'probe'
        AND has_schema_privilege(s.oid, 'USAGE') AND has_table_privilege(c.oid, p))
  UNION ALL
  SELECT 'CONNECT on database ' || $3 WHERE $3 <> ''
    AND NOT EXISTS (SELECT FROM pg_database WHERE datname = $3 AND has_database_privilege(oid, 'CONNECT'))
)
SELECT json_build_object(
  'session_start', (SELECT backend_start FROM activity WHERE pid = pg_backend_pid()),
  'now', clock_timestamp(),
  'version_num', current_setting('server_version_num')::int,
  'system_id', (SELECT system_identifier::text FROM pg_control_system()),
  'in_recovery', here.standby,
  'started_at', pg_postmaster_start_time(),
  'conf_loaded_at', pg_conf_load_time(),
  'timeline', CASE WHEN here.standby THEN control.timeline_id
    ELSE ('x00000000' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(64)::bigint END,
  'checkpoint', json_build_object('lsn', control.checkpoint_lsn, 'redo', control.redo_lsn,
    'timeline', control.timeline_id, 'time', control.checkpoint_time),
  'flush_lsn', CASE WHEN NOT here.standby THEN pg_current_wal_flush_lsn() END,
  'receive_lsn', CASE WHEN here.standby THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END,
  'replay_lsn', CASE WHEN here.standby THEN pg_last_wal_replay_lsn() END,
  'replay_pause', CASE WHEN here.standby THEN pg_get_wal_replay_pause_state() ELSE '' END,
  'replay_conflict', EXISTS (SELECT FROM activity WHERE backend_type = 'startup' AND (wait_event_type IN ('Lock', 'BufferPin')
    OR wait_event IN ('RecoveryConflictSnapshot', 'RecoveryConflictTablespace'))),
  'last_replay_at', CASE WHEN here.standby THEN pg_last_xact_replay_timestamp() END,
  'conninfo_set', current_setting('primary_conninfo') <> '',
  'settings', (SELECT json_object_agg(name, setting) FROM settings WHERE name = ANY ($1)),
  'pending_restart', (SELECT json_agg(name ORDER BY name) FROM settings WHERE pending_restart),
  -- A setting of on or remote_apply is as strong as the guarantee needs, so it is no override.
  'sync_overrides', (
    SELECT coalesce(json_agg(who ORDER BY who), '[]') FROM (
      SELECT CASE WHEN s.setrole = 0 AND s.setdatabase = 0 THEN 'all roles'
        ELSE concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname) END AS who
      FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c
        LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
      WHERE c LIKE 'synchronous_commit=%'
        AND lower(split_part(c, '=', 2)) NOT IN ('on', 'remote_apply', 'true', 'yes', '1')) o),
  'standbys', replication.standbys,
  'receiver', (
    SELECT json_build_object('status', coalesce(status, ''), 'received_tli', coalesce(received_tli, 0), 'flushed_lsn', flushed_lsn,
      'slot', coalesce(slot_name, ''), 'sender_host', coalesce(sender_host, ''), 'sender_port', coalesce(sender_port, 0),
      'last_msg_at', last_msg_receipt_time)
    FROM pg_stat_wal_receiver),
  'receivers', (SELECT count(*) FROM activity WHERE backend_type = 'walreceiver'),
  'slots', (
    SELECT coalesce(json_agg(json_build_object(
      'name', s->>'slot_name', 'type', s->>'slot_type', 'active', coalesce((s->>'active')::boolean, false),
      'temporary', coalesce((s->>'temporary')::boolean, false), 'restart_lsn', s->>'restart_lsn',
      'wal_status', coalesce(s->>'wal_status', ''), 'safe_wal_size', (s->>'safe_wal_size')::bigint,
      'failover', coalesce((s->>'failover')::boolean, false), 'synced', coalesce((s->>'synced')::boolean, false),
      'invalidation_reason', coalesce(s->>'invalidation_reason', '')) ORDER BY s->>'slot_name'), '[]')
    FROM (SELECT to_jsonb(r) AS s FROM pg_replication_slots r) slots),
  'sync_waiters', (SELECT count(*) FROM activity WHERE wait_event = 'SyncRep'),
  'prepared', (SELECT count(*) FROM pg_prepared_xact()),
  'prepared_at', (SELECT min(prepared) FROM pg_prepared_xact()),
  'base_backups', (SELECT count(*) FROM pg_stat_get_progress_info('BASEBACKUP')),
  'archiver', (
    SELECT json_build_object(
      'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
      'failed_at', last_failed_time, 'failed_wal', coalesce(last_failed_wal, ''))
    FROM pg_stat_get_archiver()),
  'checksums', current_setting('data_checksums') = 'on',
  'missing_rights', (SELECT coalesce(json_agg(what), '[]') FROM missing)
)::text
FROM here, control, replication
