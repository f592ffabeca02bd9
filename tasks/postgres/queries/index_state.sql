SELECT pg_relation_size(c.oid), greatest(c.reltuples, 0)::bigint, i.indisvalid, c.oid::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
