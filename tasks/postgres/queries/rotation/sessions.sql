-- The sessions of a role, which go on under the password that they began with. Those by which this run proved a password
-- have ended, though the server may list them for a moment.
SELECT pid, coalesce(datname, '')::text, application_name, coalesce(client_addr::text, 'local'), backend_start, coalesce(state, '')
FROM pg_catalog.pg_stat_activity WHERE usename = %(role)s AND pid <> pg_catalog.pg_backend_pid()
  AND application_name IS DISTINCT FROM %(own)s ORDER BY backend_start, pid
