SELECT pg_catalog.format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value - increment_by)
FROM pg_catalog.pg_sequences ORDER BY 1
