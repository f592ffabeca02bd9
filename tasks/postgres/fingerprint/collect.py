"""Collecting a fingerprint: every table counted and hashed in parallel connections of one snapshot."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import cast

from psycopg import sql

from tasks.base.backup import FingerprintMode, FingerprintPolicy
from tasks.base.system import Database
from tasks.postgres import queries
from tasks.postgres.fingerprint.definitions import changed_between, read_definitions
from tasks.postgres.fingerprint.models import Fingerprint, SequenceFingerprint, TableFingerprint
from tasks.postgres.fingerprint.sequences import read_sequences
from tasks.postgres.fingerprint.session import Reader, read_in_parallel, reader
from tasks.postgres.fingerprint.snapshot import Snapshot

# Large objects are counted and hashed as one table, and a policy may name it by this.
LARGE_OBJECTS = ("pg_catalog", "pg_largeobject")
# A column's name, and how `queries/columns.sql` says that it is hashed.
Columns = list[tuple[str, str]]
Answer = TableFingerprint | dict[str, str]
_HASHED = {
    "exact": sql.SQL("{}"),
    "text": sql.SQL('{}::text COLLATE "C"'),
    # format() writes nothing for NULL, which is not the empty text.
    "output": sql.SQL("CASE pg_catalog.num_nulls({0}) WHEN 0 THEN pg_catalog.format('%s', {0}) COLLATE \"C\" END"),
}


def collect(
    database: Database,
    snapshot: Snapshot | None,
    policy: FingerprintPolicy,
    application_name: str,
    *,
    role_passwords: bool = False,
) -> Fingerprint:
    """The fingerprint in that snapshot, or of a database that nobody else uses when it is None.

    Sequences hold the same position before and after; `finish` reads them again after a dump. Raises RefusedError
    for what may not be read, UnreachableError, StoppedError.
    """
    with _sessions(database, snapshot, policy, application_name) as sessions:
        session = sessions[0]
        sequences = snapshot.sequences if snapshot else read_sequences(session)
        extensions = dict(cast(list[tuple[str, str]], session.execute(queries.load("extensions")).fetchall()))
        not_compared = dict(cast(list[tuple[str, str]], session.execute(queries.load("not_compared")).fetchall()))
        questions: list[Callable[[Reader], Answer]]
        questions = [partial(read_definitions, role_passwords=role_passwords), *_questions(session, policy)]
        answers = read_in_parallel(questions, sessions)
        version = session.info.server_version
    definitions, (large_objects, *tables) = cast(dict[str, str], answers[0]), cast(list[TableFingerprint], answers[1:])
    return Fingerprint(
        server_version_num=version,
        tables=tuple(sorted(tables, key=lambda table: table.label)),
        sequences=sequences,
        objects=definitions,
        extensions=extensions,
        large_objects=large_objects,
        not_compared=not_compared,
    )


def finish(fingerprint: Fingerprint, database: Database, application_name: str) -> Fingerprint:
    """The fingerprint with what no snapshot holds still as it stands after the dump: sequences, and roles.

    A sequence that was dropped meanwhile keeps its position; a role that was changed is not compared.
    """
    with reader(database, None, application_name) as session:
        now = read_sequences(session)
        changed = changed_between(fingerprint.objects, session)
    sequences: dict[str, SequenceFingerprint] = {
        name: sequence.model_copy(update={"after": now.get(name, sequence).before})
        for name, sequence in fingerprint.sequences.items()
    }
    not_compared = fingerprint.not_compared | dict.fromkeys(changed, "it was changed while the backup ran")
    return fingerprint.model_copy(update={"sequences": sequences, "not_compared": not_compared})


def mode_of(policy: FingerprintPolicy, schema: str, name: str, size_bytes: int) -> FingerprintMode:
    """What is held of a table: the first pattern that matches, else by the policy's mode and size."""
    for pattern, mode in policy.tables.items():
        if fnmatchcase(f"{schema}.{name}", pattern):
            return mode
    if policy.mode is FingerprintMode.CONTENT and size_bytes > policy.content_up_to_bytes:
        return FingerprintMode.COUNTS
    return policy.mode


def table_query(schema: str, name: str, mode: FingerprintMode, columns: Sequence[tuple[str, str]]) -> sql.Composed:
    """Count, and for content the sum of the row hashes: exact types as they are, all others by their text.

    Text is hashed by its bytes, whatever the column's collation holds equal.
    """
    table = sql.Identifier(schema, name)
    if mode is not FingerprintMode.CONTENT or not columns:
        return sql.SQL("SELECT count(*), '' FROM ONLY {}").format(table)
    row = sql.SQL(", ").join(_HASHED[how].format(sql.Identifier(column)) for column, how in columns)
    return sql.SQL(
        "SELECT count(*), coalesce(sum(pg_catalog.hash_record_extended(ROW({}), 0)), 0)::text FROM ONLY {}"
    ).format(row, table)


@contextmanager
def _sessions(
    database: Database, snapshot: Snapshot | None, policy: FingerprintPolicy, application_name: str
) -> Iterator[Sequence[Reader]]:
    """Those of the snapshot, or own ones."""
    with ExitStack() as opened:
        if snapshot:
            yield snapshot.readers
        else:
            yield [opened.enter_context(reader(database, None, application_name)) for _ in range(policy.connections)]


def _questions(session: Reader, policy: FingerprintPolicy) -> list[Callable[[Reader], Answer]]:
    """What is asked in parallel: the large objects, then every table, the largest first."""
    columns: dict[tuple[str, str], Columns] = defaultdict(list)
    for schema, name, column, how in session.execute(queries.load("columns")).fetchall():
        columns[str(schema), str(name)].append((str(column), str(how)))
    (size,) = cast(tuple[int], session.execute(queries.load("large_objects_size")).fetchone())
    rows = cast(list[tuple[str, str, int]], session.execute(queries.load("tables")).fetchall())
    return [
        partial(_large_objects, mode=mode_of(policy, *LARGE_OBJECTS, size)),
        *(
            partial(
                _table,
                schema=schema,
                name=name,
                mode=mode_of(policy, schema, name, size),
                columns=columns[schema, name],
            )
            for schema, name, size in rows
        ),
    ]


def _table(session: Reader, schema: str, name: str, mode: FingerprintMode, columns: Columns) -> TableFingerprint:
    if mode is FingerprintMode.OFF:
        return TableFingerprint(schema_name=schema, name=name, mode=mode)
    row = cast(tuple[int, str], session.execute(table_query(schema, name, mode, columns)).fetchone())
    return TableFingerprint(schema_name=schema, name=name, mode=mode, rows=row[0], content_hash=row[1])


def _large_objects(session: Reader, mode: FingerprintMode) -> TableFingerprint:
    schema, name = LARGE_OBJECTS
    if mode is FingerprintMode.OFF:
        return TableFingerprint(schema_name=schema, name=name, mode=mode)
    query = "large_objects" if mode is FingerprintMode.CONTENT else "large_object_count"
    row = cast(tuple[int, str], session.execute(queries.load(query)).fetchone())
    return TableFingerprint(schema_name=schema, name=name, mode=mode, rows=row[0], content_hash=row[1])
