-- All roles that are somebody's, with what everyone may see of their use; backend_start only with pg_read_all_stats.
SELECT r.rolname::text, r.rolcanlogin AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > pg_catalog.now()),
    (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)::int,
    r.oid = 10 OR r.rolname = CURRENT_USER, pg_catalog.now()
FROM pg_catalog.pg_roles r
WHERE r.rolname !~ '^pg_'
ORDER BY 1
