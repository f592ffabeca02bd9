-- Sessions of clients that are at one statement, or idle in one transaction, for longer than `seconds`, the longest first.
SELECT a.pid, a.backend_start, a.query_start, coalesce(a.usename, '')::text, a.application_name, coalesce(a.client_addr::text, 'local'), a.state,
       extract(epoch FROM clock_timestamp() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.xact_start END)::float8,
       coalesce(a.wait_event_type || ' ' || a.wait_event, ''), a.query,
       ARRAY(SELECT b.pid FROM pg_stat_activity b WHERE a.pid = ANY (pg_blocking_pids(b.pid)) ORDER BY b.pid),
       CASE WHEN a.backend_type <> 'client backend' THEN a.backend_type
            WHEN a.application_name LIKE 'nightshift:%%' THEN 'a session of Nightshift'
            WHEN a.application_name ~ '^pg_(dump|dumpall|basebackup|receivewal|restore)' THEN 'a backup'
            WHEN a.application_name ~ '^(vacuumdb|reindexdb|clusterdb|pg_repack|pg_squeeze|pg_amcheck)' THEN 'maintenance'
            WHEN EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
              OR EXISTS (SELECT FROM pg_stat_progress_cluster p WHERE p.pid = a.pid)
              OR EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = a.pid AND p.command LIKE 'REINDEX%%')
            THEN 'maintenance'
            ELSE '' END
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state IS NOT NULL AND a.state <> 'idle'
  AND CASE WHEN a.state = 'active' THEN a.query_start ELSE a.xact_start END
      < clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY 8 DESC
