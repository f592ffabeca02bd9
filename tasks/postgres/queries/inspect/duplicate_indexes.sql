-- A leaf of a partitioned index goes with its root alone, which cannot be dropped beside writers.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       'holds the same as ' || quote_ident(o.relname) || ' ('
       || (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(c.oid)) || ' bytes)',
       CASE c.relkind WHEN 'I' THEN 'DROP INDEX ' ELSE 'DROP INDEX CONCURRENTLY ' END
       || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_index i
JOIN pg_index k ON k.indrelid = i.indrelid AND k.indexrelid <> i.indexrelid AND k.indkey = i.indkey AND k.indclass = i.indclass
     AND k.indcollation = i.indcollation AND k.indoption = i.indoption AND k.indisvalid
     AND coalesce(pg_get_expr(k.indpred, k.indrelid), '') = coalesce(pg_get_expr(i.indpred, i.indrelid), '')
     AND coalesce(pg_get_expr(k.indexprs, k.indrelid), '') = coalesce(pg_get_expr(i.indexprs, i.indrelid), '')
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind IN ('i', 'I') AND NOT c.relispartition
JOIN pg_class o ON o.oid = k.indexrelid AND o.relam = c.relam
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND NOT i.indisunique
  AND (k.indisunique OR o.relispartition OR k.indexrelid < i.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
ORDER BY 1
