"""Sessions that read for a fingerprint: fixed output settings, one snapshot, cancelled on a stop."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection, IsolationLevel

from tasks.base import stopping
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.connection import connect

Reader = Connection[tuple[object, ...]]


@contextmanager
def reader(database: Database, snapshot_id: str | None, application_name: str) -> Iterator[Reader]:
    """A read-only session in that snapshot, or in one of its own. Database errors become ours, with the table named.

    Raises RefusedError with the statement that mends missing rights.
    """
    with connect(database, application_name=application_name[:63]) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with stopping.on_stop(connection.cancel):
            try:
                if snapshot_id is not None:
                    connection.execute(psycopg.sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot_id))
                for statement in queries.load("reader_session").decode().split(";"):
                    if statement.strip():
                        connection.execute(statement.encode())
                yield connection
                connection.rollback()
            except psycopg.Error as error:
                raise translated(database, error) from None


def translated(database: Database, error: psycopg.Error) -> NightshiftError:
    """The server's error as one sentence, with what mends it."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        mend = "ALTER ROLE … BYPASSRLS" if "row-level security" in text else "GRANT pg_read_all_data TO the role"
        return RefusedError(f"'{database.name}' cannot be read whole: {text}; {mend}, see docs/least_privilege.md")
    return IncompleteError(f"reading '{database.name}' ended: {text}; start the run again")
