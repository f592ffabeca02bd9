-- Not those that a running build shows alive, and not the leftovers of rebuilds, which the plan removes.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       'is not valid: it costs every write and serves no query',
       -- A leaf of a partitioned index cannot be dropped without it.
       CASE WHEN c.relispartition THEN 'REINDEX INDEX CONCURRENTLY ' ELSE 'DROP INDEX CONCURRENTLY ' END || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname !~ '_cc(new|old)[0-9]*$' AND NOT (i.indisvalid AND i.indisready AND i.indislive)
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid)
ORDER BY 1
