-- A B-tree whose columns begin another one: the longer one can serve its queries.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       'its columns are the first ones of ' || quote_ident(o.relname) || ' (' || pg_relation_size(c.oid) || ' bytes)',
       'compare the plans of its queries without it before you drop it'
FROM pg_index i
JOIN pg_index k ON k.indrelid = i.indrelid AND k.indnkeyatts > i.indnkeyatts AND k.indisvalid
     AND (k.indkey::int2[])[0:i.indnkeyatts - 1] = (i.indkey::int2[])[0:i.indnkeyatts - 1]
     AND (k.indclass::oid[])[0:i.indnkeyatts - 1] = (i.indclass::oid[])[0:i.indnkeyatts - 1]
     AND (k.indoption::int2[])[0:i.indnkeyatts - 1] = (i.indoption::int2[])[0:i.indnkeyatts - 1]
     AND (k.indcollation::oid[])[0:i.indnkeyatts - 1] = (i.indcollation::oid[])[0:i.indnkeyatts - 1]
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_class o ON o.oid = k.indexrelid AND o.relam = c.relam
JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND NOT i.indisunique AND i.indnatts = i.indnkeyatts
  AND i.indpred IS NULL AND k.indpred IS NULL AND i.indexprs IS NULL AND k.indexprs IS NULL
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
ORDER BY 1
