-- Without it the sessions of others seem to hold back nothing.
SELECT 'other sessions', 'what they do, and whether they hold back vacuum, is not known: this role may not see it',
       'GRANT pg_monitor TO ' || quote_ident(current_user)
WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
