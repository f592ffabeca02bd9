-- Whether a column's own hash is as exact as its text: the allow list of the design's facts.
SELECT n.nspname, c.relname, a.attname,
       a.atttypid IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype, 'int8'::pg_catalog.regtype,
                      'bool'::pg_catalog.regtype, 'bytea'::pg_catalog.regtype, 'uuid'::pg_catalog.regtype,
                      'date'::pg_catalog.regtype, 'timestamp'::pg_catalog.regtype, 'timestamptz'::pg_catalog.regtype)
       OR (a.atttypid IN ('text'::pg_catalog.regtype, 'varchar'::pg_catalog.regtype)
           AND (a.attcollation = 0 OR (SELECT collisdeterministic FROM pg_catalog.pg_collation WHERE oid = a.attcollation)))
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
ORDER BY a.attrelid, a.attnum
