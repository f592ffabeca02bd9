-- Only that very session, and to cancel only that very statement: a pid, and a pooled session, may serve another by now.
SELECT CASE WHEN %(terminate)s THEN pg_terminate_backend(pid) ELSE pg_cancel_backend(pid) END
FROM pg_stat_activity
WHERE pid = %(pid)s AND backend_start = %(backend_start)s
  AND (%(terminate)s OR (state = 'active' AND query_start = %(query_start)s))
