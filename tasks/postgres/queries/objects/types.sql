-- Enums with their labels in order, domains, ranges, base types. Composite types are columns of their own.
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range type' ELSE 'type' END,
       pg_catalog.format('%I.%I', n.nspname, t.typname),
       pg_catalog.concat_ws(' ',
         CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END, t.typnotnull, t.typdefault,
         nullif(t.typcollation, 0)::pg_catalog.regcollation,
         (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
          FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
         r.rngsubtype::pg_catalog.regtype, nullif(r.rngcollation, 0)::pg_catalog.regcollation, r.rngcanonical, r.rngsubdiff,
         CASE t.typtype WHEN 'b' THEN pg_catalog.concat_ws(' ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typinput, t.typoutput) END)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND n.nspname !~ '^(pg_|information_schema$)'
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
                  AND d.objid = t.oid AND d.deptype = 'e')
