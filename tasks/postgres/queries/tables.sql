-- Tables whose rows are their own: leaves of partitions, parents of inheritance (read with ONLY), unlogged ones too.
SELECT n.nspname, c.relname, coalesce(pg_catalog.pg_relation_size(c.oid), 0)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  -- The rows of an extension's own tables come with the extension, unless it marks them for dumping.
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND NOT coalesce(c.oid = ANY (e.extconfig), false))
ORDER BY 3 DESC, 1, 2
