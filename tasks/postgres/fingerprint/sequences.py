"""Sequences move inside a snapshot, so it is kept where each stood before the dump and after it."""

from typing import cast

import psycopg
from psycopg import sql

from tasks.postgres import queries
from tasks.postgres.fingerprint.models import Position, SequenceFingerprint
from tasks.postgres.fingerprint.session import Reader

_READ_AT_A_TIME = 500
_TRIES = 5


def read_sequences(session: Reader) -> dict[str, SequenceFingerprint]:
    """Where every sequence of the session's snapshot stands now, by SCHEMA.NAME; both positions are the same."""
    for _ in range(_TRIES - 1):
        try:
            return _read(session)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            continue  # one was dropped since it was listed; it is not listed again
    return _read(session)


def stood_at(sequence: SequenceFingerprint, position: Position) -> bool:
    """Whether the sequence may have stood there while it was dumped.

    One that cycles may have stood anywhere: that it stands where it stood can also mean that it went round.
    """
    if sequence.cycles:
        return True
    low, high = sorted((sequence.before, sequence.after), key=lambda end: _order(sequence, end))
    return _order(sequence, low) <= _order(sequence, position) <= _order(sequence, high)


def _order(sequence: SequenceFingerprint, position: Position) -> tuple[int, bool]:
    return (position.last_value if sequence.increment > 0 else -position.last_value, position.is_called)


def _read(session: Reader) -> dict[str, SequenceFingerprint]:
    rows = cast(list[tuple[str, str, int, bool]], session.execute(queries.load("sequences")).fetchall())
    positions: list[Position] = []
    # The listing has begun a transaction; an error inside the block leaves it and its snapshot as they were.
    with session.transaction():
        for start in range(0, len(rows), _READ_AT_A_TIME):
            positions += _positions(session, [row[:2] for row in rows[start : start + _READ_AT_A_TIME]])
    return {
        f"{schema}.{name}": SequenceFingerprint(before=stands, after=stands, increment=increment, cycles=cycles)
        for (schema, name, increment, cycles), stands in zip(rows, positions, strict=True)
    }


def _positions(session: Reader, names: list[tuple[str, str]]) -> list[Position]:
    """One query for many: no catalog holds where a sequence stands that was not called yet."""
    each = (
        sql.SQL("SELECT {}::int, last_value, is_called FROM {}").format(place, sql.Identifier(*name))
        for place, name in enumerate(names)
    )
    rows = session.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()
    return [Position(last_value=cast(int, row[1]), is_called=bool(row[2])) for row in sorted(rows)]
