SELECT pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(c.reltoastrelid), 0),
       greatest(CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) END,
                CASE WHEN t.relfrozenxid <> '0' THEN age(t.relfrozenxid) END, 0)::bigint
FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = %(oid)s
