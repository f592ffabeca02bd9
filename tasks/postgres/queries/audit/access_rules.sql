-- Rules of pg_hba.conf that ask for no password, or take it in clear; the line moves, so the rule itself is the name.
SELECT CASE WHEN error IS NOT NULL THEN 'hba-error' ELSE 'hba-' || auth_method END,
    coalesce(pg_catalog.concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address,
        netmask), 'line ' || line_number),
    coalesce(error, 'line ' || line_number)
FROM pg_catalog.pg_hba_file_rules
WHERE error IS NOT NULL OR auth_method IN ('trust', 'password')
ORDER BY line_number
