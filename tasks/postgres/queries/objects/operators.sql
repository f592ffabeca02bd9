-- Operators, casts, collations and text search with their definitions; the rarer kinds by their existence.
WITH own AS (
  SELECT o.classid, o.oid FROM (
    SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass AS classid, oid FROM pg_catalog.pg_opclass
    UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid FROM pg_catalog.pg_opfamily
    UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid FROM pg_catalog.pg_operator
    UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid FROM pg_catalog.pg_cast
    UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid FROM pg_catalog.pg_collation
    UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid FROM pg_catalog.pg_conversion
    UNION ALL SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass, oid FROM pg_catalog.pg_transform
    UNION ALL SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid FROM pg_catalog.pg_am
    UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid FROM pg_catalog.pg_language
    UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_config
    UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_dict
    UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_parser
    UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid FROM pg_catalog.pg_ts_template
  ) o
  WHERE o.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e')
)
SELECT i.type, i.identity,
       pg_catalog.concat_ws(' ', p.oprcode, nullif(p.oprcom, 0)::pg_catalog.regoperator, nullif(p.oprnegate, 0)::pg_catalog.regoperator,
         p.oprrest, p.oprjoin, p.oprcanmerge, p.oprcanhash,
         nullif(k.castfunc, 0)::pg_catalog.regprocedure, k.castcontext, k.castmethod,
         pg_catalog.to_jsonb(c) - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding'],
         d.dicttemplate::pg_catalog.regproc, d.dictinitoption, l.lanplcallfoid::pg_catalog.regproc,
         (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', m.maptokentype, m.mapseqno, m.mapdict::pg_catalog.regdictionary), ','
                   ORDER BY m.maptokentype, m.mapseqno)
          FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = o.oid AND o.classid = 'pg_catalog.pg_ts_config'::pg_catalog.regclass))
FROM own o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.oid, 0) i
LEFT JOIN pg_catalog.pg_operator p ON p.oid = o.oid AND o.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_cast k ON k.oid = o.oid AND o.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_collation c ON c.oid = o.oid AND o.classid = 'pg_catalog.pg_collation'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_ts_dict d ON d.oid = o.oid AND o.classid = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_language l ON l.oid = o.oid AND o.classid = 'pg_catalog.pg_language'::pg_catalog.regclass
