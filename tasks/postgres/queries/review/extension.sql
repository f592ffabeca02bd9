SELECT e.extversion::text, n.nspname::text, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'), pg_catalog.quote_ident(CURRENT_USER)
FROM (SELECT CURRENT_USER) AS me
LEFT JOIN pg_catalog.pg_extension e ON e.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
