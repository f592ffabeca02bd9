-- The awkward things that a backup must bring back.
CREATE ROLE shop_owner;
CREATE ROLE shop_reader LOGIN PASSWORD 'planted-role-password';
GRANT shop_owner TO shop_reader;
ALTER DATABASE shop SET statement_timeout = '5min';
ALTER ROLE shop_reader IN DATABASE shop SET work_mem = '8MB';
CREATE EXTENSION citext;
CREATE SCHEMA "Näme mit Leer";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE "Näme mit Leer"."Größe" (id int PRIMARY KEY, "Wert ""x""" text);
INSERT INTO "Näme mit Leer"."Größe" SELECT i, 'ä' || i FROM generate_series(1, 100) i;
CREATE TABLE kinds (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, feeling mood, price numeric, tag citext, doc jsonb,
  list int[], raw bytea, amount positive, double int GENERATED ALWAYS AS (2 * amount) STORED
);
INSERT INTO kinds (feeling, price, tag, doc, list, raw, amount)
SELECT 'ok', 1.50, 'Tag' || i, jsonb_build_object('n', 1.0), ARRAY[i, 2], decode('00ff', 'hex'), i
FROM generate_series(1, 2000) i;
CREATE TABLE parts (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parts SELECT '2025-06-01'::date + i, i FROM generate_series(1, 400) i;
CREATE TABLE nokey (line text);
INSERT INTO nokey SELECT 'same' FROM generate_series(1, 10);
CREATE TABLE nothing (id int);
CREATE UNLOGGED TABLE unlogged (id int);
INSERT INTO unlogged VALUES (1);
CREATE SEQUENCE orders START 100;
SELECT nextval('orders'), nextval('orders');
CREATE VIEW cheap AS SELECT id, price FROM kinds WHERE price < 2;
CREATE MATERIALIZED VIEW totals AS SELECT feeling, sum(price) FROM kinds GROUP BY feeling;
CREATE TABLE secured (owner text, value int);
INSERT INTO secured VALUES ('a', 1), ('b', 2);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (owner = current_user);
GRANT SELECT ON kinds TO shop_reader;
ALTER TABLE nokey OWNER TO shop_owner;
SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'));
-- Weight, so that there is something to see: about 100 MB.
CREATE TABLE events AS
SELECT i AS id, now() - i * interval '1 second' AS at, md5(i::text) AS token, repeat(md5((i % 1000)::text), 2) AS line
FROM generate_series(1, 700000) i;
ALTER TABLE events ADD PRIMARY KEY (id);
