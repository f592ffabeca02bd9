-- Weight, so that there is something to see: about 150 MB.
CREATE TABLE events AS
SELECT i AS id, now() - i * interval '1 second' AS at, md5(i::text) AS token, repeat(md5((i % 1000)::text), 2) AS line
FROM generate_series(1, 900000) i;
ALTER TABLE events ADD PRIMARY KEY (id);

-- A table worn by updates and deletes, whose indexes are mostly air: what maintenance is for. Autovacuum is off for it, so
-- that the demo finds it as it was left.
CREATE EXTENSION IF NOT EXISTS pgstattuple;
CREATE TABLE carts (id bigint PRIMARY KEY, customer int NOT NULL, token text NOT NULL) WITH (autovacuum_enabled = off);
CREATE INDEX carts_customer ON carts (customer);
CREATE INDEX carts_token ON carts (token);
INSERT INTO carts SELECT i, i % 5000, md5(i::text) FROM generate_series(1, 120000) i;
UPDATE carts SET token = md5(token);
DELETE FROM carts WHERE id % 5 <> 0;
