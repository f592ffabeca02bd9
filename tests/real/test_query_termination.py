"""Long statements: listed with what they block, ended only when a person names them, and written down."""

import csv
import io
import threading
import time
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from flows.query_termination import query_termination
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.repository import journal
from tasks.repository.local import LocalStore
from tests.real.upkeep import wait_until

SECRET = "planted-literal-7f3a"


@pytest.fixture
def long_query(shop, system):
    """A session that is at one statement with a secret in it for a while already; it."""
    with busy_with(shop, f"SELECT pg_sleep(600), '{SECRET}' /* ticket {SECRET} */") as found:
        yield found


@contextmanager
def busy_with(dsn, statement, settings=""):
    """A session that is at that statement for longer than the limit when the block begins; what ended it, an error."""
    errors = []
    with psycopg.connect(dsn, autocommit=True, application_name="reporting", options=settings) as session:

        def work():
            try:
                session.execute(statement)
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: is_long(dsn, session))
        yield session, errors
        session.cancel()
        thread.join()


def is_long(dsn, session, waiting=0):
    """Whether it is at its statement or in its transaction for longer than the limit, and so many wait for it."""
    query = (
        "SELECT least(query_start, xact_start) < clock_timestamp() - interval '0.35 s' AND state <> 'idle' "
        "AND (SELECT count(*) = %s FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))) "
        "FROM pg_stat_activity WHERE pid = %s"
    )
    pid = session.info.backend_pid
    with psycopg.connect(dsn) as looker:
        return looker.execute(query, (waiting, pid, pid)).fetchone()[0]


def end(**parameters):
    return query_termination("acme", minutes=0.005, asked_by="maria", **parameters)


def test_it_is_listed_with_its_command_and_without_its_literals(long_query):
    pid = long_query[0].info.backend_pid
    result = end()
    (check,) = [check for check in result.checks if check.target == f"shop session {pid}"]
    assert f"pids=[{pid}] dry_run=false" in check.next_command
    assert "SELECT pg_sleep(?), ?" in check.message
    assert SECRET not in result.model_dump_json()
    assert long_query[1] == []


def test_a_named_one_is_shown_first_and_then_ended_and_that_is_written_down(long_query, system):
    pid = long_query[0].info.backend_pid
    shown = end(pids=[pid])
    assert "would be ended" in shown.headline
    assert long_query[1] == []
    result = end(pids=[pid], dry_run=False)
    assert result.verdict in (Verdict.OK, Verdict.INFO)
    assert isinstance(wait_until(lambda: long_query[1])[0], psycopg.errors.QueryCanceled)
    (row,) = journal.fold(LocalStore(str(system)), "acme", "terminations", ("pid",))
    assert (row["asked_by"], row["how"], row["pid"], row["ended"]) == (
        "maria", "cancel", pid, "its statement ended, the session is idle",
    )  # fmt: skip
    assert SECRET not in str(row)


PROTECTED = [
    ({"application_name": "pg_dump"}, "a backup"),
    ({"application_name": "pg_basebackup"}, "a backup"),
    ({"application_name": "nightshift:backup:db1:0badcafe"}, "a session of Nightshift"),
    ({"application_name": "vacuumdb"}, "maintenance"),
    ({"application_name": "reindexdb"}, "maintenance"),
    ({"application_name": "pg_repack"}, "maintenance"),
    ({"replication": "database"}, None),  # not even listed
]


def test_a_backup_who_maintains_a_session_of_ours_and_replication_are_never_ended(shop, system):
    with ExitStack() as stack:
        # One that replicates takes statements by the simple protocol only.
        sessions = [stack.enter_context(psycopg.connect(shop, **named)) for named, _ in PROTECTED]
        for session in sessions:
            psycopg.ClientCursor(session).execute("SELECT 1")
        time.sleep(0.4)
        pids = [session.info.backend_pid for session in sessions]
        with pytest.raises(NightshiftError, match=r"8 FAIL: .* is a backup, which this flow never ends"):
            end(pids=[*pids, 1], how="terminate", dry_run=False)
        (report,) = (system / "acme/reports/query_termination").glob("*/report.csv")
        rows = {int(row["pid"]): row for row in csv.DictReader(io.StringIO(report.read_text()))}
        assert [row["ended"] for row in rows.values()] == [""] * len(rows)
        assert [rows.get(pid, {}).get("protected") for pid in pids] == [what for _, what in PROTECTED]
        with pytest.raises(NightshiftError, match="session 1: is not at work for longer than 0 s"):
            end(pids=[1], dry_run=False)
        for session in sessions:
            assert psycopg.ClientCursor(session).execute("SELECT 2").fetchone() == (2,)


def test_a_vacuum_that_somebody_runs_by_hand_is_never_ended(shop, system):
    with psycopg.connect(shop) as session:
        session.execute("CREATE TABLE large AS SELECT generate_series(1, 50000) n")
    slow = "-c vacuum_cost_delay=100ms -c vacuum_cost_limit=1"
    with (
        busy_with(shop, "VACUUM large", slow) as (session, errors),
        pytest.raises(NightshiftError, match="is maintenance, which this flow never ends"),
    ):
        end(pids=[session.info.backend_pid], how="terminate", dry_run=False)
    assert [type(error) for error in errors] == [psycopg.errors.QueryCanceled]


def test_nobody_is_ended_when_nobody_is_named_or_when_it_cannot_be_written_down(long_query, system):
    pid = long_query[0].info.backend_pid
    with pytest.raises(NightshiftError, match="nobody is named; add asked_by=NAME"):
        query_termination("acme", minutes=0.005, pids=[pid], dry_run=False)
    history = system / "acme" / "history"
    history.mkdir(parents=True, exist_ok=True)
    (history / "terminations").write_text("in the way")
    with pytest.raises(NightshiftError, match="was not ended, for the store did not take the record of it"):
        end(pids=[pid], dry_run=False)
    assert long_query[1] == []


def test_what_waits_for_it_is_named(shop, system):
    with psycopg.connect(shop) as holder, psycopg.connect(shop) as waiter:
        holder.execute("CREATE TABLE held (n int)")
        holder.commit()
        holder.execute("LOCK TABLE held")
        thread = threading.Thread(target=lambda: waiter.execute("SELECT * FROM held"))
        thread.start()
        wait_until(lambda: is_long(shop, holder, waiting=1))
        result = end()
        target = f"shop session {holder.info.backend_pid}"
        holder.rollback()
        thread.join()
    (check,) = [check for check in result.checks if check.target == target]
    assert check.verdict is Verdict.WARN
    assert "1 sessions wait for it" in check.message
