SELECT 'statistics', pg_catalog.format('%I.%I', n.nspname, s.stxname),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1))
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
