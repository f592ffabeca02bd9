-- What these settings are in this session; those of extensions that are not loaded are not there.
SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY (%s) ORDER BY name
