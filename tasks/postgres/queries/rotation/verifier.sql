-- The verifier of a role's password, so that a rotation can be taken back; it is kept in memory only.
SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = %(role)s
