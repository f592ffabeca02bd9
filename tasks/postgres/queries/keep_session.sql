-- The lock's session idles for hours: a server that ends idle sessions must not end this one, and one whose client's
-- host is dead must find out in two minutes and free the lock, not in the two hours of most systems.
SELECT set_config(name, value, false)
FROM (VALUES
  ('idle_session_timeout', '0'), ('statement_timeout', '0'), ('tcp_keepalives_idle', '60'),
  ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '6')
) AS wanted (name, value)
