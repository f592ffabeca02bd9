-- What pg_dump locks: every table that tables.sql counts, and the partitioned ones above them.
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND NOT coalesce(c.oid = ANY (e.extconfig), false))
