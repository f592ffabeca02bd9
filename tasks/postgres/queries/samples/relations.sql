-- The whole database by what its pages hold, as of the last vacuum or analyze: milliseconds also for many tables.
SELECT 'relations', %(name)s::text || '/' || part, 'bytes', sum(relpages::float8) * current_setting('block_size')::int, NULL::float8
FROM (SELECT c.relpages,
             CASE WHEN c.relkind IN ('r', 'm') THEN 'tables' WHEN c.relkind = 't' OR t.oid IS NOT NULL THEN 'TOAST' ELSE 'indexes' END AS part
      FROM pg_class c
      LEFT JOIN pg_index i ON i.indexrelid = c.oid
      LEFT JOIN pg_class t ON t.oid = i.indrelid AND t.relkind = 't'
      WHERE c.relkind IN ('r', 'm', 't', 'i') AND c.relpersistence <> 't') AS pages
GROUP BY part
