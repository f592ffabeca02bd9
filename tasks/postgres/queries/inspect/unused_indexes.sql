-- On this server alone, and since its statistics were reset: one of the two may be why nothing was seen.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       'has served no scan on this server since '
       || coalesce(to_char(d.stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'its statistics began')
       || ' (' || c.relpages * current_setting('block_size')::bigint || ' bytes)',
       'performance_review judges it by the scans of 35 days on all nodes'
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_database d ON d.datname = current_database()
WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema') AND i.indisvalid AND NOT i.indisunique
  AND pg_stat_get_numscans(c.oid) = 0 AND c.relpages * current_setting('block_size')::bigint >= %(unused_bytes)s
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
ORDER BY 1
