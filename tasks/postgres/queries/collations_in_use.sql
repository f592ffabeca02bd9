-- Collations that columns and indexes use, the database's default among them: 'provider:locale', recorded version.
SELECT pg_catalog.concat(c.collprovider, ':', coalesce(pg_catalog.to_jsonb(c) ->> 'colllocale', pg_catalog.to_jsonb(c) ->> 'colliculocale', c.collcollate)),
       coalesce(c.collversion, '')
FROM pg_catalog.pg_collation c
WHERE c.collprovider <> 'd' AND c.oid IN (SELECT DISTINCT a.attcollation FROM pg_catalog.pg_attribute a WHERE a.attrelid >= 16384)
UNION
SELECT pg_catalog.concat(d.datlocprovider, ':', coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', d.datcollate)),
       coalesce(d.datcollversion, '')
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
