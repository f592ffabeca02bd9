-- Schemas, and in which of them each extension lies.
SELECT 'schema', pg_catalog.quote_ident(n.nspname), ''
FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^(pg_|information_schema$)'
UNION ALL
SELECT 'extension', e.extname::text, e.extnamespace::pg_catalog.regnamespace::text FROM pg_catalog.pg_extension e
