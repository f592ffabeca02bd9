-- Of a sequence that this role may not read, the last value is not shown.
SELECT 'sequences', count(*) || ' of them may not be read by this role, whether they are near their end is not known',
       'GRANT pg_read_all_data TO ' || quote_ident(current_user)
FROM pg_class
-- The CASE keeps the function from being asked about what is no sequence.
WHERE CASE WHEN relkind = 'S' AND relpersistence <> 't' THEN NOT has_sequence_privilege(oid, 'SELECT, USAGE') END
HAVING count(*) > 0
