-- ALTER DEFAULT PRIVILEGES: of a schema they add to nothing, elsewhere they change what is built in.
SELECT 'default privileges',
       pg_catalog.format('of %s%s on %s to %s', pg_catalog.pg_get_userbyid(a.defaclrole),
         ' in ' || nullif(a.defaclnamespace, 0)::pg_catalog.regnamespace::text,
         CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
           WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
         CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(r.grantee)::text END),
       pg_catalog.string_agg(r.sign || r.privilege_type || CASE WHEN r.is_grantable THEN '*' ELSE '' END, ',' ORDER BY r.privilege_type, r.sign, r.is_grantable)
FROM pg_catalog.pg_default_acl a
CROSS JOIN LATERAL (
  SELECT CASE a.defaclnamespace WHEN 0
         THEN pg_catalog.acldefault(CASE a.defaclobjtype WHEN 'S' THEN 's' ELSE a.defaclobjtype END, a.defaclrole) END
) AS b (base)
CROSS JOIN LATERAL (
  (SELECT '+', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(a.defaclacl)
   EXCEPT SELECT '+', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(b.base))
  UNION ALL
  (SELECT '-', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(b.base)
   EXCEPT SELECT '-', grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(a.defaclacl))
) AS r (sign, grantee, privilege_type, is_grantable)
GROUP BY 2
