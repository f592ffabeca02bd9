-- Roles of which statements are counted: how many, and since when the newest of these is there (known from 1.11 on).
SELECT pg_catalog.pg_get_userbyid(s.userid)::text, max((pg_catalog.to_jsonb(s) - 'query' ->> 'stats_since')::timestamptz),
    sum(s.calls)::bigint
FROM {schema}.pg_stat_statements s GROUP BY 1
