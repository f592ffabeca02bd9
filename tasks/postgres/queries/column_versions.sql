-- Whether columns of users hold what only servers since November 2026 keep there.
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_attribute a
  WHERE a.attrelid >= 16384 AND pg_catalog.array_to_string(a.attoptions, ',') LIKE '%pg\_attver=%'
)
