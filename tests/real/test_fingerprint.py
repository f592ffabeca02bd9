"""What a fingerprint reads, refuses to read, and holds still while it is read."""

import psycopg
import pytest

from tasks.base.errors import RefusedError
from tasks.base.system import Database, FingerprintPolicy
from tasks.postgres.fingerprint.collect import collect, finish
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.snapshot import exported_snapshot


def read(dsn, snapshot=None):
    return collect(Database(name="shop", dsn=dsn), snapshot, FingerprintPolicy(), "test")


def as_reader(dsn):
    return psycopg.conninfo.make_conninfo(dsn, user="shop_reader")


def test_hidden_rows_are_refused_with_what_mends_it(shop):
    with psycopg.connect(shop) as connection:
        connection.execute("GRANT pg_read_all_data TO shop_reader")
    with pytest.raises(RefusedError, match=r"secured.*BYPASSRLS"):
        read(as_reader(shop))


def test_a_table_without_right_is_refused_before_the_snapshot(shop):
    with (
        pytest.raises(RefusedError, match=r"permission denied.*GRANT"),
        exported_snapshot(Database(name="shop", dsn=as_reader(shop)), "test"),
    ):
        pytest.fail("a snapshot was exported without the right to read every table")


def test_truncate_waits_for_the_snapshot(shop):
    whole = read(shop)
    with exported_snapshot(Database(name="shop", dsn=shop), "test") as snapshot:
        with (
            psycopg.connect(shop, options="-c lock_timeout=200ms") as connection,
            pytest.raises(psycopg.errors.LockNotAvailable),
        ):
            connection.execute("TRUNCATE kinds")
        assert compare(whole, read(shop, snapshot)) == []


def test_rows_written_after_the_snapshot_are_not_in_it(shop):
    whole = read(shop)
    with exported_snapshot(Database(name="shop", dsn=shop), "test") as snapshot:
        with psycopg.connect(shop) as connection:
            connection.execute("DELETE FROM kinds WHERE id < 10")
        assert compare(whole, read(shop, snapshot)) == []


def test_a_sequence_may_stand_anywhere_between_before_and_after(shop):
    before = read(shop)
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("SELECT nextval('orders')")
        between = read(shop)
        connection.execute("SELECT nextval('orders')")
        source = finish(before, Database(name="shop", dsn=shop), "test")
        assert compare(source, between) == []
        connection.execute("SELECT nextval('orders')")
    assert [finding.target for finding in compare(source, read(shop))] == ["sequence public.orders"]
