-- Weight, so that there is something to see: about 150 MB.
CREATE TABLE events AS
SELECT i AS id, now() - i * interval '1 second' AS at, md5(i::text) AS token, repeat(md5((i % 1000)::text), 2) AS line
FROM generate_series(1, 900000) i;
ALTER TABLE events ADD PRIMARY KEY (id);
