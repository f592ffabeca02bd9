-- What every role may do: make or use objects of a schema, run a function with the rights of its owner, or one in a
-- language that the server does not hold back. The schema public is for everyone's use.
WITH schemas AS (
    SELECT * FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'
)
SELECT 'public-create', nspname::text, '' FROM schemas WHERE pg_catalog.has_schema_privilege('public', oid, 'CREATE')
UNION ALL
SELECT 'public-usage', nspname::text, '' FROM schemas
WHERE nspname <> 'public' AND pg_catalog.has_schema_privilege('public', oid, 'USAGE')
UNION ALL
SELECT found.rule, p.oid::pg_catalog.regprocedure::text, found.detail
FROM pg_catalog.pg_proc p
JOIN schemas n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang,
LATERAL (VALUES
    ('public-definer-function', p.prosecdef, pg_catalog.pg_get_userbyid(p.proowner)::text),
    ('public-untrusted-function', NOT l.lanpltrusted AND l.lanname <> 'sql', l.lanname::text)
) AS found (rule, holds, detail)
WHERE found.holds AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2
