-- Bytes of a table with its TOAST, and those of them that are free or taken by dead rows; pages known to be full of
-- visible rows are not read.
SELECT coalesce(sum(a.table_len), 0)::bigint, coalesce(sum(a.approx_free_space + a.dead_tuple_len), 0)::float8
FROM pg_class c
CROSS JOIN LATERAL (VALUES (c.oid), (c.reltoastrelid)) AS part (oid)
CROSS JOIN LATERAL {schema}.pgstattuple_approx(part.oid::regclass) AS a
WHERE c.oid = {oid} AND part.oid <> 0
