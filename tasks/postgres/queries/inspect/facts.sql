SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
       (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgstattuple'),
       pg_has_role('pg_stat_scan_tables', 'USAGE') AND NOT EXISTS (
           SELECT FROM pg_extension WHERE extname = 'pgstattuple' AND NOT has_schema_privilege(extnamespace, 'USAGE')),
       CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory', true) END,
       coalesce(host(inet_server_addr()) IN ('127.0.0.1', '::1'), true),
       (SELECT sum(pg_database_size(oid)) FROM pg_database WHERE has_database_privilege(oid, 'CONNECT'))::bigint,
       current_setting('block_size')::int, quote_ident(current_user)
