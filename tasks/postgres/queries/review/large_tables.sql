-- The exact size of a table that somebody has locked could not be asked without waiting for him: pages are as of the last vacuum or analyze.
-- Large tables with their scans so far, and of each column how many values it has and whether an index begins with it.
SELECT c.oid::bigint, n.nspname::text, c.relname::text, greatest(c.reltuples, 0)::bigint,
       greatest(c.relpages, 0),
       pg_catalog.pg_stat_get_numscans(c.oid)::float8, pg_catalog.pg_stat_get_tuples_returned(c.oid)::float8,
       (SELECT pg_catalog.jsonb_object_agg(a.attname, pg_catalog.jsonb_build_object(
                   'distinct', CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * greatest(c.reltuples, 0) ELSE s.n_distinct END,
                   'indexed', EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum
                                      AND i.indisvalid AND i.indpred IS NULL)))
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                                           AND NOT s.inherited
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND c.relpages * pg_catalog.current_setting('block_size')::bigint >= %(bytes)s
ORDER BY c.oid
