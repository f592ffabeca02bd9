-- Needs pg_monitor for the folders. A standby tells how far it has replayed.
SELECT 'wal', %(name)s::text, 'bytes', coalesce(sum(size), 0)::float8, NULL::float8 FROM pg_ls_waldir()
UNION ALL
SELECT 'temporary files now', %(name)s, 'bytes', coalesce(sum(size), 0), NULL FROM pg_ls_tmpdir()
UNION ALL
SELECT 'wal written total', %(name)s, 'bytes',
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')::float8, NULL
