-- Settings that leave passwords readable on the wire or in the catalog.
SELECT found.rule, found.setting, pg_catalog.current_setting(found.setting)
FROM (VALUES
    ('ssl-off', 'ssl', pg_catalog.current_setting('ssl') = 'off'
        AND pg_catalog.current_setting('listen_addresses') !~ '^(|localhost|127\.[0-9.]+|::1)(,\s*(localhost|127\.[0-9.]+|::1))*$'),
    ('md5-encryption', 'password_encryption', pg_catalog.current_setting('password_encryption') <> 'scram-sha-256')
) AS found (rule, setting, holds)
WHERE found.holds
