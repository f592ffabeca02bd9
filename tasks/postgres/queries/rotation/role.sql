-- A role's login, and who asks.
SELECT r.rolcanlogin, coalesce(r.rolvaliduntil <= pg_catalog.now(), false), pg_catalog.pg_is_in_recovery(),
       pg_catalog.quote_ident(current_user), pg_catalog.quote_ident(r.rolname),
       pg_catalog.current_setting('server_version_num')::int
FROM pg_catalog.pg_roles r WHERE r.rolname = %(role)s
