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
from tasks.postgres.fingerprint.models import ServerFacts
from tasks.postgres.fingerprint.session import Reader, reader

_TRIES = 3
_LOCKED_AT_A_TIME = 500


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that others may read in while its session is open."""

    id: str
    taken_at: datetime
    lsn: str
    facts: ServerFacts


@contextmanager
def exported_snapshot(database: Database, application_name: str) -> Iterator[Snapshot]:
    """Hold a snapshot open, with all tables locked ACCESS SHARE before it is taken: a later TRUNCATE has to wait.

    Raises RefusedError for a table without rights, IncompleteError when tables come and go too fast.
    """
    for attempt in range(_TRIES):
        with reader(database, None, application_name) as listing:
            before = _tables(listing)
        with reader(database, None, application_name) as session:
            # SET and LOCK take no snapshot, so the one that is exported below is younger than all the locks.
            try:
                _lock(session, before)
            except psycopg.errors.UndefinedTable:
                session.rollback()
                continue
            snapshot = _take(session)
            if set(_tables(session)) - set(before) and attempt < _TRIES - 1:
                continue
            yield snapshot
            return
    raise IncompleteError(
        f"tables of '{database.name}' were dropped faster than they could be locked; start the backup at a calmer time"
    )


def _tables(session: Reader) -> list[tuple[str, str]]:
    return [(str(row[0]), str(row[1])) for row in session.execute(queries.load("tables")).fetchall()]


def _lock(session: Reader, tables: list[tuple[str, str]]) -> None:
    for start in range(0, len(tables), _LOCKED_AT_A_TIME):
        names = sql.SQL(", ").join(sql.Identifier(*table) for table in tables[start : start + _LOCKED_AT_A_TIME])
        session.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(names))


def _take(session: Reader) -> Snapshot:
    identity, taken_at, lsn = cast(tuple[str, datetime, str], session.execute(queries.load("snapshot")).fetchone())
    row = session.execute(queries.load("server_facts")).fetchone() or ()
    keys = (
        "server_version", "server_version_num", "database_name", "encoding", "collate", "ctype", "locale_provider",
        "locale", "collation_version", "database_bytes",
    )  # fmt: skip
    control = session.execute(queries.load("system_identifier")).fetchone()
    facts = dict(zip(keys, row, strict=True)) | {"system_identifier": control[0] if control else ""}
    return Snapshot(id=identity, taken_at=taken_at, lsn=lsn, facts=ServerFacts.model_validate(facts))
