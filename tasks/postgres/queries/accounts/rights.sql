-- What each role was given, in words: attributes, memberships, privileges on this database, its schemas and relations,
-- and what it owns. Relations are told by schema, so that a new table is no new right.
WITH named AS (
    SELECT oid, rolname::text AS who FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'
    UNION ALL SELECT 0, 'PUBLIC'
), schemas AS (
    SELECT * FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'
), relations AS (
    SELECT c.relowner, c.relacl, n.nspname
    FROM pg_catalog.pg_class c JOIN schemas n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
), given (oid, told) AS (
    SELECT r.oid, found.told
    FROM pg_catalog.pg_roles r, LATERAL (VALUES
        ('superuser', r.rolsuper), ('replication', r.rolreplication), ('bypasses row security', r.rolbypassrls),
        ('makes roles', r.rolcreaterole), ('makes databases', r.rolcreatedb),
        ('valid until ' || (r.rolvaliduntil AT TIME ZONE 'UTC')::date, r.rolvaliduntil IS NOT NULL)
    ) AS found (told, holds)
    WHERE found.holds
    UNION ALL
    SELECT m.member, 'member of ' || g.rolname || CASE WHEN m.admin_option THEN ', may admit others' ELSE '' END
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
    UNION ALL
    SELECT d.datdba, 'owns database ' || d.datname FROM pg_catalog.pg_database d
    UNION ALL
    SELECT a.grantee, a.privilege_type || ' on database ' || d.datname
    FROM pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = pg_catalog.current_database() AND a.grantee <> d.datdba
    UNION ALL
    SELECT n.nspowner, 'owns schema ' || n.nspname FROM schemas n
    UNION ALL
    SELECT a.grantee, a.privilege_type || ' on schema ' || n.nspname
    FROM schemas n, pg_catalog.aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE a.grantee <> n.nspowner
    UNION ALL
    SELECT relowner, 'owns relations of schema ' || nspname FROM relations
    UNION ALL
    SELECT a.grantee, a.privilege_type || ' on relations of schema ' || r.nspname
    FROM relations r, pg_catalog.aclexplode(r.relacl) a WHERE a.grantee <> r.relowner
)
SELECT DISTINCT n.who, g.told FROM given g JOIN named n USING (oid) ORDER BY 1, 2
