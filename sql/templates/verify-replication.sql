-- How replication stands, for people. Run it on either node, in any database,
-- with a role that is a member of pg_monitor; it changes nothing. The bot's own
-- verify asks more and judges it.

-- Which server is this?
SELECT current_setting('cluster_name') AS cluster,
  CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END AS role,
  (SELECT system_identifier FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
       ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
  pg_postmaster_start_time() AS started, pg_conf_load_time() AS configuration_loaded;

-- May a commit be acknowledged before the standby has it? (Both must hold:
-- synchronous_commit on or remote_apply, and exactly one name.)
SELECT name, setting, pending_restart FROM pg_settings
WHERE name IN ('synchronous_commit', 'synchronous_standby_names', 'fsync', 'full_page_writes', 'wal_log_hints',
  'data_checksums', 'wal_level', 'max_slot_wal_keep_size', 'wal_retrieve_retry_interval', 'wal_sender_timeout')
ORDER BY name;

-- Who has a synchronous_commit of their own? (Should be nobody.)
SELECT coalesce(r.rolname, 'all roles') AS role, coalesce(d.datname, 'all databases') AS database, c AS setting
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,
  unnest(s.setconfig) c
WHERE c LIKE 'synchronous_commit=%';

-- On the primary: its standbys. Bytes decide; the times are empty when idle.
SELECT application_name, usename, client_addr, state, sync_state,
  pg_wal_lsn_diff(CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END, flush_lsn) AS flush_behind_bytes,
  pg_wal_lsn_diff(CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END, replay_lsn) AS replay_behind_bytes,
  flush_lag, replay_lag, reply_time
FROM pg_stat_replication ORDER BY application_name;

-- On the primary: sessions that wait for the standby right now.
SELECT count(*) AS waiting_for_standby FROM pg_stat_activity WHERE wait_event = 'SyncRep';

-- On the standby: where it streams from and how far it is.
SELECT status, received_tli, sender_host, sender_port, slot_name, flushed_lsn, last_msg_receipt_time
FROM pg_stat_wal_receiver;
SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS received, pg_last_wal_replay_lsn() AS replayed,
  CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END AS replay,
  pg_last_xact_replay_timestamp() AS last_replayed_commit
WHERE pg_is_in_recovery();

-- Slots, and what they keep from being removed.
SELECT slot_name, slot_type, active, wal_status, safe_wal_size,
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn) AS keeps_bytes
FROM pg_replication_slots ORDER BY slot_name;
