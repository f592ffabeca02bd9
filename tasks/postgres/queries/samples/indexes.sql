-- The largest indexes by exact size; one that somebody holds exclusively is not waited for: its pages are taken.
WITH held AS MATERIALIZED (
    SELECT relation FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
largest AS MATERIALIZED (
    SELECT c.oid, c.relname, n.nspname, c.relpages FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND n.nspname !~ '^(pg_|information_schema$)'
    ORDER BY c.relpages DESC, c.oid LIMIT %(indexes)s)
SELECT 'index', %(name)s::text || '.' || quote_ident(nspname) || '.' || quote_ident(relname), 'bytes',
       CASE WHEN oid IN (SELECT relation FROM held) THEN relpages::float8 * current_setting('block_size')::int
            ELSE coalesce(pg_relation_size(oid), 0) END::float8, NULL::float8
FROM largest
