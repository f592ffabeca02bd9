-- Roles, memberships and settings. The sandbox's own superuser is nobody's role.
SELECT 'role', r.rolname::text,
       pg_catalog.concat_ws(' ', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
         r.rolconnlimit, r.rolvaliduntil)
FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' AND r.rolname <> 'nightshift_sandbox'
UNION ALL
SELECT 'membership', pg_catalog.format('%s in %s', pg_catalog.pg_get_userbyid(m.member), pg_catalog.pg_get_userbyid(m.roleid)),
       pg_catalog.bool_or(m.admin_option)::text
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles r ON r.oid = m.member AND r.rolname !~ '^pg_' AND r.rolname <> 'nightshift_sandbox'
GROUP BY 2
UNION ALL
-- From version 16 on a membership says whether it inherits and may be switched to.
SELECT 'options of membership', pg_catalog.format('%s in %s', pg_catalog.pg_get_userbyid(m.member), pg_catalog.pg_get_userbyid(m.roleid)),
       pg_catalog.string_agg(pg_catalog.format('%s %s', pg_catalog.to_jsonb(m) ->> 'inherit_option', pg_catalog.to_jsonb(m) ->> 'set_option'), ',')
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles r ON r.oid = m.member AND r.rolname !~ '^pg_' AND r.rolname <> 'nightshift_sandbox'
GROUP BY 2
UNION ALL
SELECT 'setting', pg_catalog.format('%s for %s', pg_catalog.split_part(setting, '=', 1),
         CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole)::text WHEN s.setdatabase = 0 THEN 'all roles'
           ELSE 'the database' END || CASE s.setdatabase WHEN 0 THEN ' everywhere' ELSE '' END), setting
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS setting
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
