-- %(rows)s rows in each of four tables, about 458 bytes of archive for one of each: keys, text, numbers, documents.
CREATE TABLE customers AS
SELECT i AS id, 'customer ' || i AS name, md5(i::text) || '@example.org' AS email, now() - i * interval '1 minute' AS since,
       repeat(md5((i %% 5000)::text), 2) AS notes
FROM generate_series(1, %(rows)s) i;
CREATE TABLE orders AS
SELECT i AS id, (i::bigint * 7919) %% %(rows)s + 1 AS customer_id, (i %% 100000) / 100.0 AS price, now() - i * interval '1 second' AS at,
       (ARRAY['new', 'paid', 'sent', 'back'])[i %% 4 + 1] AS status, repeat('x', i %% 60) AS filler
FROM generate_series(1, %(rows)s) i;
CREATE TABLE events AS
SELECT i AS id, md5((i * 3)::text)::uuid AS token, jsonb_build_object('n', i, 'kind', i %% 17, 'line', md5((i %% 1000)::text)) AS doc
FROM generate_series(1, %(rows)s) i;
CREATE TABLE points AS
SELECT i AS id, i %% 1000 AS series, sin(i)::double precision AS value, now() - i * interval '1 second' AS at
FROM generate_series(1, %(rows)s) i;
ALTER TABLE customers ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer_id);
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE points ADD PRIMARY KEY (id);
CREATE INDEX ON points (series, at);
ANALYZE;
