-- What the statistics and catalogs say of this database without reading a table. The ages end at 2^31 less a reserve
-- of three million, where the server stops to give out transaction ids; autovacuum brings them back long before.
SELECT 'database', %(name)s::text, 'bytes', pg_database_size(current_database())::float8, %(capacity)s::float8
UNION ALL
SELECT 'connections', %(name)s, 'count', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int
UNION ALL
SELECT 'transaction age', %(name)s, 'count', age(datfrozenxid), 2147483648 - 3000000 FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT 'multixact age', %(name)s, 'count', mxid_age(datminmxid), 2147483648 - 3000000 FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT counter.kind, %(name)s, counter.unit, counter.used, NULL
FROM pg_stat_database d,
     LATERAL (VALUES ('sessions total', 'count', d.sessions::float8),
                     ('transactions total', 'count', (d.xact_commit + d.xact_rollback)::float8),
                     ('temporary files total', 'bytes', d.temp_bytes::float8)) AS counter (kind, unit, used)
WHERE d.datname = current_database()
