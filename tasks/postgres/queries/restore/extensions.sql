-- What CREATE EXTENSION would make here.
SELECT name::text, default_version FROM pg_catalog.pg_available_extensions
