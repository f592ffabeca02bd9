-- Very large tables that are no partition, with what is known of how their rows come and go, and their columns of time:
-- whether rows lie in the order of one, and between which days it is. The lists of statistics are NULL where this role may not see them.
SELECT n.nspname::text, c.relname::text, (greatest(c.relpages, 0)::bigint + coalesce(t.relpages, 0)) * pg_catalog.current_setting('block_size')::bigint, greatest(c.reltuples, 0)::bigint,
       pg_catalog.pg_stat_get_tuples_inserted(c.oid), pg_catalog.pg_stat_get_tuples_updated(c.oid), pg_catalog.pg_stat_get_tuples_deleted(c.oid),
       coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
               'name', a.attname, 'correlation', s.correlation,
               'first_day', left((s.histogram_bounds::text::text[])[1], 10),
               'last_day', left((s.histogram_bounds::text::text[])[array_length(s.histogram_bounds::text::text[], 1)], 10)) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)), '[]'),
       coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u')), '[]'),
       (SELECT count(*) FROM pg_catalog.pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (c.relpages::bigint + coalesce(t.relpages, 0)) * pg_catalog.current_setting('block_size')::bigint >= %(bytes)s
ORDER BY c.relpages DESC, 1, 2
