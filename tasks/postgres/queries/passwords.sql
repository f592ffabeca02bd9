-- Password verifiers, which the globals hold when they may; only their hash is kept.
SELECT 'password of role', rolname::text, rolpassword
FROM pg_catalog.pg_authid WHERE rolpassword IS NOT NULL AND rolname !~ '^pg_' AND rolname <> 'nightshift_sandbox'
