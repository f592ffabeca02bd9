-- Functions, procedures and window functions whole; of an aggregate all that CREATE AGGREGATE says.
SELECT CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE 'function' END, p.oid::pg_catalog.regprocedure::text,
       CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ELSE
         pg_catalog.concat_ws(' ', pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid), p.proparallel,
           pg_catalog.to_jsonb(a) - ARRAY['aggfnoid', 'aggtranstype', 'aggmtranstype', 'aggsortop'],
           a.aggtranstype::pg_catalog.regtype, a.aggmtranstype::pg_catalog.regtype, a.aggsortop::pg_catalog.regoperator) END
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^(pg_|information_schema$)'
LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                  AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
