"""One lock per database: a session-level advisory lock on its primary. It dies with its holder."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import psycopg
from psycopg import Connection

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import RefusedError, UnreachableError
from tasks.base.system import Database
from tasks.base.words import LockPolicy
from tasks.postgres import queries
from tasks.postgres.connection import connect

# Two fixed numbers ("nigh" in ASCII, and the version of this protocol): advisory locks are per database already.
_LOCK = {"classid": 0x6E696768, "objid": 1}
_POLL_SECONDS = 1.0
_LOG = logging.getLogger("nightshift.lock")


class DatabaseLock:
    """The lock of one database, held by its own session; of something else there when it has a number of its own."""

    def __init__(self, database: Database, connection: Connection[tuple[object, ...]], number: int = 1) -> None:
        self._database, self._connection = database, connection
        self._lock = _LOCK | {"objid": number}

    def check(self) -> None:
        """To be called before anything is committed. Raises UnreachableError when the lock was lost meanwhile."""
        if not self._ask("lock_held"):
            raise UnreachableError(
                f"the session that '{self._database.name}' was locked by no longer holds the lock, nothing was "
                "committed; set lock_dsn to a direct connection, without a pooler, and start the run again"
            )

    def keep(self) -> None:
        """Keep the session for as long as the run takes."""
        self._ask("keep_session")

    def take(self) -> bool:
        """Take the lock; False when somebody else holds it."""
        return bool(self._ask("take_lock"))

    def holder(self) -> str:
        """Who holds it, in words."""
        return str(self._ask("lock_holder") or "a run that has just ended")

    def _ask(self, query: str) -> object:
        try:
            row = self._connection.execute(queries.load(query), self._lock).fetchone()
        except psycopg.OperationalError as error:
            raise UnreachableError(
                f"the session that locks '{self._database.name}' was lost, nothing was committed: "
                f"{' '.join(str(error).split())}; look at the server's log and start the run again"
            ) from None
        return row[0] if row else None


@contextmanager
def database_lock(
    database: Database, kind: str, run_id: str, policy: LockPolicy, wait_seconds: float
) -> Iterator[DatabaseLock]:
    """Hold the database's lock while the block runs; it yields what checks that it is still held.

    Raises RefusedError that names the holder and since when: at once, or after `wait_seconds` when the policy waits.
    """
    with connect(database, application_name=session_name(kind, run_id), dsn=database.lock_dsn) as connection:
        connection.autocommit = True
        lock = DatabaseLock(database, connection)
        lock.keep()
        waited, holder = stopwatch(), ""
        while not lock.take():
            if policy is LockPolicy.REFUSE or waited() > wait_seconds:
                raise RefusedError(
                    f"'{database.name}' is locked by {lock.holder()}; wait for its end, or cancel that run"
                )
            stopping.raise_if_stopped()
            if (now := lock.holder()) != holder:
                holder = now
                _LOG.info(
                    "'%s' is locked by %s; waiting for its end, %.0f s at most", database.name, holder, wait_seconds
                )
            Event().wait(_POLL_SECONDS)
        yield lock


def session_name(kind: str, run_id: str) -> str:
    """nightshift:KIND:HOST:RUN, the host cut so that the run fits into PostgreSQL's 63 bytes."""
    around = len(f"nightshift:{kind}::{run_id}")
    return f"nightshift:{kind}:{socket.gethostname()[: 63 - around]}:{run_id}"
