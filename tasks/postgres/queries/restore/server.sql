-- What the server is, and what who is connected may do there.
SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('server_version'),
       pg_catalog.pg_is_in_recovery(), r.rolname::text, r.rolsuper, r.rolcreatedb, r.rolcreaterole
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
