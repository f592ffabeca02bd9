"""What is sampled of a real database: sizes as the server itself states them, and what fails alone fails alone."""

import psycopg
import pytest

from tasks.base import stopping
from tasks.base.capacity import DatabaseSampling, Metric
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.samples import sample_database


@pytest.fixture(scope="module")
def filled(postgres):
    """A database with tables of known size; its dsn."""
    stopping.reset()
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE filled")
    with psycopg.connect(postgres.dsn("filled"), autocommit=True) as connection:
        connection.execute(
            """
            CREATE TABLE orders (n int PRIMARY KEY, note text);
            INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n;
            CREATE TABLE "Odd name" AS SELECT n FROM generate_series(1, 5000) n;
            CREATE TABLE events (at date, n int) PARTITION BY RANGE (at);
            CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
            CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
            INSERT INTO events SELECT '2026-01-10', n FROM generate_series(1, 30000) n;
            INSERT INTO events SELECT '2026-02-10', n FROM generate_series(1, 30000) n;
            CREATE TABLE small (n int);
            CREATE SEQUENCE tickets AS smallint START 30000;
            SELECT nextval('tickets');
            CREATE SEQUENCE fresh;
            """
        )
        connection.execute("SELECT pg_create_physical_replication_slot('standby', true)")
        connection.execute("SELECT pg_stat_force_next_flush()")
    yield postgres.dsn("filled")
    with psycopg.connect(postgres.dsn("filled"), autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot('standby')")


def sample(dsn, metrics=(), **policy):
    found = sample_database(
        Database(name="shop", dsn=dsn), DatabaseSampling(**policy), [Metric(**one) for one in metrics], "00000001"
    )
    return {(one.kind, one.resource): one for one in found.samples}, found.checks


def asked(dsn, statement):
    with psycopg.connect(dsn) as connection:
        return float(connection.execute(statement).fetchone()[0])


def test_sizes_are_what_the_server_says(filled):
    found, checks = sample(filled, capacity_bytes={"shop": 10**9})
    assert [check.verdict for check in checks] == [Verdict.OK]
    database = found["database", "shop"]
    assert database.capacity == 10**9
    assert database.used == pytest.approx(asked(filled, "SELECT pg_database_size('filled')"), rel=0.01)
    total = "SELECT pg_total_relation_size('{}')"
    assert found["table", "shop.public.orders"].used == asked(filled, total.format("orders"))
    assert found["table", 'shop.public."Odd name"'].used == asked(filled, total.format('"Odd name"'))
    both = "SELECT pg_total_relation_size('events_1') + pg_total_relation_size('events_2')"
    assert found["table", "shop.public.events"].used == asked(filled, both)
    assert ("table", "shop.public.events_1") not in found
    index = found["index", "shop.public.orders_pkey"]
    assert index.used == asked(filled, "SELECT pg_relation_size('orders_pkey')")
    assert {name for kind, name in found if kind == "relations"} == {"shop/tables", "shop/indexes", "shop/TOAST"}
    assert found["wal", "shop"].used > 0
    assert found["wal written total", "shop"].used > found["slot", "shop.standby"].used >= 0
    assert found["connections", "shop"].capacity == 57
    assert found["connections", "shop"].used >= 1
    tickets = found["sequence", "shop.public.tickets"]
    assert (tickets.used, tickets.capacity) == (30000, 32767)
    assert ("sequence", "shop.public.fresh") not in found
    assert 0 < found["transaction age", "shop"].used < found["transaction age", "shop"].capacity
    assert found["table use total", "shop.public.orders"].used >= 20000


def test_the_tables_that_are_not_among_the_largest_are_one_by_schema(filled):
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("ANALYZE")
    every, _ = sample(filled)
    largest, _ = sample(filled, tables=2, indexes=1)
    tables = {name: one.used for (kind, name), one in largest.items() if kind == "table"}
    assert set(tables) == {
        "shop.public.orders", "shop.public.events", "shop.public.*", "shop.pg_catalog.*", "shop.information_schema.*",
    }  # fmt: skip
    others = [one.used for (kind, name), one in every.items() if kind == "table" and name.startswith("shop.public.")]
    assert sum(value for name, value in tables.items() if name.startswith("shop.public.")) == pytest.approx(
        sum(others), rel=0.1
    )
    assert [name for kind, name in largest if kind == "index"] == ["shop.public.orders_pkey"]


def test_a_table_that_somebody_holds_is_not_waited_for(filled):
    with psycopg.connect(filled) as holder:
        holder.execute("LOCK TABLE orders")
        found, checks = sample(filled)
    assert ("table", "shop.public.orders") in found
    assert [check.verdict for check in checks] == [Verdict.OK]


def test_metrics_are_numbers_read_only_and_in_time_and_one_that_is_not_stops_no_other(filled):
    metrics = [
        {"name": "orders", "sql": "SELECT count(*) FROM orders", "capacity": 1e6},
        {"name": "share", "sql": "SELECT 100 * 0.5 -- 5 %", "unit": "percent"},
        {"name": "text", "sql": "SELECT 'many'"},
        {"name": "none", "sql": "SELECT NULL"},
        {"name": "rows", "sql": "SELECT n FROM orders"},
        {"name": "wrong", "sql": "SELECT count(*) FROM nowhere"},
        {"name": "slow", "sql": "SELECT 1 FROM pg_sleep(30)"},
        {"name": "writes", "sql": "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone"},
        {"name": "escapes", "sql": "SET default_transaction_read_only = off; DELETE FROM orders; SELECT 1"},
        {"name": "last", "sql": "SELECT 7"},
    ]
    found, checks = sample(filled, metrics, statement_timeout_seconds=1)
    assert {name: one.used for (kind, name), one in found.items() if kind == "metric"} == {
        "orders": 20000, "share": 50, "last": 7,
    }  # fmt: skip
    assert (found["metric", "orders"].capacity, found["metric", "share"].unit) == (1e6, "percent")
    failed = {check.name.removeprefix("metric "): check.message for check in checks}
    assert set(failed) == {"text", "none", "rows", "wrong", "slow", "writes", "escapes"}
    assert {check.verdict for check in checks} == {Verdict.FAIL}
    assert "0 in place of NULL" in failed["none"]
    assert "statement timeout" in failed["slow"]
    assert "read-only transaction" in failed["writes"]
    assert asked(filled, "SELECT count(*) FROM orders") == 20000


def test_a_role_without_rights_skips_what_it_may_not_see_and_names_the_grant(filled):
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS nobody_special")
        connection.execute("CREATE ROLE nobody_special LOGIN")
        found, checks = sample(psycopg.conninfo.make_conninfo(filled, user="nobody_special"))
        connection.execute("DROP ROLE nobody_special")
    assert ("table", "shop.public.orders") in found
    assert [(check.name, check.verdict) for check in checks] == [("wal", Verdict.SKIP)]
    assert "GRANT pg_monitor" in checks[0].message
