SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename),
       'has used ' || round(100 * (last_value::numeric - min_value) / nullif(max_value::numeric - min_value, 0)) || ' %% of its numbers',
       'widen the column and the sequence to bigint'
FROM pg_sequences
WHERE NOT cycle AND increment_by > 0 AND last_value::numeric - min_value >= %(share)s * (max_value::numeric - min_value)
ORDER BY 1
