SELECT 'comment on', i.type || ' ' || i.identity, c.description
FROM pg_catalog.pg_description c
CROSS JOIN LATERAL pg_catalog.pg_identify_object(c.classoid, c.objoid, c.objsubid) i
WHERE (c.objoid >= 16384 OR c.objoid = 2200) AND coalesce(i.schema, '') !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = c.classoid AND d.objid = c.objoid AND d.deptype = 'e')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class t ON t.oid = x.indexrelid
                  WHERE x.indexrelid = c.objoid AND NOT x.indisvalid AND t.relkind = 'i')
UNION ALL
SELECT 'comment on', 'database ' || d.datname, c.description
FROM pg_catalog.pg_shdescription c JOIN pg_catalog.pg_database d ON d.oid = c.objoid
WHERE c.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.datname = pg_catalog.current_database()
UNION ALL
SELECT 'comment on', 'role ' || r.rolname, c.description
FROM pg_catalog.pg_shdescription c JOIN pg_catalog.pg_roles r ON r.oid = c.objoid
WHERE c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname !~ '^pg_' AND r.rolname <> 'nightshift_sandbox'
UNION ALL
SELECT 'security label on', i.type || ' ' || i.identity || ' by ' || l.provider, l.label
FROM pg_catalog.pg_seclabel l
CROSS JOIN LATERAL pg_catalog.pg_identify_object(l.classoid, l.objoid, l.objsubid) i
