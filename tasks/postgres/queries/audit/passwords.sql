-- Passwords whose stored form can be used to log in, or be guessed fast.
SELECT 'md5-password', rolname::text, ''
FROM pg_catalog.pg_authid WHERE rolpassword LIKE 'md5%' ORDER BY 2
