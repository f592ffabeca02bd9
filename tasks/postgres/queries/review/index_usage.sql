-- One row for each index that could be dropped; the leaves of a partitioned one are counted together under its root.
-- Of one that somebody rebuilds or drops just now, or whose table is locked, nothing could be asked without waiting for him:
-- its size is the last known, its definition empty.
WITH held AS MATERIALIZED (
    SELECT DISTINCT relation FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock')
SELECT root.oid::bigint, sum(pg_catalog.pg_stat_get_numscans(leaf.oid))::float8,
       sum(CASE WHEN leaf.oid IN (SELECT relation FROM held)
                THEN greatest(leaf.relpages, 0) * pg_catalog.current_setting('block_size')::bigint
                ELSE coalesce(pg_catalog.pg_relation_size(leaf.oid), 0) END)::bigint,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(root.relname),
       CASE WHEN bool_or(i.indrelid IN (SELECT relation FROM held) OR root.oid IN (SELECT relation FROM held)
                         OR pg_catalog.pg_partition_root(i.indrelid) IN (SELECT relation FROM held)) THEN ''
            ELSE pg_catalog.pg_get_indexdef(root.oid) END, root.relkind = 'I', bool_or(i.indexprs IS NOT NULL),
       -- Behind a constraint, a rule of its own, or what replication or CLUSTER goes by: no scan says nothing of those.
       bool_or(i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indisclustered)
       OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = root.oid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class leaf ON leaf.oid = i.indexrelid AND leaf.relkind = 'i' AND leaf.relpersistence = 'p'
JOIN pg_catalog.pg_class root ON root.oid = coalesce(pg_catalog.pg_partition_root(leaf.oid), leaf.oid)
JOIN pg_catalog.pg_namespace n ON n.oid = root.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND i.indisvalid
GROUP BY root.oid, root.relname, root.relkind, n.nspname
ORDER BY 4
