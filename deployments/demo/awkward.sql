-- The awkward things that a backup must bring back; the tests use them too.
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
SELECT lo_from_bytea(4711, decode(repeat('ab', 5000), 'hex'));
-- Rights of every kind, and what they hang on.
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT SELECT ON TABLES TO shop_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT SELECT (id), UPDATE (feeling) ON kinds TO shop_owner;
GRANT USAGE ON SCHEMA "Näme mit Leer" TO shop_reader;
GRANT CREATE, CONNECT ON DATABASE shop TO shop_reader;
ALTER TYPE mood OWNER TO shop_owner;
GRANT USAGE ON DOMAIN positive TO shop_reader WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO shop_owner;
REVOKE EXECUTE ON FUNCTION random() FROM PUBLIC;
-- Functions: as text, as parsed SQL, an aggregate, a trigger.
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT current_user::text';
REVOKE EXECUTE ON FUNCTION whoami() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whoami() TO shop_reader;
CREATE FUNCTION total(up_to int DEFAULT 10) RETURNS numeric STABLE LANGUAGE sql
BEGIN ATOMIC SELECT sum(price) FROM kinds WHERE id <= up_to; END;
CREATE PROCEDURE settle(INOUT n int) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE AGGREGATE product(numeric) (sfunc = numeric_mul, stype = numeric, initcond = 1);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON nokey FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO secured DO INSTEAD NOTHING;
-- Tables that are more than a list of columns. A list of varchar constants is written otherwise by each restore.
CREATE TABLE parent (id int, note text COLLATE "C");
CREATE TABLE child (extra varchar(9) DEFAULT 'a' CHECK (extra IN ('a', 'b', 'it''s, ]'))) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 'b'), (3, 'd', 'a');
CREATE TYPE address AS (street text, zip varchar(5));
CREATE TYPE span AS RANGE (subtype = date);
CREATE TABLE shapes (home address, during span, names text[], ip inet, at timestamptz, took interval, code char(5), big real);
INSERT INTO shapes VALUES (ROW('s', '1'), '[2025-01-01,2025-02-01)', '{"a b",NULL}', '10.0.0.1', 'epoch', '1 day', 'x', 0.1);
CREATE TABLE lines (kind_id int REFERENCES kinds ON DELETE CASCADE DEFERRABLE, text varchar(20)) WITH (fillfactor = 70);
CREATE INDEX lines_short ON lines (lower(text) text_pattern_ops) WHERE text IN ('a', 'b');
CREATE STATISTICS lines_both (ndistinct) ON kind_id, text FROM lines;
ALTER TABLE lines ALTER COLUMN text SET STATISTICS 500, ALTER COLUMN text SET STORAGE EXTERNAL;
-- Sequences: never called, wound back, downwards and round.
CREATE SEQUENCE untouched;
CREATE SEQUENCE wound;
SELECT setval('wound', 40, false);
CREATE SEQUENCE around INCREMENT -2 MINVALUE -9 MAXVALUE -1 CYCLE OWNED BY lines.kind_id;
SELECT nextval('around');
COMMENT ON TABLE kinds IS 'of everything; it''s "quoted"';
COMMENT ON DATABASE shop IS 'the demo''s shop';
CREATE PUBLICATION news FOR TABLE kinds (id, feeling) WHERE (id > 5);
-- Rarer things.
CREATE VIEW initials AS SELECT extra, row_number() OVER (ORDER BY extra) FROM child WHERE extra IN ('a', 'b');
CREATE MATERIALIZED VIEW later AS SELECT count(*) FROM kinds WITH NO DATA;
CREATE TABLE parts_else (n int, at date NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_else DEFAULT;
CREATE INDEX parts_n ON parts (n);
CREATE DOMAIN positives AS positive[] CHECK (array_length(VALUE, 1) < 5);
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watched ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch();
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER far FOREIGN DATA WRAPPER elsewhere OPTIONS (port '1', host 'h');
CREATE USER MAPPING FOR shop_reader SERVER far OPTIONS (user 'u', fetch 'all');
CREATE FOREIGN TABLE far_away (id int OPTIONS (name 'nr')) SERVER far;
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE COLLATION bytes FROM "C";
CREATE CAST (address AS text) WITH INOUT AS ASSIGNMENT;
