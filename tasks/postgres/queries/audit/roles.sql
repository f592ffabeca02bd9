-- Roles that may do more than most should; the bootstrap superuser cannot be without its rights.
SELECT found.rule, r.rolname::text, ''
FROM pg_catalog.pg_roles r, LATERAL (VALUES
    ('superuser', r.rolsuper),
    ('replication', r.rolreplication AND NOT r.rolsuper),
    ('bypass-row-security', r.rolbypassrls AND NOT r.rolsuper),
    ('create-role', r.rolcreaterole AND NOT r.rolsuper),
    ('login-without-expiry', r.rolcanlogin AND r.rolvaliduntil IS NULL)
) AS found (rule, holds)
WHERE found.holds AND r.oid <> 10 AND r.rolname !~ '^pg_'
ORDER BY 1, 2
