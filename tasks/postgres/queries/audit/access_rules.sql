-- Rules of pg_hba.conf that ask for no password, believe the client, or take a password in clear (LDAP, RADIUS and PAM
-- need it so); the line moves, so the rule itself is the name.
SELECT CASE
        WHEN error IS NOT NULL THEN 'hba-error'
        WHEN auth_method IN ('trust', 'ident') THEN 'hba-' || auth_method
        WHEN type IN ('host', 'hostnossl', 'hostnogssenc') THEN 'hba-cleartext'
        ELSE 'hba-password'
    END,
    coalesce(pg_catalog.concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address,
        netmask), 'line ' || line_number),
    coalesce(error, auth_method || ', line ' || line_number)
FROM pg_catalog.pg_hba_file_rules
WHERE error IS NOT NULL OR auth_method IN ('trust', 'ident', 'password', 'ldap', 'radius', 'pam', 'bsd')
ORDER BY line_number
