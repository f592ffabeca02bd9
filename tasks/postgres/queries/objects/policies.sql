SELECT 'policy', pg_catalog.format('%I on %s', p.polname, p.polrelid::pg_catalog.regclass),
       pg_catalog.concat_ws(' ', p.polcmd, p.polpermissive,
         (SELECT pg_catalog.string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(r)::text END, ',' ORDER BY r <> 0, pg_catalog.pg_get_userbyid(r))
          FROM pg_catalog.unnest(p.polroles) r),
         'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_catalog.pg_policy p
