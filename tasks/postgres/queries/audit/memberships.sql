-- Who is a member, directly or through others, of a role that reaches beyond what it owns; superusers need none.
SELECT CASE
        WHEN g.rolsuper THEN 'member-of-superuser'
        WHEN g.rolname ~ '^pg_' THEN 'member-of-' || replace(g.rolname, '_', '-')
        ELSE 'member-of-powerful-role'
    END,
    r.rolname::text || CASE WHEN g.rolname ~ '^pg_' OR g.rolsuper THEN '' ELSE ' in ' || g.rolname END, g.rolname::text
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_roles g ON g.oid <> r.oid AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND (
    g.rolsuper OR g.rolreplication OR g.rolbypassrls OR g.rolcreaterole OR g.rolname IN (
        'pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data',
        'pg_read_all_data', 'pg_signal_backend'))
ORDER BY 1, 2
