-- A foreign key's copies on partitions are left out: their names are chosen anew when they are made again.
SELECT 'constraint', pg_catalog.format('%I on %s', k.conname,
         coalesce(nullif(k.conrelid, 0)::pg_catalog.regclass::text, k.contypid::pg_catalog.regtype::text)),
       pg_catalog.pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE k.contype IN ('c', 'p', 'u', 'x') OR (k.contype = 'f' AND k.conparentid = 0)
