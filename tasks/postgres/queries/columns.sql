-- How each column is hashed: 'exact' where its own hash is as exact as its text (the allow list of the design's facts),
-- else by its text; 'output' is the text that the type itself writes, where the cast to text is a user's function, which
-- may say anything or fail, or drops blanks that were stored. In the order of the names, because a child of an
-- inheritance may come back with its columns in another order.
SELECT n.nspname, c.relname, a.attname,
       CASE
         WHEN a.atttypid IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype, 'int8'::pg_catalog.regtype,
                             'bool'::pg_catalog.regtype, 'bytea'::pg_catalog.regtype, 'uuid'::pg_catalog.regtype,
                             'date'::pg_catalog.regtype, 'timestamp'::pg_catalog.regtype, 'timestamptz'::pg_catalog.regtype)
           OR (a.atttypid IN ('text'::pg_catalog.regtype, 'varchar'::pg_catalog.regtype) AND coalesce(l.collisdeterministic, true))
           THEN 'exact'
         WHEN (a.atttypid = 'bpchar'::pg_catalog.regtype AND a.atttypmod = -1) OR EXISTS (
           SELECT FROM pg_catalog.pg_cast k
           WHERE k.casttarget = 'text'::pg_catalog.regtype AND k.castfunc >= 16384 AND (k.castsource = t.oid OR t.typtype = 'd'))
           THEN 'output'
         ELSE 'text'
       END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname !~ '^(pg_|information_schema$)'
ORDER BY a.attrelid, a.attname
