-- One role as it is now. Since when its sessions are there is shown only to itself and to pg_read_all_stats.
SELECT r.rolcanlogin, r.oid = 10, r.rolname IN (CURRENT_USER, SESSION_USER),
    r.rolsuper AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_roles o
        WHERE o.rolsuper AND o.rolcanlogin AND (o.rolvaliduntil IS NULL OR o.rolvaliduntil > pg_catalog.now()) AND o.oid <> r.oid
    ),
    pg_catalog.quote_ident(r.rolname),
    ARRAY(SELECT a.pid FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid ORDER BY a.pid)::int[],
    (SELECT max(a.backend_start) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid),
    pg_catalog.clock_timestamp()
FROM pg_catalog.pg_roles r
WHERE r.rolname = %s
