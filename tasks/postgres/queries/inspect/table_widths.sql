-- Average bytes of a row in each of the tables; NULL where statistics of a column are missing or may not be seen.
SELECT a.attrelid::bigint, CASE WHEN bool_and(s.avg_width IS NOT NULL) THEN sum(s.avg_width * (1 - s.null_frac)) END::float8
FROM pg_attribute a
JOIN pg_class r ON r.oid = a.attrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = r.relname AND s.attname = a.attname AND NOT s.inherited
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY a.attrelid
