SELECT dealloc::bigint, stats_reset, stats_reset::text, pg_catalog.clock_timestamp() FROM {schema}.pg_stat_statements_info
