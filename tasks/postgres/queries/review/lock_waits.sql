-- Sessions of this database that wait for a lock, the longest first, with who is in their way.
SELECT a.pid, coalesce(a.usename, '?')::text, l.mode,
       coalesce(l.relation::regclass::text, 'a ' || l.locktype),
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(l.waitstart, a.query_start))::float8,
       coalesce(a.query, ''),
       (SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'session', b.pid, 'of', b.usename,
                   '(' || pg_catalog.concat_ws(', ', nullif(b.application_name, ''), b.state) || ')'), ', ' ORDER BY b.pid), 'nobody any more')
        FROM pg_catalog.pg_stat_activity b WHERE b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid)))
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE NOT l.granted
ORDER BY 5 DESC, 1
