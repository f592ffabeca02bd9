"""Collecting a fingerprint: every table counted and hashed in parallel connections of one snapshot."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from fnmatch import fnmatchcase
from hashlib import sha256
from queue import Empty, SimpleQueue
from typing import cast

from psycopg import sql

from tasks.base.system import Database, FingerprintMode, FingerprintPolicy
from tasks.postgres import queries
from tasks.postgres.fingerprint.models import Fingerprint, SequenceFingerprint, TableFingerprint
from tasks.postgres.fingerprint.session import Reader, reader

Columns = list[tuple[str, bool]]
Work = tuple[str, str, FingerprintMode, Columns]


def collect(
    database: Database, snapshot_id: str | None, policy: FingerprintPolicy, application_name: str
) -> Fingerprint:
    """The fingerprint in that snapshot, or of a database that nobody else uses when it is None.

    Sequences hold the same value before and after; `finish` reads them again after a dump.
    """
    with reader(database, snapshot_id, application_name) as session:
        work = _work(session, policy)
        sequences = _sequences(session)
        objects = _objects(session)
        version = session.info.server_version
        count, content = _large_objects(session, policy)
    return Fingerprint(
        server_version_num=version,
        tables=tuple(sorted(_tables(database, snapshot_id, policy, work, application_name), key=lambda t: t.label)),
        sequences=tuple(SequenceFingerprint(name=name, before=value, after=value) for name, value in sequences.items()),
        objects=objects,
        large_objects=count,
        large_objects_hash=content,
        not_compared=tuple(
            f"table {schema}.{name}: fingerprint mode {mode}"
            for schema, name, mode, _ in work
            if mode is not FingerprintMode.CONTENT
        ),
    )


def finish(fingerprint: Fingerprint, database: Database, application_name: str) -> Fingerprint:
    """The fingerprint with the sequences as they stand after the dump; one dropped meanwhile keeps its value."""
    with reader(database, None, application_name) as session:
        after = _sequences(session)
    sequences = tuple(
        sequence.model_copy(update={"after": after.get(sequence.name, sequence.before)})
        for sequence in fingerprint.sequences
    )
    return fingerprint.model_copy(update={"sequences": sequences})


def mode_of(policy: FingerprintPolicy, schema: str, name: str, size_bytes: int) -> FingerprintMode:
    """What is held of a table: the first pattern that matches, else by the policy's mode and size."""
    for pattern, mode in policy.tables.items():
        if fnmatchcase(f"{schema}.{name}", pattern):
            return mode
    if policy.mode is FingerprintMode.CONTENT and size_bytes > policy.content_up_to_bytes:
        return FingerprintMode.COUNTS
    return policy.mode


def table_query(schema: str, name: str, mode: FingerprintMode, columns: Sequence[tuple[str, bool]]) -> sql.Composed:
    """Count, and for content the sum of the row hashes: exact types as they are, all others by their text."""
    table = sql.Identifier(schema, name)
    if mode is not FingerprintMode.CONTENT or not columns:
        return sql.SQL("SELECT count(*), '' FROM ONLY {}").format(table)
    row = sql.SQL(", ").join(
        sql.Identifier(column) if exact else sql.SQL("{}::text").format(sql.Identifier(column))
        for column, exact in columns
    )
    return sql.SQL(
        "SELECT count(*), coalesce(sum(pg_catalog.hash_record_extended(ROW({}), 0)::numeric), 0)::text FROM ONLY {}"
    ).format(row, table)


def _work(session: Reader, policy: FingerprintPolicy) -> list[Work]:
    """Every table with its mode and columns, the largest first."""
    columns: dict[tuple[str, str], Columns] = defaultdict(list)
    for schema, name, column, exact in session.execute(queries.load("columns")).fetchall():
        columns[str(schema), str(name)].append((str(column), bool(exact)))
    rows = cast(list[tuple[str, str, int]], session.execute(queries.load("tables")).fetchall())
    return [(schema, name, mode_of(policy, schema, name, size), columns[schema, name]) for schema, name, size in rows]


def _tables(
    database: Database, snapshot_id: str | None, policy: FingerprintPolicy, work: list[Work], application_name: str
) -> list[TableFingerprint]:
    if policy.mode is FingerprintMode.OFF and not policy.tables:
        return [TableFingerprint(schema_name=schema, name=name, mode=mode) for schema, name, mode, _ in work]
    queue: SimpleQueue[Work] = SimpleQueue()
    for item in work:
        queue.put(item)

    def drain() -> list[TableFingerprint]:
        done: list[TableFingerprint] = []
        with reader(database, snapshot_id, application_name) as session:
            while True:
                try:
                    schema, name, mode, columns = queue.get_nowait()
                except Empty:
                    return done
                done.append(_table(session, schema, name, mode, columns))

    threads = max(1, min(policy.connections, len(work)))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        parts = [pool.submit(copy_context().run, drain) for _ in range(threads)]
        return [table for part in parts for table in part.result()]


def _table(session: Reader, schema: str, name: str, mode: FingerprintMode, columns: Columns) -> TableFingerprint:
    if mode is FingerprintMode.OFF:
        return TableFingerprint(schema_name=schema, name=name, mode=mode)
    row = cast(tuple[int, str], session.execute(table_query(schema, name, mode, columns)).fetchone())
    return TableFingerprint(schema_name=schema, name=name, mode=mode, rows=row[0], content_hash=row[1])


def _sequences(session: Reader) -> dict[str, int]:
    return {str(name): int(cast(int, value)) for name, value in session.execute(queries.load("sequences")).fetchall()}


def _objects(session: Reader) -> dict[str, str]:
    rows = session.execute(queries.load("objects")).fetchall()
    return {f"{section} {identity}": sha256(str(text).encode()).hexdigest() for section, identity, text in rows}


def _large_objects(session: Reader, policy: FingerprintPolicy) -> tuple[int, str]:
    if policy.mode is not FingerprintMode.CONTENT:
        return 0, ""
    return cast(tuple[int, str], session.execute(queries.load("large_objects")).fetchone())
