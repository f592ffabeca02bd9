-- Columns without their place: a child of an inheritance may come back with another order. The option pg_attver is no
-- one's: since its releases of November 2026 (15.20) a server keeps there when a table's columns were last defined.
SELECT 'column', pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname),
       pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
         a.attstorage, a.attcompression, nullif(a.attstattarget, -1),
         (SELECT pg_catalog.array_agg(o) FROM pg_catalog.unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%'),
         (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(a.attfdwoptions) o),
         CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::pg_catalog.regcollation END)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT 'default', pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname), pg_catalog.pg_get_expr(e.adbin, e.adrelid)
FROM pg_catalog.pg_attrdef e
JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
JOIN pg_catalog.pg_class c ON c.oid = e.adrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
