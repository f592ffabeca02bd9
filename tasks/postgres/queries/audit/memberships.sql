-- Who is a member, directly or through others, of a role that reaches beyond the database; superusers need none.
SELECT CASE WHEN g.rolsuper THEN 'member-of-superuser' ELSE 'member-of-' || replace(g.rolname, '_', '-') END,
    r.rolname::text, g.rolname::text
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_roles g ON g.oid <> r.oid AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND (g.rolsuper OR g.rolname IN (
    'pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data'))
ORDER BY 1, 2
