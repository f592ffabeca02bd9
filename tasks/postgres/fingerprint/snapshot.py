"""The exported snapshot that dump and fingerprint share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import psycopg
from psycopg import sql

from tasks.base.errors import IncompleteError
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.fingerprint.models import SequenceFingerprint, ServerFacts
from tasks.postgres.fingerprint.sequences import read_sequences
from tasks.postgres.fingerprint.session import Reader, reader

_ROUNDS = 20
_LOCKED_AT_A_TIME = 500
Names = set[tuple[str, str]]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that others may read in while its session is open."""

    id: str
    taken_at: datetime
    lsn: str
    facts: ServerFacts
    sequences: dict[str, SequenceFingerprint]


@contextmanager
def exported_snapshot(database: Database, application_name: str) -> Iterator[Snapshot]:
    """Hold a snapshot open, with all tables locked ACCESS SHARE before it is taken: a later TRUNCATE has to wait.

    Raises RefusedError for a table without rights, IncompleteError when tables come and go too fast.
    """
    with reader(database, None, application_name) as locks, reader(database, None, application_name) as session:
        _lock_all(database, locks, session)
        snapshot = _take(session)
        yield snapshot


def _lock_all(database: Database, locks: Reader, session: Reader) -> None:
    """Leave the session in a snapshot of whose tables each was locked before it, by the other session."""
    locked: Names = set()
    for _ in range(_ROUNDS):
        tables = cast(Names, set(session.execute(queries.load("lockable_tables")).fetchall()))
        if tables <= locked:
            return
        session.rollback()
        locked |= _lock(locks, sorted(tables - locked))
    raise IncompleteError(
        f"tables of '{database.name}' came and went faster than they could be locked; start the backup at a calmer time"
    )


def _lock(session: Reader, tables: list[tuple[str, str]]) -> Names:
    """Lock what is still there; of a portion in which one is gone, none, and the next round tries the others."""
    locked: Names = set()
    session.execute("SELECT")  # begins the transaction that holds the locks, so that each portion is a savepoint in it
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


def _take(session: Reader) -> Snapshot:
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
    )
