-- Whether the server is on this host, the bytes of its databases that this role may enter, and rows of the largest table.
SELECT coalesce(pg_catalog.host(pg_catalog.inet_server_addr()) IN ('127.0.0.1', '::1'), true),
       (SELECT sum(pg_catalog.pg_database_size(d.oid))::bigint FROM pg_catalog.pg_database d
        WHERE pg_catalog.has_database_privilege(d.oid, 'CONNECT')),
       (SELECT coalesce(max(c.reltuples), 0)::bigint FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'm'))
