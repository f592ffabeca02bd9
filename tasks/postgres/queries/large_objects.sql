-- Order-independent: the sum of the hashes of (oid, page, content).
SELECT (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata),
       coalesce(sum(pg_catalog.hash_record_extended(ROW(loid::bigint, pageno, data), 0)::numeric), 0)::text
FROM pg_catalog.pg_largeobject
