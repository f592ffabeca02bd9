SELECT pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')
