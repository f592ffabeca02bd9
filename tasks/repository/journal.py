"""The journal: history of any kind as immutable objects; state is the fold over them, duplicates by key, last wins."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from tasks.base.clock import stamp, utc_now
from tasks.base.collector import collector_paused
from tasks.base.errors import CorruptError, MissingError
from tasks.repository.store import Store

Row = dict[str, Any]
# A run that stands in this stream has published its result: it was told to its readers.
EVIDENCE = "evidence"
_SUFFIX = ".jsonl"
_TRIES = 5
_LINES_AT_ONCE = 1000
# json.dumps makes an encoder for each row when keys are sorted, which takes as long as the row.
_ENCODER = json.JSONEncoder(sort_keys=True)


def append(store: Store, system: str, stream: str, rows: Sequence[Row], run_id: str) -> str:
    """Add rows as one JSON-lines object SYSTEM/history/STREAM/YYYY/MM/DD/STAMP-RUN.jsonl; return its key."""
    key = new_key(system, stream, f"{run_id}.jsonl")
    store.put(key, _lines(rows), only_if_absent=True)
    return key


@collector_paused()
def fold(store: Store, system: str, stream: str, key_fields: Sequence[str], since: datetime | None = None) -> list[Row]:
    """The rows of a stream in order of their time, one for each combination of `key_fields`, the last one.

    `since` passes over the days before its own, by UTC. Raises CorruptError that names the object which cannot be read.
    """
    state: dict[tuple[Any, ...], Row] = {}
    for row in read(store, system, stream, since):
        identity = tuple([row.get(field) for field in key_fields])
        state.pop(identity, None)
        state[identity] = row
    return list(state.values())


def read(store: Store, system: str, stream: str, since: datetime | None = None) -> Iterator[Row]:
    """All rows of a stream in order of their time, also those that stand there twice; the rest as in `fold`.

    They are read object by object as they are asked for, so that no more than one is held.
    """
    folder = f"{_folder(system, stream)}/"
    after = "" if since is None else f"{folder}{since.astimezone(UTC):%Y/%m/%d}/"
    misses = 0
    while misses < _TRIES:
        try:
            for key in [item.key for item in store.list(folder, after=after)]:
                yield from _read(store, key)
                after, misses = key, 0
        except MissingError:
            # It was compacted after it was listed: what holds its rows now sorts behind it, see `compact_day`.
            misses += 1
        else:
            return
    raise CorruptError(f"objects below {folder} vanish while they are read; look at what deletes them")


def compact_day(store: Store, system: str, stream: str, day: date) -> str | None:
    """Write all objects of a past day as one, verify it, then delete them; its key, None when nothing was to do.

    Rows stay as they are and in their order: some belong together. A kill in between leaves rows twice, which every
    reader makes one again. Raises RefusedError when the store does not let them be deleted; the next try then writes
    nothing again.
    """
    prefix = f"{_folder(system, stream)}/{day:%Y/%m/%d}/"
    keys = [item.key for item in store.list(prefix) if item.key.endswith(_SUFFIX)]
    if len(keys) < 2 or store.is_locked(keys[0]):
        return None
    target = next((key for key in keys if key.endswith(f"-{_digest(set(keys) - {key})}{_SUFFIX}")), None)
    if target is None:
        # It sorts after all that it holds, so that rows which it has and a late deletion left fold to the same.
        now = utc_now()
        target = f"{prefix}compacted-{stamp(now)}-{now:%f}-{_digest(keys)}{_SUFFIX}"
        data = _lines([row for key in keys for row in _read(store, key)])
        store.put(target, data, only_if_absent=True)
        if store.get(target) != data:
            raise CorruptError(f"{target} reads back otherwise than it was written; nothing was deleted")
    for key in keys:
        if key != target:
            store.delete(key)
    return target


def new_key(system: str, stream: str, name: str) -> str:
    """The key of an object that is written now; NAME ends in its format (`tables` writes Parquet)."""
    now = utc_now()
    # A run may append twice in a second; in key order the later one is the last.
    return f"{_folder(system, stream)}/{now:%Y/%m/%d}/{stamp(now)}-{now:%f}-{name}"


def _digest(keys: Iterable[str]) -> str:
    """Names a set of objects, so that a compaction whose deletions were refused is known again."""
    return sha256("\n".join(sorted(keys)).encode()).hexdigest()[:12]


def _folder(system: str, stream: str) -> str:
    return f"{system}/history/{stream}"


def _lines(rows: Sequence[Row]) -> bytes:
    return b"".join(_ENCODER.encode(row).encode() + b"\n" for row in rows)


def _read(store: Store, key: str) -> Iterator[Row]:
    lines = store.get(key).splitlines()
    try:
        # Many lines by one call: line by line, half of the time goes into the calls.
        for start in range(0, len(lines), _LINES_AT_ONCE):
            yield from json.loads(b"[" + b",".join(lines[start : start + _LINES_AT_ONCE]) + b"]")
    except ValueError:
        raise CorruptError(f"{key} of the journal cannot be read; remove it or restore it") from None
