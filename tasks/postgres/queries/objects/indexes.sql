-- An invalid index is left by a build that failed; pg_dump does not take it along (not_compared.sql names it).
SELECT 'index', pg_catalog.format('%I.%I', n.nspname, c.relname),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_indexdef(c.oid), i.indisclustered, i.indisreplident,
         (SELECT pg_catalog.string_agg(a.attnum || ':' || a.attstattarget, ',' ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0))
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE (i.indisvalid OR c.relkind = 'I')
