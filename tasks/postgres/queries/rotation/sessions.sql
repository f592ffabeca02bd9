-- The sessions of a role, which go on under the password that they began with.
SELECT pid, coalesce(datname, '')::text, application_name, coalesce(client_addr::text, 'local'), backend_start, coalesce(state, '')
FROM pg_catalog.pg_stat_activity WHERE usename = %(role)s AND pid <> pg_catalog.pg_backend_pid() ORDER BY backend_start, pid
