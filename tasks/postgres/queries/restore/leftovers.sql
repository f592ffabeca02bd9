-- Temporary databases of restores whose run has no session here any more, and that were not kept for somebody to look at.
SELECT d.datname::text
FROM pg_catalog.pg_database d
WHERE d.datname ~ '^nightshift_restore_[0-9a-f]{8}$'
  AND coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '') ~ '^(unfinished restore .*)?$'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                  WHERE a.application_name LIKE 'nightshift:restore:%%:' || pg_catalog.right(d.datname, 8))
ORDER BY 1
