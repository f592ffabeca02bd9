-- What keeps dead rows from being removed: the three oldest of sessions, prepared transactions, slots and standbys.
SELECT holder, 'holds back vacuum: its snapshot is ' || behind || ' transactions old' || said, command
FROM (
    SELECT 'session ' || pid || ' of ' || coalesce(usename, '?') || coalesce(' (' || nullif(application_name, '') || ')', '') AS holder,
           age(backend_xmin) AS behind, ', since ' || to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS said,
           'SELECT pg_terminate_backend(' || pid || ')' AS command
    FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    UNION ALL
    SELECT 'prepared transaction ' || gid, age(transaction), '', 'ROLLBACK PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts
    UNION ALL
    SELECT 'replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin)), '',
           'SELECT pg_drop_replication_slot(' || quote_literal(slot_name) || ')'
    FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
    UNION ALL
    SELECT 'standby ' || coalesce(nullif(application_name, ''), client_addr::text, '?'), age(backend_xmin), '',
           'look at hot_standby_feedback and long queries there'
    FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
) AS held
WHERE behind > %(transactions)s
ORDER BY behind DESC
LIMIT 3
