-- What runs by itself: triggers, rules, event triggers.
SELECT 'trigger', pg_catalog.format('%I on %s', t.tgname, t.tgrelid::pg_catalog.regclass),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', pg_catalog.format('%I on %I.%I', r.rulename, n.nspname, c.relname),
       pg_catalog.concat_ws(' ', pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled)
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema$)'
WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'event trigger', pg_catalog.quote_ident(e.evtname),
       pg_catalog.concat_ws(' ', e.evtevent, e.evtfoid::pg_catalog.regprocedure, e.evtenabled, e.evttags)
FROM pg_catalog.pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass
                  AND d.objid = e.oid AND d.deptype = 'e')
