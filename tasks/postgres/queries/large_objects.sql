-- Order-independent: of each large object its owner, its rights, its size and its bytes. A hole that was never written
-- comes back as zeros, so zeros at the end of a page, and pages of zeros, count as not there.
SELECT count(*), coalesce(sum(pg_catalog.hash_record_extended(ROW(m.oid::bigint, pg_catalog.pg_get_userbyid(m.lomowner)::text,
  (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END,
            a.privilege_type, a.is_grantable), ',' ORDER BY pg_catalog.pg_get_userbyid(a.grantee)::text, a.privilege_type)
   FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner),
  l.size_bytes, l.content), 0)), 0)::text
FROM pg_catalog.pg_largeobject_metadata m
LEFT JOIN (
  SELECT loid, max(pageno * (pg_catalog.current_setting('block_size')::bigint / 4) + pg_catalog.octet_length(data)) AS size_bytes,
         (sum(pg_catalog.hash_record_extended(ROW(pageno, pg_catalog.rtrim(data, '\x00')), 0))
          FILTER (WHERE pg_catalog.rtrim(data, '\x00') <> ''))::text AS content
  FROM pg_catalog.pg_largeobject GROUP BY loid
) l ON l.loid = m.oid
