-- Average bytes of a key for each of the indexes; NULL where statistics of a column are missing or may not be seen.
SELECT i.indexrelid::bigint,
       CASE WHEN bool_and(s.avg_width IS NOT NULL) THEN sum(s.avg_width * (1 - s.null_frac)) END::float8,
       max(pg_stat_get_mod_since_analyze(i.indrelid))::bigint
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, place)
LEFT JOIN pg_attribute a ON a.attrelid = CASE WHEN key.number = 0 THEN i.indexrelid ELSE i.indrelid END
      AND a.attnum = CASE WHEN key.number = 0 THEN key.place ELSE key.number END
LEFT JOIN pg_class r ON r.oid = a.attrelid
LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = r.relname AND s.attname = a.attname AND NOT s.inherited
WHERE i.indexrelid = ANY(%(oids)s::oid[])
GROUP BY i.indexrelid
