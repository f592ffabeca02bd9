-- The largest tables by exact size, with their indexes and TOAST, partitions counted with their root; the others of
-- each schema as one, by pages as of the last vacuum or analyze (the exact sizes of 20,000 tables cost seconds).
-- A table that was filled since its last analyze is found by its rows. One that somebody holds exclusively is not
-- waited for: its pages are taken. Its use leaves out sequential scans, of which every backup makes one.
WITH held AS MATERIALIZED (
    SELECT relation FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
index_pages AS MATERIALIZED (
    SELECT i.indrelid, sum(c.relpages::bigint) AS pages, sum(pg_stat_get_numscans(c.oid)) AS scans
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid GROUP BY i.indrelid),
leaf AS MATERIALIZED (
    SELECT c.oid, CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
           (c.relpages::bigint + coalesce(t.relpages, 0) + coalesce(ti.pages, 0) + coalesce(ci.pages, 0)) * current_setting('block_size')::bigint AS estimated,
           pg_stat_get_live_tuples(c.oid) * 32 AS by_rows, coalesce(ci.scans, 0) AS scans
    FROM pg_class c
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    LEFT JOIN index_pages ci ON ci.indrelid = c.oid
    LEFT JOIN index_pages ti ON ti.indrelid = t.oid
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'),
ranked AS MATERIALIZED (
    SELECT leaf.*, row_number() OVER (ORDER BY greatest(estimated, by_rows) DESC, oid) AS place,
           sum(greatest(estimated, by_rows)) OVER (PARTITION BY root) AS weight
    FROM leaf),
placed AS MATERIALIZED (SELECT ranked.*, dense_rank() OVER (ORDER BY weight DESC, root) AS root_place FROM ranked),
measured AS MATERIALIZED (
    SELECT root, sum(CASE WHEN place > 10 * %(tables)s::int OR oid IN (SELECT relation FROM held) THEN estimated
                          ELSE coalesce(pg_total_relation_size(oid), estimated) END)::float8 AS used,
           sum(scans + pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid))::float8 AS uses
    FROM placed WHERE root_place <= %(tables)s GROUP BY root),
named AS (
    SELECT %(name)s::text || '.' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS resource, n.nspname, m.*
    FROM measured m JOIN pg_class c ON c.oid = m.root JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT 'table', resource, 'bytes', used, NULL::float8 FROM named
UNION ALL
SELECT 'table use total', resource, 'count', uses, NULL FROM named WHERE nspname !~ '^(pg_|information_schema$)'
UNION ALL
SELECT 'table', %(name)s || '.' || quote_ident(n.nspname) || '.*', 'bytes', sum(p.estimated), NULL
FROM placed p JOIN pg_class c ON c.oid = p.root JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.root_place > %(tables)s GROUP BY n.nspname
