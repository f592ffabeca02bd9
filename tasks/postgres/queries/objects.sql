-- Every object with a definition that must come back: section, identity, definition.
WITH own AS (
  SELECT oid, nspname FROM pg_catalog.pg_namespace
  WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_toast%' AND nspname NOT LIKE 'pg\_temp%'
), extension_member AS (
  SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
)
SELECT 'extension', extname, extversion FROM pg_catalog.pg_extension
UNION ALL
SELECT 'schema', nspname, pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace n
WHERE n.oid IN (SELECT oid FROM own) AND nspname <> 'public'
UNION ALL
SELECT 'column', pg_catalog.format('%I.%I.%I', o.nspname, c.relname, a.attname),
       pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
              a.attidentity, a.attgenerated, pg_catalog.pg_get_expr(d.adbin, d.adrelid))
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
JOIN own o ON o.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', pg_catalog.format('%I.%I on %s', o.nspname, k.conname,
         coalesce(nullif(k.conrelid, 0)::pg_catalog.regclass::text, k.contypid::pg_catalog.regtype::text)),
       pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint k JOIN own o ON o.oid = k.connamespace
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'index', pg_catalog.format('%I.%I', o.nspname, c.relname), pg_catalog.pg_get_indexdef(c.oid)
FROM pg_catalog.pg_class c JOIN own o ON o.oid = c.relnamespace WHERE c.relkind IN ('i', 'I')
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, pg_catalog.format('%I.%I', o.nspname, c.relname),
       pg_catalog.pg_get_viewdef(c.oid) || CASE WHEN c.relkind = 'm' THEN ' populated ' || c.relispopulated ELSE '' END
FROM pg_catalog.pg_class c JOIN own o ON o.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT 'function', p.oid::pg_catalog.regprocedure::text, pg_catalog.md5(p.prosrc) || ' ' || pg_catalog.pg_get_function_result(p.oid)
FROM pg_catalog.pg_proc p JOIN own o ON o.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p') AND ('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid) NOT IN (SELECT classid, objid FROM extension_member)
  AND p.prorettype <> 0
UNION ALL
SELECT 'trigger', pg_catalog.format('%I on %s', t.tgname, t.tgrelid::pg_catalog.regclass), pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text
FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy', pg_catalog.format('%I on %s', polname, polrelid::pg_catalog.regclass),
       pg_catalog.concat_ws(' ', polcmd, polpermissive, pg_catalog.pg_get_expr(polqual, polrelid), pg_catalog.pg_get_expr(polwithcheck, polrelid))
FROM pg_catalog.pg_policy
UNION ALL
SELECT 'row security', pg_catalog.format('%I.%I', o.nspname, c.relname), pg_catalog.format('%s %s', c.relrowsecurity, c.relforcerowsecurity)
FROM pg_catalog.pg_class c JOIN own o ON o.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity
UNION ALL
SELECT 'enum', t.typname::text || ' in ' || o.nspname, pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
FROM pg_catalog.pg_type t JOIN own o ON o.oid = t.typnamespace JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid
GROUP BY t.typname, o.nspname
UNION ALL
SELECT 'domain', pg_catalog.format('%I.%I', o.nspname, t.typname),
       pg_catalog.concat_ws(' ', pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault)
FROM pg_catalog.pg_type t JOIN own o ON o.oid = t.typnamespace WHERE t.typtype = 'd'
UNION ALL
SELECT 'owner', pg_catalog.format('%I.%I', o.nspname, c.relname), pg_catalog.pg_get_userbyid(c.relowner)
FROM pg_catalog.pg_class c JOIN own o ON o.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT 'grant', pg_catalog.format('%I.%I to %s', o.nspname, c.relname, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(g.grantee)::text END),
       pg_catalog.string_agg(g.privilege_type || g.is_grantable, ',' ORDER BY g.privilege_type)
FROM pg_catalog.pg_class c JOIN own o ON o.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))) g
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
GROUP BY 1, 2
UNION ALL
SELECT 'role', rolname::text, pg_catalog.concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
       rolbypassrls, rolconnlimit, rolvaliduntil)
FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg\_%' AND rolname <> 'nightshift_sandbox'
UNION ALL
SELECT 'membership', pg_catalog.format('%I in %I', member.rolname, granted.rolname), m.admin_option::text
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles member ON member.oid = m.member
JOIN pg_catalog.pg_roles granted ON granted.oid = m.roleid
WHERE member.rolname NOT LIKE 'pg\_%' AND member.rolname <> 'nightshift_sandbox'
UNION ALL
SELECT 'setting', pg_catalog.format('%s for %s', pg_catalog.split_part(setting, '=', 1),
         CASE s.setrole WHEN 0 THEN 'the database' ELSE pg_catalog.pg_get_userbyid(s.setrole)::text END
         || CASE s.setdatabase WHEN 0 THEN ' everywhere' ELSE '' END), setting
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS setting
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
