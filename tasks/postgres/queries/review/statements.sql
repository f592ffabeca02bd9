-- All statements of this database. The view's columns are the extension's version's, so they are taken by name out of the row:
-- 1.11 renamed the times of I/O and knows since when it counts a statement.
WITH seen AS MATERIALIZED (
    SELECT s.queryid, s.userid, s.toplevel, s.query, pg_catalog.to_jsonb(s) - 'query' AS one
    FROM {schema}.pg_stat_statements s
    WHERE s.queryid IS NOT NULL
      AND s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
)
SELECT queryid || '/' || userid || '/' || toplevel, query, pg_catalog.pg_get_userbyid(userid)::text,
       extract(epoch FROM (one ->> 'stats_since')::timestamptz)::float8,
       (one ->> 'calls')::float8, (one ->> 'total_exec_time')::float8, (one ->> 'rows')::float8,
       (one ->> 'shared_blks_hit')::float8, (one ->> 'shared_blks_read')::float8,
       (one ->> 'shared_blks_dirtied')::float8, (one ->> 'shared_blks_written')::float8,
       (one ->> 'temp_blks_read')::float8, (one ->> 'temp_blks_written')::float8,
       coalesce(one ->> 'shared_blk_read_time', one ->> 'blk_read_time')::float8
       + coalesce(one ->> 'shared_blk_write_time', one ->> 'blk_write_time')::float8
FROM seen
