-- What `pg_restore --create` sets of the database itself. The locale's column has another name in each version.
SELECT 'database', d.datname::text, pg_catalog.concat_ws(' ', pg_catalog.pg_encoding_to_char(d.encoding), d.datconnlimit, d.datistemplate)
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT 'locale of database', d.datname::text,
       pg_catalog.concat_ws(' ', d.datcollate, d.datctype, d.datlocprovider,
         coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'))
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
