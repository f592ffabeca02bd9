"""The journal of streams that are tables: the same objects and rules as `journal`, written as Parquet.

For measurements, of which a report reads a year: columns of numbers cost a tenth of JSON lines, in bytes and in time.
"""

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from tasks.base.clock import stamp, utc_now
from tasks.base.errors import CorruptError, MissingError, RefusedError
from tasks.repository import journal
from tasks.repository.store import Store

_LOG = logging.getLogger("nightshift.repository")
_READERS = 8
_TRIES = 5


def append_table(store: Store, system: str, stream: str, table: pa.Table, run_id: str) -> str:
    """Add rows as one object SYSTEM/history/STREAM/YYYY/MM/DD/STAMP-RUN.parquet; return its key."""
    key = journal.new_key(system, stream, f"{run_id}.parquet")
    store.put(key, _bytes(table), only_if_absent=True)
    return key


def fold_table(
    store: Store, system: str, stream: str, schema: pa.Schema, key_fields: Sequence[str], since: datetime | None = None
) -> pa.Table:
    """The rows of a stream in the order in which they were written, one for each combination of `key_fields`, the last.

    `since` passes over what was written on the days before its own, by UTC; of a compacted month all is read. Columns
    that an older object lacks are null. Raises CorruptError that names the object which cannot be read.
    """
    folder = f"{system}/history/{stream}/"
    after = "" if since is None else f"{folder}{since.astimezone(UTC):%Y/%m/%d}/"
    for _ in range(_TRIES):
        keys = [item.key for item in store.list(folder, after=after)]
        try:
            return _folded(store, keys, schema, key_fields)
        except MissingError:
            continue  # it was compacted between the listing and the reading: what holds its rows is listed now
    raise CorruptError(f"objects below {folder} vanish while they are read; look at what deletes them")


def compact_month(
    store: Store, system: str, stream: str, schema: pa.Schema, key_fields: Sequence[str], month: date
) -> str | None:
    """Write all objects of the month of that day as one, verify it, then delete them; its key, None when nothing to do.

    It lies in the month's last day behind all that it holds, so that `since` finds it and a late deletion changes no
    fold. A store that lets nothing be deleted keeps both; nothing is written a second time there.
    """
    prefix = f"{system}/history/{stream}/{month:%Y/%m}/"
    keys = [item.key for item in store.list(prefix)]
    if len(keys) < 2 or store.is_locked(keys[0]):
        return None
    for key in keys:
        # A former run wrote it and was ended, or refused, before it had deleted the others.
        others = [one for one in keys if one != key]
        if key.endswith(f"-{_digest(others)}.parquet"):
            _delete(store, others)
            return None
    try:
        table = _folded(store, keys, schema, key_fields)
    except MissingError:
        return None  # another host is compacting this month
    last_day = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    now = utc_now()
    target = f"{prefix}{last_day:%d}/compacted-{stamp(now)}-{now:%f}-{_digest(keys)}.parquet"
    store.put(target, _bytes(table), only_if_absent=True)
    if not _read(store, target, schema).equals(table):
        raise CorruptError(f"{target} reads back otherwise than it was written; nothing was deleted")
    _delete(store, keys)
    return target


def past_months(store: Store, system: str, stream: str, today: date) -> list[date]:
    """First days of the months before today's that the stream has objects in, by listing folders alone."""
    folder = f"{system}/history/{stream}/"
    months = [
        date(int(year), int(month), 1) for year in store.folders(folder) for month in store.folders(f"{folder}{year}/")
    ]
    return [month for month in months if month < today.replace(day=1)]


def last_of_each(table: pa.Table, fields: Sequence[str]) -> pa.Table:
    """The last row of each combination of those columns, in the order of the rows."""
    _, from_end = np.unique(_codes(table, fields)[::-1], return_index=True)
    return table.take(np.sort(table.num_rows - 1 - from_end))


def sorted_by(table: pa.Table, fields: Sequence[str]) -> pa.Table:
    """The rows in ascending order of those columns."""
    return table.take(np.argsort(_codes(table, fields), kind="stable"))


def _codes(table: pa.Table, fields: Sequence[str]) -> Any:
    """One number for each row that orders and tells apart as those columns do: texts are compared once, not per row."""
    codes = np.zeros(table.num_rows, np.int64)
    for field in fields:
        encoded = table[field].combine_chunks().dictionary_encode(null_encoding="encode")
        distinct = len(encoded.dictionary)
        rank = np.empty(distinct, np.int64)
        rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(distinct)
        codes = codes * distinct + rank[encoded.indices.to_numpy()]
    return codes


def _folded(store: Store, keys: Sequence[str], schema: pa.Schema, key_fields: Sequence[str]) -> pa.Table:
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        pieces = list(pool.map(lambda key: _read(store, key, schema), keys))
    return last_of_each(pa.concat_tables([schema.empty_table(), *pieces]), key_fields).combine_chunks()


def _read(store: Store, key: str, schema: pa.Schema) -> pa.Table:
    try:
        table = parquet.read_table(io.BytesIO(store.get(key)), use_threads=False)
        columns = [
            table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)
    except (pa.ArrowException, OSError):
        raise CorruptError(f"{key} of the journal cannot be read; remove it or restore it") from None


def _bytes(table: pa.Table) -> bytes:
    text = io.BytesIO()
    parquet.write_table(table, text, compression="zstd")
    return text.getvalue()


def _digest(keys: Sequence[str]) -> str:
    return sha256("\n".join(sorted(keys)).encode()).hexdigest()[:12]


def _delete(store: Store, keys: Sequence[str]) -> None:
    try:
        for key in keys:
            store.delete(key)
    except RefusedError as error:
        _LOG.warning("compacted, and what was compacted is still there: %s", error)
