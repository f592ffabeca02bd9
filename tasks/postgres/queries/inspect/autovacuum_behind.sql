-- Twice past the point where autovacuum begins: it is off for the table, too slow, or something holds it back.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       'has ' || pg_stat_get_dead_tuples(c.oid) || ' dead rows beside ' || pg_stat_get_live_tuples(c.oid)
       || ' live ones, more than twice what starts autovacuum'
       || CASE WHEN NOT current_setting('autovacuum')::bool
                    THEN ', which is turned off on this server; behind the change: SELECT pg_reload_conf()'
               WHEN 'autovacuum_enabled=false' = ANY(c.reloptions) THEN ', which is turned off for it' ELSE '' END,
       CASE WHEN NOT current_setting('autovacuum')::bool THEN 'ALTER SYSTEM SET autovacuum = on'
            -- Of a catalog nobody may change how it is vacuumed.
            WHEN n.nspname = 'pg_catalog' THEN 'VACUUM (ANALYZE) pg_catalog.' || quote_ident(c.relname)
            ELSE 'ALTER TABLE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
                 || ' SET (autovacuum_enabled = true, autovacuum_vacuum_cost_delay = 0)' END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND pg_stat_get_dead_tuples(c.oid) > 1000
  AND pg_stat_get_dead_tuples(c.oid) > 2 * (
      coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_vacuum_threshold'),
               current_setting('autovacuum_vacuum_threshold')::float8)
      + coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                 current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, 0))
ORDER BY 1
