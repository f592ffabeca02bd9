"""Sessions that read for a fingerprint: fixed output settings, one snapshot, cancelled on a stop."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TypeVar

import psycopg
from psycopg import Connection, IsolationLevel, sql

from tasks.base import stopping
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError, UnreachableError
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.connection import connect

Reader = Connection[tuple[object, ...]]
Result = TypeVar("Result")
_AGAIN_SECONDS = 0.2


@contextmanager
def reader(database: Database, snapshot_id: str | None, application_name: str) -> Iterator[Reader]:
    """A read-only session in that snapshot, or in one that its first query takes. Database errors become ours.

    Raises RefusedError with the statement that mends missing rights, UnreachableError when the connection was lost,
    StoppedError when the run was stopped in the middle of a query.
    """
    with connect(database, application_name=application_name[:63]) as connection, stopping.on_stop(connection.cancel):
        try:
            connection.execute(queries.load("reader_session"))
            # Settled before the transaction begins, so that the settings outlive its end and take no snapshot in it.
            connection.commit()
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            if snapshot_id is not None:
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot_id))
            yield connection
            # Everything was read: a session that the server has ended meanwhile takes nothing back.
            with contextlib.suppress(psycopg.Error):
                connection.rollback()
        except psycopg.Error as error:
            stopping.raise_if_stopped()
            raise translated(database, error) from None


def translated(database: Database, error: psycopg.Error) -> NightshiftError:
    """The server's error as one sentence, with what mends it."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        mend = "ALTER ROLE … BYPASSRLS" if "row-level security" in text else "GRANT pg_read_all_data TO the role"
        if "pg_authid" in text:
            mend = "set backup.role_passwords: false, or GRANT pg_read_all_data"
        return RefusedError(f"'{database.name}' cannot be read whole: {text}; {mend}, see docs/least_privilege.md")
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P").startswith("57P"):
        return UnreachableError(f"the connection to '{database.name}' was lost: {text}; look whether the server runs")
    return IncompleteError(f"reading '{database.name}' ended: {text}; start the run again")


def read_in_parallel(questions: Sequence[Callable[[Reader], Result]], sessions: Sequence[Reader]) -> list[Result]:
    """The answers, in the order of the questions, each asked in the session that is free next.

    The first error ends the other sessions at once, and is the one that is raised.
    """
    queue: SimpleQueue[int] = SimpleQueue()
    for place in range(len(questions)):
        queue.put(place)
    answers: dict[int, Result] = {}

    def drain(session: Reader) -> None:
        with contextlib.suppress(Empty):
            while True:
                place = queue.get_nowait()
                answers[place] = questions[place](session)

    with ThreadPoolExecutor(max_workers=len(sessions)) as pool:
        parts = [pool.submit(copy_context().run, drain, session) for session in sessions]
        ended, going = wait(parts, return_when=FIRST_EXCEPTION)
        _end(going, queue, sessions)
    for part in ended:
        part.result()
    return [answers[place] for place in range(len(questions))]


def _end(going: set[Future[None]], queue: SimpleQueue[int], sessions: Sequence[Reader]) -> None:
    """Cancel what the others do, again until they have ended: a cancel between two queries reaches none."""
    while going:
        with contextlib.suppress(Empty):
            while True:
                queue.get_nowait()
        for one in sessions:
            with contextlib.suppress(psycopg.Error):
                one.cancel()
        _, going = wait(going, timeout=_AGAIN_SECONDS)
