-- How many of its numbers a sequence has given out; the hundred that have given out most of theirs. One that goes round
-- never ends. A sequence that this role may not read has no last value here.
SELECT 'sequence', %(name)s::text || '.' || quote_ident(schemaname) || '.' || quote_ident(sequencename), 'count', used::float8, numbers::float8
FROM pg_sequences,
     LATERAL (SELECT CASE WHEN increment_by > 0 THEN last_value::numeric - min_value ELSE max_value::numeric - last_value END + 1,
                     max_value::numeric - min_value + 1) AS share (used, numbers)
WHERE NOT cycle AND last_value IS NOT NULL AND used >= numbers / 1000
ORDER BY used / numbers DESC
LIMIT 100
