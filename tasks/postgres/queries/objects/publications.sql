SELECT 'publication', pg_catalog.quote_ident(p.pubname), (pg_catalog.to_jsonb(p) - ARRAY['oid', 'pubname', 'pubowner'])::text
FROM pg_catalog.pg_publication p
UNION ALL
SELECT 'publication', pg_catalog.format('%I for table %s', p.pubname, r.prrelid::pg_catalog.regclass),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(r.prqual, r.prrelid),
         (SELECT pg_catalog.string_agg(a.attname, ',' ORDER BY a.attname) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)))
FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
UNION ALL
SELECT 'publication', pg_catalog.format('%I for schema %s', p.pubname, r.pnnspid::pg_catalog.regnamespace), ''
FROM pg_catalog.pg_publication_namespace r JOIN pg_catalog.pg_publication p ON p.oid = r.pnpubid
