-- What this database and the server's checkpoints counted, each since its own reset (0: never told), and what is open now.
SELECT pg_catalog.clock_timestamp(),
       coalesce(extract(epoch FROM d.stats_reset), 0)::float8,
       d.xact_commit::float8, d.xact_rollback::float8, d.blks_hit::float8, d.blks_read::float8, d.temp_files::float8,
       d.temp_bytes::float8, d.deadlocks::float8, d.sessions::float8, d.sessions_abandoned::float8, d.sessions_fatal::float8,
       d.sessions_killed::float8,
       coalesce(extract(epoch FROM c.stats_reset), 0)::float8,
       c.num_timed::float8, c.num_requested::float8, c.write_time, c.sync_time,
       c.buffers_written::float8,
       (SELECT count(*)::float8 FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL),
       pg_catalog.current_setting('max_connections')::float8,
       (SELECT s.setting::float8 * 1048576 FROM pg_catalog.pg_settings s WHERE s.name = 'max_wal_size'),
       (SELECT count(DISTINCT l.pid)::float8 FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = pg_catalog.current_database() WHERE NOT l.granted)
FROM pg_catalog.pg_stat_database d, pg_catalog.pg_stat_checkpointer c
WHERE d.datname = pg_catalog.current_database()
