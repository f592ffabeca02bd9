"""Sessions that maintain: gentle by policy, cancelled on a stop and at the window's end."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psycopg
from psycopg import Connection, sql

from tasks.base import stopping
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError, StoppedError, UnreachableError
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.connection import connect, lost

Session = Connection[tuple[object, ...]]
# Limits that a role has for its daily work are not meant for maintenance; and a server that cannot tell that its
# client died would go on for hours.
_SETTINGS = {"statement_timeout": "0", "lock_timeout": "0", "client_connection_check_interval": "5s"}


@contextmanager
def maintaining(
    database: Database, run_id: str, settings: dict[str, str] | None = None, *, stoppable: bool = True
) -> Iterator[Session]:
    """An autocommitting session on the primary; what the server says inside the block becomes ours.

    A stop cancels what it does, unless it is the one that cleans up behind those that were stopped.
    """
    name = f"nightshift:maintenance:{run_id}"
    with connect(database, application_name=name, dsn=database.lock_dsn) as session:
        session.autocommit = True
        with stopping.on_stop(session.cancel) if stoppable else nullcontext():
            try:
                session.execute(queries.load("keep_session"))
                for key, value in {**_SETTINGS, **(settings or {})}.items():
                    session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(key), sql.Literal(value)))
                yield session
            except psycopg.Error as error:
                raise translated(database, error) from None


def translated(database: Database, error: psycopg.Error) -> NightshiftError:
    """The server's error as one sentence."""
    text = " ".join(str(error).split())
    if stopping.stop_requested():
        return StoppedError(f"maintenance of '{database.name}' was stopped: {text}")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return RefusedError(f"'{database.name}' refused: {text}; see docs/least_privilege.md")
    if lost(error):
        return UnreachableError(f"the session to '{database.name}' was lost: {text}; start the run again")
    return IncompleteError(f"maintenance of '{database.name}' ended: {text}; start the run again")
