"""Long statements: listed with what they block, ended only when a person names them, and written down."""

import threading
import time

import psycopg
import pytest

from flows.query_termination import query_termination
from tasks.base.errors import NightshiftError
from tasks.base.words import Verdict
from tasks.repository import journal
from tasks.repository.local import LocalStore

SECRET = "planted-literal-7f3a"


@pytest.fixture
def long_query(shop, system):
    """A session that is at one statement with a secret in it for a while already; it."""
    session = psycopg.connect(shop, autocommit=True, application_name="reporting")
    errors = []

    def work():
        try:
            session.execute(f"SELECT pg_sleep(60), '{SECRET}' /* ticket {SECRET} */")
        except psycopg.Error as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.7)
    yield session, errors
    session.cancel()
    thread.join()
    session.close()


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
    assert isinstance(long_query[1][0], psycopg.errors.QueryCanceled)
    (row,) = journal.fold(LocalStore(str(system)), "acme", "terminations", ("pid",))
    assert (row["asked_by"], row["how"], row["pid"], row["ended"]) == (
        "maria", "cancel", pid, "its statement ended, the session is idle",
    )  # fmt: skip
    assert SECRET not in str(row)


def test_a_backup_a_session_of_ours_and_a_stranger_are_never_ended(shop, system):
    with psycopg.connect(shop, application_name="pg_dump") as dump:
        dump.execute("SELECT 1")
        time.sleep(0.5)
        with pytest.raises(NightshiftError, match="is a backup, which this flow never ends"):
            end(pids=[dump.info.backend_pid], how="terminate", dry_run=False)
        with pytest.raises(NightshiftError, match="is not at work for longer than 0 s"):
            end(pids=[1], dry_run=False)
        assert dump.execute("SELECT 2").fetchone() == (2,)


@pytest.mark.parametrize("name", ["vacuumdb", "reindexdb", "pg_repack"])
def test_who_maintains_is_never_ended(shop, system, name):
    with psycopg.connect(shop, application_name=name) as session:
        session.execute("SELECT 1")
        time.sleep(0.4)
        with pytest.raises(NightshiftError, match="is maintenance, which this flow never ends"):
            end(pids=[session.info.backend_pid], how="terminate", dry_run=False)
        assert session.execute("SELECT 2").fetchone() == (2,)


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
        time.sleep(0.7)
        result = end()
        target = f"shop session {holder.info.backend_pid}"
        holder.rollback()
        thread.join()
    (check,) = [check for check in result.checks if check.target == target]
    assert check.verdict is Verdict.WARN
    assert "1 sessions wait for it" in check.message
