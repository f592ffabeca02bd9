"""One lock per database: a session-level advisory lock on its primary. It dies with its holder."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from psycopg import Connection

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import RefusedError
from tasks.base.system import Database, LockPolicy
from tasks.postgres import queries
from tasks.postgres.connection import connect

# Two fixed numbers ("nigh" in ASCII, and the version of this protocol): advisory locks are per database already.
_LOCK = (0x6E696768, 1)
_POLL_SECONDS = 1.0


@contextmanager
def database_lock(
    database: Database, kind: str, run_id: str, policy: LockPolicy, wait_seconds: float
) -> Iterator[None]:
    """Hold the database's lock while the block runs.

    Raises RefusedError that names the holder and since when: at once, or after `wait_seconds` when the policy waits.
    """
    name = f"nightshift:{kind}:{socket.gethostname()}:{run_id}"[:63]
    with connect(database, application_name=name, dsn=database.lock_dsn) as connection:
        connection.autocommit = True
        connection.execute(queries.load("keep_session"))
        waited = stopwatch()
        while not _try(connection):
            if policy is LockPolicy.REFUSE or waited() > wait_seconds:
                raise RefusedError(
                    f"'{database.name}' is locked by {_holder(connection)}; wait for its end, or cancel that run"
                )
            stopping.raise_if_stopped()
            Event().wait(_POLL_SECONDS)
        yield


def _try(connection: Connection[tuple[object, ...]]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
    return row is not None and bool(row[0])


def _holder(connection: Connection[tuple[object, ...]]) -> str:
    row = connection.execute(queries.load("lock_holder"), {"classid": _LOCK[0], "objid": _LOCK[1]}).fetchone()
    return str(row[0]) if row else "a run that has just ended"
