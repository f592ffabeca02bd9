-- What a slot keeps back of the log fills the server's disk, up to max_slot_wal_keep_size where that is set.
SELECT 'slot', %(name)s::text || '.' || slot_name, 'bytes',
       greatest(0, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn))::float8,
       CASE WHEN s.setting::bigint >= 0 THEN s.setting::float8 * 1024 * 1024 END
FROM pg_replication_slots, pg_settings s
WHERE s.name = 'max_slot_wal_keep_size' AND restart_lsn IS NOT NULL
