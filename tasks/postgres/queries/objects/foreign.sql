-- Foreign data. The options of a user mapping are seen only by who may see them, as pg_dump sees them; a dump writes
-- options in the order of their names.
SELECT 'foreign data wrapper', pg_catalog.quote_ident(f.fdwname),
       pg_catalog.concat_ws(' ', nullif(f.fdwhandler, 0)::pg_catalog.regproc, nullif(f.fdwvalidator, 0)::pg_catalog.regproc,
         (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(f.fdwoptions) o))
FROM pg_catalog.pg_foreign_data_wrapper f
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass
                  AND d.objid = f.oid AND d.deptype = 'e')
UNION ALL
SELECT 'foreign server', pg_catalog.quote_ident(s.srvname),
       pg_catalog.concat_ws(' ', f.fdwname, s.srvtype, s.srvversion,
         (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(s.srvoptions) o))
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper f ON f.oid = s.srvfdw
UNION ALL
SELECT 'user mapping', pg_catalog.format('%s on %I', m.usename, m.srvname),
       (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(m.umoptions) o)
FROM pg_catalog.pg_user_mappings m
UNION ALL
SELECT 'foreign table', pg_catalog.format('%I.%I', n.nspname, c.relname),
       pg_catalog.concat_ws(' ', s.srvname, (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(t.ftoptions) o))
FROM pg_catalog.pg_foreign_table t
JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
