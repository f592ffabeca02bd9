-- Text that is the same on every server, all rows or an error, and no limit that would end a long read.
-- As many processes read as there are connections, no more: they share a server that has other work to do.
-- A setting that this version does not know is left out (transaction_timeout is new in 17).
SELECT count(pg_catalog.set_config(s.name, wanted.value, false))
FROM (VALUES
  ('search_path', ''), ('row_security', 'off'), ('lock_timeout', '10min'), ('statement_timeout', '0'),
  ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), ('DateStyle', 'ISO, YMD'),
  ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('extra_float_digits', '3'), ('bytea_output', 'hex'),
  ('standard_conforming_strings', 'on'), ('lc_monetary', 'C'), ('xmloption', 'content'), ('xmlbinary', 'base64'),
  ('quote_all_identifiers', 'off'), ('max_parallel_workers_per_gather', '0'), ('jit', 'off')
) AS wanted (name, value)
JOIN pg_catalog.pg_settings s ON s.name = wanted.name
