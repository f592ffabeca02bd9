-- What every role may do: make objects in a schema, or run a function with the rights of its owner.
SELECT 'public-create', n.nspname::text, ''
FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^(pg_|information_schema$)' AND pg_catalog.has_schema_privilege('public', n.oid, 'CREATE')
UNION ALL
SELECT 'public-definer-function', p.oid::pg_catalog.regprocedure::text, pg_catalog.pg_get_userbyid(p.proowner)::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE p.prosecdef AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2
