"""The journal: history of any kind as immutable objects; state is the fold over them, duplicates by key, last wins."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from tasks.base.clock import stamp, utc_now
from tasks.base.errors import CorruptError
from tasks.repository.store import Store

Row = dict[str, Any]


def append(store: Store, system: str, stream: str, rows: Sequence[Row], run_id: str) -> str:
    """Add rows as one JSON-lines object SYSTEM/history/STREAM/YYYY/MM/DD/STAMP-RUN.jsonl; return its key."""
    key = new_key(system, stream, f"{run_id}.jsonl")
    store.put(key, _lines(rows), only_if_absent=True)
    return key


def fold(store: Store, system: str, stream: str, key_fields: Sequence[str], since: datetime | None = None) -> list[Row]:
    """The rows of a stream in order of their time, one for each combination of `key_fields`, the last one.

    `since` passes over the days before its own, by UTC. Raises CorruptError that names the object which cannot be read.
    """
    state: dict[tuple[Any, ...], Row] = {}
    for row in read(store, system, stream, since):
        identity = tuple(row.get(field) for field in key_fields)
        state.pop(identity, None)
        state[identity] = row
    return list(state.values())


def read(store: Store, system: str, stream: str, since: datetime | None = None) -> Iterator[Row]:
    """All rows of a stream in order of their time, also those that stand there twice; the rest as in `fold`."""
    folder = f"{_folder(system, stream)}/"
    for item in store.list(folder, after="" if since is None else f"{folder}{since.astimezone(UTC):%Y/%m/%d}/"):
        yield from _read(store, item.key)


def compact_day(store: Store, system: str, stream: str, day: date) -> str | None:
    """Write all objects of a past day as one, verify it, then delete them; return its key, None when nothing to do.

    A kill in between leaves the rows twice, which the fold makes one again.
    """
    prefix = f"{_folder(system, stream)}/{day:%Y/%m/%d}/"
    keys = [item.key for item in store.list(prefix)]
    if len(keys) < 2:
        return None
    rows = [row for key in keys for row in _read(store, key)]
    # It sorts after all that it holds, so that rows which it has and a late deletion left fold to the same.
    now = utc_now()
    target = f"{prefix}compacted-{stamp(now)}-{now:%f}.jsonl"
    store.put(target, _lines(rows), only_if_absent=True)
    if store.get(target) != _lines(rows):
        raise CorruptError(f"{target} reads back otherwise than it was written; nothing was deleted")
    for key in keys:
        store.delete(key)
    return target


def new_key(system: str, stream: str, name: str) -> str:
    """The key of an object that is written now; NAME ends in its format (`tables` writes Parquet)."""
    now = utc_now()
    # A run may append twice in a second; in key order the later one is the last.
    return f"{_folder(system, stream)}/{now:%Y/%m/%d}/{stamp(now)}-{now:%f}-{name}"


def _folder(system: str, stream: str) -> str:
    return f"{system}/history/{stream}"


def _lines(rows: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows)


def _read(store: Store, key: str) -> list[Row]:
    try:
        return [json.loads(line) for line in store.get(key).splitlines()]
    except ValueError:
        raise CorruptError(f"{key} of the journal cannot be read; remove it or restore it") from None
