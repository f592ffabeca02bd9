SELECT state, query_start FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(backend_start)s
