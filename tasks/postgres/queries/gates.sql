-- Why a rebuild of an index of this table must not begin, or go on; no row: nothing stands against it.
-- `pid` is the session that rebuilds, 0 before it began.
SELECT 'this role does not see what other sessions do; GRANT pg_monitor to it' WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
UNION ALL
SELECT 'the server is a standby now' WHERE pg_is_in_recovery()
UNION ALL
-- Waited for are old snapshots on any table, and whoever holds a lock on this one.
SELECT 'session ' || a.pid || ' (' || coalesce(nullif(application_name, ''), usename, '?') || ') has a transaction open since '
       || to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ', which a rebuild may have to wait for'
FROM pg_stat_activity a
WHERE datname = current_database() AND backend_type = 'client backend' AND pid NOT IN (pg_backend_pid(), %(pid)s)
  AND (backend_xmin IS NOT NULL OR EXISTS (
      SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.relation = %(table_oid)s))
  AND application_name NOT LIKE 'nightshift:maintenance:%%'
  AND xact_start < clock_timestamp() - make_interval(secs => %(old_snapshot_seconds)s)
UNION ALL
SELECT 'prepared transaction ' || gid || ' is open since ' || to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => %(old_snapshot_seconds)s)
UNION ALL
SELECT 'a dump runs: session ' || pid || ' (' || application_name || ')'
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL
  -- A backup that waits for the lock asks for it, with a snapshot of an instant; one that runs has one that stays.
  AND (application_name ~ '^pg_dump' OR (application_name LIKE 'nightshift:backup:%%' AND state = 'idle in transaction'))
UNION ALL
-- A rebuild would keep it out for as long as it takes.
SELECT 'autovacuum (to prevent wraparound) of the table runs or waits, session ' || a.pid
FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' AND l.relation = %(table_oid)s
WHERE a.backend_type = 'autovacuum worker' AND a.query LIKE '%%(to prevent wraparound)'
UNION ALL
SELECT 'standby ' || coalesce(nullif(application_name, ''), client_addr::text, '?') || ' is '
       || pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) || ' bytes behind'
FROM pg_stat_replication
WHERE NOT pg_is_in_recovery() AND pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > %(replica_lag_bytes)s
UNION ALL
SELECT 'replication slot ' || slot_name || ' holds back ' || pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) || ' bytes of WAL'
FROM pg_replication_slots
WHERE NOT pg_is_in_recovery() AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > %(replica_lag_bytes)s
UNION ALL
SELECT 'session ' || l.pid || ' waits for the rebuild since ' || to_char(l.waitstart AT TIME ZONE 'UTC', 'HH24:MI:SS"Z"')
FROM pg_locks l
WHERE NOT l.granted AND %(pid)s = ANY (pg_blocking_pids(l.pid))
  AND l.waitstart < clock_timestamp() - make_interval(secs => %(blocked_seconds)s)
LIMIT 1
