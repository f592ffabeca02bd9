-- As a session of this role begins, not as this one was set. What this version or role does not know is left out.
SELECT s.name, coalesce(s.reset_val, s.setting), coalesce(s.unit, ''), s.pending_restart
FROM pg_catalog.pg_settings s
WHERE s.name = ANY (%(names)s::text[]) OR s.pending_restart
