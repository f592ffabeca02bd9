SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int,
       d.datname::text, pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate, d.datctype, d.datlocprovider::text,
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', ''),
       coalesce(d.datcollversion, ''), pg_catalog.pg_database_size(d.oid)
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
