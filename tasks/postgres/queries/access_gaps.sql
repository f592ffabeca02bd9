-- What pg_dump needs and this role may not read, by kind, with the names as they stand in a GRANT.
WITH relation AS (
  SELECT c.oid, c.relkind, n.oid AS schema_oid, n.nspname, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence IN ('p', 'u')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
    -- An extension's own tables come with the extension, unless it marks them for dumping.
    AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
        AND NOT coalesce(c.oid = ANY (e.extconfig), false))
)
SELECT DISTINCT 'schema', pg_catalog.format('%I', nspname) FROM relation
WHERE NOT pg_catalog.has_schema_privilege(schema_oid, 'USAGE')
UNION ALL
SELECT 'table', name FROM relation WHERE relkind <> 'S' AND NOT pg_catalog.has_table_privilege(oid, 'SELECT')
UNION ALL
-- CASE, because the server may ask for the privilege before it looks at the kind.
SELECT 'sequence', name FROM relation
WHERE CASE relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(oid, 'SELECT') ELSE false END
UNION ALL
-- A partitioned table's own policies do not apply to its leaves, which are what is read.
SELECT 'row security', name FROM relation WHERE relkind = 'r' AND pg_catalog.row_security_active(oid)
UNION ALL
SELECT 'large object', m.oid::text FROM pg_catalog.pg_largeobject_metadata m
WHERE NOT pg_catalog.current_setting('lo_compat_privileges')::bool AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.aclexplode(m.lomacl) a
    WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
ORDER BY 1, 2
