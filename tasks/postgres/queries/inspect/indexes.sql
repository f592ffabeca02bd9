-- One row for each index that has pages of its own. A partitioned index has none, its leaves are listed.
-- The size of one that somebody rebuilds or drops just now could not be asked without waiting for him: it is the last known.
WITH held AS MATERIALIZED (SELECT DISTINCT relation FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock')
SELECT c.oid::bigint, i.indrelid::bigint, n.nspname::text, c.relname::text, r.relname::text, m.amname::text,
       CASE WHEN c.oid IN (SELECT relation FROM held) THEN greatest(c.relpages, 0) * current_setting('block_size')::bigint
            ELSE coalesce(pg_relation_size(c.oid), 0) END, greatest(c.reltuples, 0)::bigint,
       i.indisvalid AND i.indisready AND i.indislive, i.indisunique, i.indisexclusion,
       i.indpred IS NOT NULL, i.indexprs IS NOT NULL,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'),
                CASE m.amname WHEN 'hash' THEN 75 WHEN 'spgist' THEN 80 ELSE 90 END),
       coalesce(nullif(pg_tablespace_location(c.reltablespace), ''), ''), pg_stat_get_numscans(c.oid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't'
JOIN pg_class r ON r.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_am m ON m.oid = c.relam
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 3, 4
