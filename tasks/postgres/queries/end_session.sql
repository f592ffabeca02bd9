-- Only that very session: a pid may have been given to another one meanwhile.
SELECT CASE WHEN %(terminate)s THEN pg_terminate_backend(pid) ELSE pg_cancel_backend(pid) END
FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(backend_start)s
