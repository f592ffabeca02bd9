"""The journal of samples: one row for each kind, resource and day; the last one written for a day counts."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.clock import utc_now
from tasks.base.samples import COUNTER, Dated, Former, Sample, Sampled, sampled
from tasks.repository import tables
from tasks.repository.catalog import list_backups
from tasks.repository.store import Store

STREAM = "samples"
SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("at", pa.timestamp("ms", tz="UTC")),
        ("kind", pa.string()),
        ("resource", pa.string()),
        ("unit", pa.string()),
        ("used", pa.float64()),
        ("capacity", pa.float64()),
    ]
)
KEY = ("kind", "resource", "day")
_COUNTERS_SINCE = timedelta(days=10)


def table_of(found: Sequence[Sample], at: datetime) -> pa.Table:
    """Samples of one moment as rows; the day is that moment's in UTC."""
    return table_of_dated([Dated(at=at, sample=one) for one in found])


def table_of_dated(found: Sequence[Dated]) -> pa.Table:
    """Samples of several moments as rows, the earliest first, so that the last of a day counts."""
    ordered = sorted(found, key=lambda one: one.at)
    columns = {name: [getattr(one.sample, name) for one in ordered] for name in Sample.model_fields}
    moments = pa.array([one.at for one in ordered], SCHEMA.field("at").type)
    return pa.table({"day": moments.cast(pa.date32()), "at": moments, **columns}, schema=SCHEMA)


def append(store: Store, system: str, rows: pa.Table, run_id: str) -> str:
    """Keep rows of SCHEMA; return the key of the object."""
    return tables.append_table(store, system, STREAM, rows, run_id)


def read(store: Store, system: str, since: date | None = None) -> pa.Table:
    """The samples of a system from that day on, sorted by kind, resource and day; without counters, which are told by
    their rates.

    What was imported lies under the day of its import, so all that was written since is read, and its own day counts.
    Raises CorruptError that names an object which cannot be read.
    """
    found = _read(store, system, since)
    return found.filter(pc.invert(pc.ends_with(found["kind"], pattern=COUNTER)))


def _read(store: Store, system: str, since: date | None) -> pa.Table:
    moment = None if since is None else datetime(since.year, since.month, since.day, tzinfo=UTC)
    found = tables.fold_table(store, system, STREAM, SCHEMA, KEY, moment)
    if since is not None:
        found = found.filter(pc.greater_equal(found["day"], pa.scalar(since)))
    return tables.sorted_by(found, KEY)


def compact(store: Store, system: str) -> list[str]:
    """Make one object of each past month, so that a report reads a year in a few dozen requests; return the keys."""
    written = [
        tables.compact_month(store, system, STREAM, SCHEMA, KEY, month)
        for month in tables.past_months(store, system, STREAM, utc_now().date())
    ]
    return [key for key in written if key]


def replaced(store: Store, system: str, rows: pa.Table) -> int:
    """How many of these rows are of a resource and day that is there already."""
    if not rows.num_rows:
        return 0
    there = _read(store, system, pc.min(rows["day"]).as_py()).select(list(KEY))
    return int(rows.select(list(KEY)).join(there, list(KEY), join_type="left semi").num_rows)


def counters(store: Store, system: str, now: datetime) -> dict[tuple[str, str], Former]:
    """What each counter stood at when it was last sampled on an earlier day, by kind and resource."""
    recent = _read(store, system, now.date() - _COUNTERS_SINCE)
    former = recent.filter(
        pc.and_(pc.ends_with(recent["kind"], pattern=COUNTER), pc.less(recent["day"], pa.scalar(now.date())))
    )
    return {
        (row["kind"], row["resource"]): Former(at=row["at"], used=row["used"])
        for row in former.select(["kind", "resource", "at", "used"]).to_pylist()
    }


def of_repository(store: Store, system: str) -> Sampled:
    """What backups take up by database and kind, and what is left of the repository's disk where it has one."""
    stored: Counter[str] = Counter()
    for backup in list_backups(store, system):
        stored[f"{backup.database}/{backup.kind}"] += backup.stored_bytes
    found = [Sample(kind="backups", resource=name, unit="bytes", used=used) for name, used in sorted(stored.items())]
    space = store.disk_space()
    if space is not None:
        used = space.total_bytes - space.free_bytes
        disk = Sample(kind="repository", resource="disk", unit="bytes", used=used, capacity=space.total_bytes)
        found.append(disk)
    return sampled("repository", found)
