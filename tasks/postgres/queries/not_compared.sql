-- What is there, and cannot come back equal in a sandbox: its name, and why.
SELECT pg_catalog.format('index %I.%I', n.nspname, c.relname), 'it is invalid, and pg_dump leaves it out; REINDEX or drop it'
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
WHERE NOT i.indisvalid AND c.relkind = 'i'
UNION ALL
SELECT 'subscription ' || s.subname, 'it comes back switched off, as pg_dump writes it; enable it by hand'
FROM pg_catalog.pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT 'tablespace ' || t.spcname, pg_catalog.format('%s relations lie in it, a sandbox has none; make it before a real restore', count(*))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p', 'i', 'I', 'm') AND t.spcname !~ '^pg_'
GROUP BY t.spcname
UNION ALL
SELECT 'options of membership ' || pg_catalog.format('%s in %s', pg_catalog.pg_get_userbyid(m.member), pg_catalog.pg_get_userbyid(m.roleid)),
       'several roles granted it, and a sandbox has one who grants'
FROM pg_catalog.pg_auth_members m GROUP BY m.member, m.roleid HAVING count(*) > 1
UNION ALL
SELECT pg_catalog.format('setting %s for all roles everywhere', pg_catalog.split_part(setting, '=', 1)),
       'pg_dumpall leaves out ALTER ROLE ALL; set it by hand after a restore'
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS setting WHERE s.setrole = 0 AND s.setdatabase = 0
UNION ALL
SELECT pg_catalog.format('rights on language %I', l.lanname), 'pg_dump leaves them out; grant or revoke them by hand after a restore'
FROM pg_catalog.pg_language l WHERE NOT l.lanispl AND l.lanacl IS NOT NULL
