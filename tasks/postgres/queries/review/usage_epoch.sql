-- Another text than before: scans were counted anew. A crash resets the background writer's counters with all others and
-- leaves the database's time of reset empty; a reset of a single index changes the database's.
SELECT pg_catalog.clock_timestamp(), coalesce(d.stats_reset::text, '') || ' ' || coalesce(b.stats_reset::text, ''),
       pg_catalog.pg_is_in_recovery(),
       -- Standbys that stream from here now; who only copies or receives the log runs no query.
       (SELECT count(*) FROM pg_catalog.pg_stat_replication r
        LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid
        WHERE coalesce(s.slot_type, 'physical') = 'physical'
          AND coalesce(r.application_name, '') NOT IN ('pg_receivewal', 'pg_basebackup', 'barman_receive_wal'))
FROM pg_catalog.pg_stat_database d, pg_catalog.pg_stat_bgwriter b
WHERE d.datname = pg_catalog.current_database()
