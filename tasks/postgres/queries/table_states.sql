-- Tables as they are now, with whether they were vacuumed and analyzed, by hand, since that moment.
SELECT c.oid::bigint, pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(c.reltoastrelid), 0),
       greatest(CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) END,
                CASE WHEN t.relfrozenxid <> '0' THEN age(t.relfrozenxid) END, 0)::bigint,
       coalesce(pg_stat_get_last_vacuum_time(c.oid) >= %(since)s, false),
       coalesce(pg_stat_get_last_analyze_time(c.oid) >= %(since)s, false)
FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = ANY(%(oids)s::oid[])
