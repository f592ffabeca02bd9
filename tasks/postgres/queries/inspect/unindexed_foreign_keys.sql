SELECT quote_ident(n.nspname) || '.' || quote_ident(r.relname),
       'its foreign key ' || quote_ident(f.conname) || ' has no index: every delete in the table that it names reads all of this one',
       'CREATE INDEX CONCURRENTLY ON ' || quote_ident(n.nspname) || '.' || quote_ident(r.relname) || ' ('
       || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY key.place)
           FROM unnest(f.conkey) WITH ORDINALITY AS key (number, place)
           JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = key.number) || ')'
FROM pg_constraint f
JOIN pg_class r ON r.oid = f.conrelid AND r.relkind = 'r'
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE f.contype = 'f' AND r.reltuples > 10000 AND NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = f.conrelid AND i.indisvalid AND i.indpred IS NULL
      AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey AND f.conkey @> (i.indkey::int2[])[0:cardinality(f.conkey) - 1]
)
ORDER BY 1
