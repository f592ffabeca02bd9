-- One row for each table, materialized view and partitioned table; TOAST is counted with its owner, whose vacuum it shares.
-- Sizes are pages as of the last vacuum or analyze: exact sizes of 20,000 tables cost seconds, these milliseconds.
SELECT c.oid::bigint, coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid LIMIT 1), 0)::bigint, n.nspname::text, c.relname::text, c.relkind::text,
       greatest(c.reltuples, 0)::bigint,
       (greatest(c.relpages, 0)::bigint + coalesce(t.relpages, 0)) * current_setting('block_size')::bigint,
       pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid) + coalesce(pg_stat_get_dead_tuples(t.oid), 0),
       -- ANALYZE passes pg_statistic over in silence.
       CASE WHEN c.oid = 'pg_statistic'::regclass THEN 0 ELSE pg_stat_get_mod_since_analyze(c.oid) END,
       greatest(CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) END,
                CASE WHEN t.relfrozenxid <> '0' THEN age(t.relfrozenxid) END, 0)::bigint,
       greatest(CASE WHEN c.relminmxid <> '0' THEN mxid_age(c.relminmxid) END,
                CASE WHEN t.relminmxid <> '0' THEN mxid_age(t.relminmxid) END, 0)::bigint,
       least((SELECT option_value::bigint FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_freeze_max_age'),
             current_setting('autovacuum_freeze_max_age')::bigint),
       least((SELECT option_value::bigint FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_multixact_freeze_max_age'),
             current_setting('autovacuum_multixact_freeze_max_age')::bigint),
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL OR c.oid = 'pg_statistic'::regclass,
       has_table_privilege(c.oid, 'MAINTAIN') OR (NOT c.relisshared AND pg_has_role(d.datdba, 'USAGE')),
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)),
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)),
       pg_stat_get_numscans(c.oid),
       pg_stat_get_tuples_hot_updated(c.oid)::float8 / nullif(pg_stat_get_tuples_updated(c.oid), 0),
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_database d ON d.datname = current_database()
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
ORDER BY 2, 3
