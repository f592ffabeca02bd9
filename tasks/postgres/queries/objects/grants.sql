-- Rights as far as they differ from what the object came with: '+' granted, '-' taken away, '*' may be passed on.
-- So nothing is said twice, a version that invents a right changes nothing, and who owns an extension does not matter.
WITH granted (classid, oid, subid, owner, acl, base) AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, 0, relowner, relacl,
         pg_catalog.acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner)
  FROM pg_catalog.pg_class WHERE relacl IS NOT NULL AND relpersistence <> 't'
  UNION ALL
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum, c.relowner, a.attacl, pg_catalog.acldefault('c', c.relowner)
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND c.relpersistence <> 't'
  UNION ALL
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, 0, proowner, proacl, pg_catalog.acldefault('f', proowner)
  FROM pg_catalog.pg_proc WHERE proacl IS NOT NULL
  UNION ALL
  SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, 0, nspowner, nspacl, pg_catalog.acldefault('n', nspowner)
  FROM pg_catalog.pg_namespace WHERE nspacl IS NOT NULL
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, 0, typowner, typacl, pg_catalog.acldefault('T', typowner)
  FROM pg_catalog.pg_type WHERE typacl IS NOT NULL
  UNION ALL
  SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, 0, lanowner, lanacl, pg_catalog.acldefault('l', lanowner)
  FROM pg_catalog.pg_language WHERE lanacl IS NOT NULL AND lanispl
  UNION ALL
  SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, 0, fdwowner, fdwacl, pg_catalog.acldefault('F', fdwowner)
  FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
  UNION ALL
  SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, 0, srvowner, srvacl, pg_catalog.acldefault('S', srvowner)
  FROM pg_catalog.pg_foreign_server WHERE srvacl IS NOT NULL
  UNION ALL
  SELECT 'pg_catalog.pg_database'::pg_catalog.regclass, oid, 0, datdba, datacl, pg_catalog.acldefault('d', datdba)
  FROM pg_catalog.pg_database WHERE datacl IS NOT NULL AND datname = pg_catalog.current_database()
  UNION ALL
  SELECT 'pg_catalog.pg_parameter_acl'::pg_catalog.regclass, oid, 0, 10, paracl, pg_catalog.acldefault('p', 10)
  FROM pg_catalog.pg_parameter_acl WHERE paracl IS NOT NULL
)
SELECT 'grant on',
       pg_catalog.format('%s %s to %s', i.type, i.identity, CASE r.grantee WHEN 0 THEN 'PUBLIC' WHEN g.owner THEN 'its owner'
         ELSE pg_catalog.pg_get_userbyid(r.grantee)::text END),
       pg_catalog.string_agg(r.sign || r.privilege_type || CASE WHEN r.is_grantable THEN '*' ELSE '' END, ',' ORDER BY r.privilege_type, r.sign, r.is_grantable)
FROM granted g
-- The schema public's first rights depend on the version that first made the cluster: taken as they are.
LEFT JOIN pg_catalog.pg_init_privs p ON p.classoid = g.classid AND p.objoid = g.oid AND p.objsubid = g.subid AND g.oid <> 2200
CROSS JOIN LATERAL (
  (SELECT '+', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(g.acl)
   EXCEPT SELECT '+', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(coalesce(p.initprivs, g.base)))
  UNION ALL
  (SELECT '-', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(coalesce(p.initprivs, g.base))
   EXCEPT SELECT '-', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(g.acl))
) AS r (sign, grantee, privilege_type, is_grantable)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(g.classid, g.oid, g.subid) i
-- What was built in is dumped where its rights were changed, but for the information schema.
WHERE coalesce(i.schema, '') !~ '^(pg_toast|information_schema$)'
  AND (r.grantee <> g.owner
       OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = g.classid AND d.objid = g.oid AND d.deptype = 'e'))
GROUP BY 2
