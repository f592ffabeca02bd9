-- Rules of pg_hba.conf that ask for no password, believe the client, or send a password in clear: to the server, or
-- from there to the directory that is asked. Lines move, so the rule itself is the name. Its options are not told, nor an
-- error's words behind the first colon or quote: ldapbindpasswd or radiussecrets may stand there.
WITH rules AS (
    SELECT type, auth_method, error,
        -- From PostgreSQL 16 on a rule may stand in a file that pg_hba.conf includes.
        pg_catalog.concat_ws(' ', substring(to_jsonb(h) ->> 'file_name' FROM '[^/]+$'), 'line', line_number) AS place,
        pg_catalog.concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address,
            netmask) AS name,
        auth_method IN ('password', 'ldap', 'radius', 'pam', 'bsd') AS in_clear,
        type = 'local' OR coalesce(address IN ('localhost', 'samehost') OR address ~ '^127\.' AND netmask ~ '^255\.'
            OR address = '::1' AND netmask ~ '^(ffff:){7}ffff$', false) AS is_local,
        coalesce(options && '{ldaptls=true,ldapscheme=ldaps}', false) AS has_tls,
        EXISTS (SELECT FROM unnest(options) o
            WHERE o ~ '^(ldapserver|radiusservers)=("?(localhost|127\.[0-9.]+|::1)"?[ ,]*)+$') AS asks_itself
    FROM pg_catalog.pg_hba_file_rules h
)
SELECT found.rule, coalesce(nullif(r.name, ''), r.place),
    CASE WHEN error IS NULL THEN r.auth_method || ', ' || r.place ELSE regexp_replace(error, '\s*[:"].*', '') END
FROM rules r, LATERAL (VALUES
    ('hba-error', type IS NULL),
    ('hba-without-effect', error IS NOT NULL AND type IS NOT NULL),
    ('hba-trust', error IS NULL AND auth_method = 'trust'),
    ('hba-ident', error IS NULL AND auth_method = 'ident' AND NOT is_local),
    ('hba-cleartext', error IS NULL AND in_clear AND NOT is_local AND type NOT IN ('hostssl', 'hostgssenc')),
    ('hba-password', error IS NULL AND in_clear AND (is_local OR type IN ('hostssl', 'hostgssenc'))),
    ('hba-ldap-cleartext', error IS NULL AND auth_method = 'ldap' AND NOT has_tls AND NOT asks_itself),
    ('hba-radius', error IS NULL AND auth_method = 'radius' AND NOT asks_itself)
) AS found (rule, holds)
WHERE found.holds
ORDER BY 1, 2
