SELECT pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(c.reltoastrelid), 0),
       CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) ELSE 0 END::bigint
FROM pg_class c WHERE c.oid = %(oid)s
