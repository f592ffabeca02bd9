-- Tables and views as a whole: kind, options, place in an inheritance. An extension's own come with the extension.
SELECT CASE c.relkind WHEN 'v' THEN 'options of view' WHEN 'm' THEN 'options of materialized view' ELSE 'options of table' END,
       pg_catalog.format('%I.%I', n.nspname, c.relname),
       pg_catalog.concat_ws(' ', c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity,
         CASE WHEN c.relkind = 'm' THEN c.relispopulated END, am.amname, nullif(c.reloftype, 0)::pg_catalog.regtype,
         (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(c.reloptions) o),
         (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(t.reloptions) o),
         (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ',' ORDER BY i.inhseqno)
          FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT 'partition', pg_catalog.format('%I.%I', n.nspname, c.relname),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_partkeydef(c.oid), pg_catalog.pg_get_expr(c.relpartbound, c.oid))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE c.relkind IN ('r', 'p', 'f') AND (c.relkind = 'p' OR c.relispartition)
