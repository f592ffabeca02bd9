"""The exported snapshot that dump and fingerprint share."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import psycopg
from psycopg import sql

from tasks.base import stopping
from tasks.base.clock import stopwatch
from tasks.base.errors import IncompleteError
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.fingerprint.models import SequenceFingerprint, ServerFacts
from tasks.postgres.fingerprint.sequences import read_sequences
from tasks.postgres.fingerprint.session import Reader, reader

_LOCKED_AT_A_TIME = 500
_GIVE_UP_SECONDS = 600.0
# Shorter than a server's deadlock_timeout, so that nobody else's statement ends because of ours.
_LOCK_TIMEOUT = b"SET LOCAL lock_timeout = '500ms'"
_READ_TIMEOUT = b"SET LOCAL lock_timeout = '10min'"
Names = set[tuple[str, str]]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that others may read in while its session is open.

    Its readers hold a lock on every table, so that none of them ever waits in the queue behind a TRUNCATE.
    """

    id: str
    taken_at: datetime
    lsn: str
    facts: ServerFacts
    sequences: dict[str, SequenceFingerprint]
    readers: tuple[Reader, ...]

    def cancel(self) -> None:
        """Cancel what the readers are doing at this moment."""
        for one in self.readers:
            with suppress(psycopg.Error):
                one.cancel()


@contextmanager
def exported_snapshot(database: Database, application_name: str, connections: int) -> Iterator[Snapshot]:
    """Hold a snapshot open, with so many readers, each of which locked all tables before it: a TRUNCATE has to wait.

    Raises RefusedError for a table without rights, IncompleteError when the tables cannot be locked within ten minutes.
    """
    with ExitStack() as sessions:
        readers = [sessions.enter_context(reader(database, None, application_name)) for _ in range(connections)]
        exporter = sessions.enter_context(reader(database, None, application_name))
        _lock_all(database, readers, exporter)
        snapshot = _take(exporter, tuple(readers))
        for one in readers:
            one.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot.id))
            one.execute(_READ_TIMEOUT)
        yield snapshot


def _lock_all(database: Database, readers: list[Reader], exporter: Reader) -> None:
    """Leave the exporter in a snapshot all of whose tables were locked by each reader before it was taken."""
    locked: Names = set()
    elapsed = stopwatch()
    while elapsed() < _GIVE_UP_SECONDS:
        stopping.raise_if_stopped()
        tables = cast(Names, set(exporter.execute(queries.load("lockable_tables")).fetchall()))
        if tables <= locked:
            return
        exporter.rollback()
        try:
            # What was dropped since it was listed is locked by none, and is not listed again.
            locked |= set.intersection(*(_lock(one, sorted(tables - locked)) for one in readers))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            # A TRUNCATE waits for one reader, and the next one waits behind it: it goes first, then all begin again.
            for one in readers:
                one.rollback()
            locked = set()
    raise IncompleteError(
        f"the tables of '{database.name}' could not all be locked for reading within {_GIVE_UP_SECONDS:.0f} s; "
        "look in pg_locks at who holds them, or start the backup at a calmer time"
    )


def _lock(session: Reader, tables: list[tuple[str, str]]) -> Names:
    """Lock what is still there; of a portion in which one is gone, none."""
    locked: Names = set()
    # Neither SET nor LOCK takes a snapshot, so that the session may enter the exported one afterwards.
    session.execute(_LOCK_TIMEOUT)
    for start in range(0, len(tables), _LOCKED_AT_A_TIME):
        portion = tables[start : start + _LOCKED_AT_A_TIME]
        names = sql.SQL(", ").join(sql.Identifier(*table) for table in portion)
        try:
            with session.transaction():
                session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(names))
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            continue
        locked.update(portion)
    return locked


def _take(session: Reader, readers: tuple[Reader, ...]) -> Snapshot:
    identity, taken_at, lsn = cast(tuple[str, datetime, str], session.execute(queries.load("snapshot")).fetchone())
    row = session.execute(queries.load("server_facts")).fetchone() or ()
    keys = (
        "server_version", "server_version_num", "database_name", "encoding", "collate", "ctype", "locale_provider",
        "locale", "collation_version", "database_bytes",
    )  # fmt: skip
    control = session.execute(queries.load("system_identifier")).fetchone()
    facts = dict(zip(keys, row, strict=True)) | {
        "system_identifier": control[0] if control else "",
        "collations_in_use": dict(
            cast(list[tuple[str, str]], session.execute(queries.load("collations_in_use")).fetchall())
        ),
    }
    return Snapshot(
        id=identity,
        taken_at=taken_at,
        lsn=lsn,
        facts=ServerFacts.model_validate(facts),
        sequences=read_sequences(session),
        readers=readers,
    )
