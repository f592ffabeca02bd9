"""What a fingerprint reads, refuses to read, and holds still while it is read."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from flows.database_backup import database_backup
from tasks.base import stopping
from tasks.base.backup import FingerprintPolicy
from tasks.base.clock import stopwatch
from tasks.base.errors import RefusedError, StoppedError
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.clients import embedded_binaries
from tasks.postgres.fingerprint.collect import collect, finish
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.session import read_in_parallel, reader
from tasks.postgres.fingerprint.snapshot import exported_snapshot
from tests.real.conftest import write_system
from tests.real.ending import wait_until


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
        exported_snapshot(Database(name="shop", dsn=as_reader(shop)), "test", 2),
    ):
        pytest.fail("a snapshot was exported without the right to read every table")


def test_truncate_waits_for_the_snapshot(shop):
    whole = read(shop)
    with exported_snapshot(Database(name="shop", dsn=shop), "test", 2) as snapshot:
        with (
            psycopg.connect(shop, options="-c lock_timeout=200ms") as connection,
            pytest.raises(psycopg.errors.LockNotAvailable),
        ):
            connection.execute("TRUNCATE kinds")
        assert compare(whole, read(shop, snapshot)) == []


def test_a_truncate_that_waits_keeps_no_reader_waiting(shop):
    whole = read(shop)
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s"
    with (
        psycopg.connect(shop, autocommit=True) as connection,
        psycopg.connect(shop, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as thread,
    ):
        with exported_snapshot(Database(name="shop", dsn=shop), "test", 2) as snapshot:
            truncate = thread.submit(connection.execute, "TRUNCATE kinds, secured CASCADE")
            wait_until(lambda: watcher.execute(waiting, [connection.info.backend_pid]).fetchone())
            assert compare(whole, read(shop, snapshot)) == []
        truncate.result()
    assert "table public.kinds" in [finding.target for finding in compare(whole, read(shop))]


def test_a_truncate_before_the_dump_has_its_locks_goes_first_and_a_new_snapshot_is_taken(system, shop, tmp_path):
    real = embedded_binaries()
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in real.iterdir():
        (programs / program.name).symlink_to(program)
    (programs / "pg_dump").unlink()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    # Once, a TRUNCATE comes between the snapshot and the dump.
    (programs / "pg_dump").write_text(
        f"""#!/bin/sh
        case "$*" in *--snapshot*) if mkdir {tmp_path}/once 2> /dev/null; then
          '{real}/psql' -qc 'TRUNCATE secured' '{shop}' > /dev/null 2>&1 &
          while [ "$('{real}/psql' -Atqc "{waiting}" '{shop}')" = 0 ]; do sleep 0.1; done; fi;; esac
        exec '{real}/pg_dump' "$@"
        """
    )
    (programs / "pg_dump").chmod(0o755)
    write_system(tmp_path / "systems", shop, system, "", backup={"binaries": str(programs)})
    result = database_backup("acme")
    assert result.verdict is Verdict.OK, result.headline
    stopping.reset()  # the flow's end is a stop
    assert result.backups[0].rows == sum(table.rows for table in read(shop).tables)
    assert (tmp_path / "once").is_dir()


def test_rows_written_after_the_snapshot_are_not_in_it(shop):
    whole = read(shop)
    with exported_snapshot(Database(name="shop", dsn=shop), "test", 2) as snapshot:
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


def test_a_role_that_is_changed_while_the_backup_runs_is_named_and_no_alarm(shop):
    before = read(shop)
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("ALTER ROLE shop_reader CONNECTION LIMIT 5")
    source = finish(before, Database(name="shop", dsn=shop), "test")
    found = compare(source, read(shop))
    assert [(finding.target, finding.verdict) for finding in found] == [("role shop_reader", Verdict.SKIP)]
    assert "changed while the backup ran" in found[0].message


def test_no_limit_of_the_role_ends_a_long_read(shop):
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    with psycopg.connect(shop, autocommit=True) as connection:
        for limit in limits:
            connection.execute(f"ALTER DATABASE shop SET {limit} = '200ms'")
    with reader(Database(name="shop", dsn=shop), None, "test") as session:
        assert session.execute("SELECT pg_sleep(0.5)").fetchone() is not None
        assert [session.execute(f"SHOW {limit}").fetchone() for limit in limits] == [("0",)] * 3


def ask(session, statement):
    return session.execute(statement).fetchall()


def test_the_first_refusal_ends_the_other_readers_at_once(shop):
    database = Database(name="shop", dsn=as_reader(shop))
    elapsed = stopwatch()
    questions = [partial(ask, statement="SELECT pg_sleep(60)"), partial(ask, statement="SELECT * FROM public.shapes")]
    with (
        pytest.raises(RefusedError, match="permission denied for table shapes"),
        reader(database, None, "test") as one,
        reader(database, None, "test") as other,
    ):
        read_in_parallel(questions, [one, other])
    assert elapsed() < 50, "the other one slept on"


def test_a_stop_in_the_middle_of_a_query_is_a_stop(shop):
    def sleep():
        with reader(Database(name="shop", dsn=shop), None, "test") as session:
            session.execute("SELECT pg_sleep(60)")

    with ThreadPoolExecutor(1) as thread:
        asleep = thread.submit(sleep)
        with pytest.raises(TimeoutError):
            asleep.result(timeout=1)
        stopping.stop_all()
        with pytest.raises(StoppedError):
            asleep.result(timeout=50)
    stopping.reset()
