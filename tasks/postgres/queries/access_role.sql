SELECT pg_catalog.quote_ident(r.rolname), r.rolsuper, pg_catalog.pg_is_in_recovery(),
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'),
       pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT'),
       pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int,
       d.datname::text, pg_catalog.pg_database_size(d.oid)
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()
