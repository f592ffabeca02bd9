"""The journal of samples: a day has one sample of a resource, and nothing that was written is lost."""

import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.base import clock
from tasks.base.errors import CorruptError, RefusedError
from tasks.base.samples import Sample
from tasks.repository import journal, samples, tables
from tasks.repository.local import LocalStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "repository"))


@pytest.fixture
def at(monkeypatch):
    """Set the clock by which objects are written."""

    def set_clock(moment):
        monkeypatch.setattr(journal, "utc_now", lambda: moment)
        monkeypatch.setattr(tables, "utc_now", lambda: moment)
        monkeypatch.setattr(samples, "utc_now", lambda: moment)

    set_clock(NOON)
    return set_clock


def one(used, resource="shop", kind="database", capacity=None):
    return Sample(kind=kind, resource=resource, unit="bytes", used=used, capacity=capacity)


def keep(store, moment, *found, run="00000001"):
    return samples.append(store, "acme", samples.table_of(found, moment), run)


def read(store, since=None):
    rows = samples.read(store, "acme", since).to_pylist()
    return [(f"{row['day']}", row["resource"], row["used"]) for row in rows]


def test_two_samples_of_a_day_are_one_the_last(store, at):
    keep(store, NOON, one(1), one(5, "users"))
    at(NOON + timedelta(hours=1))
    keep(store, NOON + timedelta(hours=1), one(2))
    assert read(store) == [("2026-11-21", "shop", 2), ("2026-11-21", "users", 5)]


def test_a_table_of_samples_has_the_documented_columns_and_types(store, at):
    key = keep(store, NOON, one(1, capacity=10), one(2, "users"))
    assert key.startswith("acme/history/samples/2026/11/21/20261121T120000Z-")
    assert key.endswith("-00000001.parquet")
    found = samples.read(store, "acme")
    assert found.schema == samples.SCHEMA
    assert found["capacity"].to_pylist() == [10, None]
    assert found["at"][0].as_py() == NOON
    assert list(found.to_pandas().columns) == ["day", "at", "kind", "resource", "unit", "used", "capacity"]
    assert samples.read(store, "other").schema == samples.SCHEMA


def test_a_clock_that_goes_back_loses_no_day(store, at):
    keep(store, NOON, one(3))
    at(NOON - timedelta(days=2))
    keep(store, NOON - timedelta(days=2), one(1))
    assert read(store) == [("2026-11-19", "shop", 1), ("2026-11-21", "shop", 3)]


def test_two_hosts_at_once_lose_nothing(store):
    gate = threading.Barrier(4)

    def write(host):
        gate.wait()
        for number in range(10):
            keep(store, NOON, one(number, f"{host}.{number}"), run=f"0000000{host}")

    threads = [threading.Thread(target=write, args=(host,)) for host in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {resource for _, resource, _ in read(store)} == {
        f"{host}.{number}" for host in range(4) for number in range(10)
    }


def test_what_was_acknowledged_before_a_kill_is_there(store):
    script = """
import sys
from tasks.base.clock import utc_now
from tasks.base.samples import Sample
from tasks.repository import samples
from tasks.repository.local import LocalStore
for number in range(10**9):
    found = [Sample(kind="database", resource=str(number), unit="bytes", used=row) for row in range(1000)]
    samples.append(LocalStore(sys.argv[1]), "acme", samples.table_of(found, utc_now()), "00000001")
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(5)]
        os.kill(process.pid, 9)
        acknowledged += [int(line) for line in process.stdout.read().splitlines()]
    assert {str(number) for number in acknowledged} <= {resource for _, resource, _ in read(store)}


def test_from_a_day_on_also_what_was_imported_later(store, at):
    for age in range(60):
        at(NOON - timedelta(days=age))
        keep(store, NOON - timedelta(days=age), one(age))
    at(NOON)
    keep(store, NOON - timedelta(days=100), one(100, "imported"), run="00000002")
    keep(store, NOON - timedelta(days=3), one(3, "imported"), run="00000003")
    assert len(read(store)) == 62
    found = read(store, date(2026, 11, 17))
    assert [used for _, resource, used in found if resource == "shop"] == [4, 3, 2, 1, 0]
    assert [used for _, resource, used in found if resource == "imported"] == [3]


def test_a_compacted_year_reads_the_same_in_few_objects_wherever_the_compaction_was_killed(store, at, monkeypatch):
    for age in range(90):
        moment = NOON - timedelta(days=age)
        at(moment)
        keep(store, moment, one(age), one(-1, "twice"))
        keep(store, moment, one(age, "twice"), run="00000002")
    at(NOON)
    before, recent = read(store), read(store, date(2026, 10, 20))
    deleted = []
    monkeypatch.setattr(
        store,
        "delete",
        lambda key: deleted.append(key) if len(deleted) < 7 else (_ for _ in ()).throw(RefusedError("locked")),
    )
    written = samples.compact(store, "acme")
    assert len(written) == 3
    assert read(store) == before
    # What may not be deleted is not written a second time.
    assert samples.compact(store, "acme") == []
    monkeypatch.undo()
    at(NOON)
    samples.compact(store, "acme")
    assert read(store) == before
    assert read(store, date(2026, 10, 20)) == recent
    assert len(list(store.list("acme/history/samples/"))) == 3 + 2 * 21
    # A late writer, whose clock was behind, is taken in.
    at(NOON - timedelta(days=40))
    keep(store, NOON - timedelta(days=40), one(7, "late"))
    at(NOON)
    assert len(samples.compact(store, "acme")) == 1
    assert len(read(store)) == len(before) + 1


def test_a_reader_beside_a_compaction_sees_every_row(store, at):
    for age in range(30, 60):
        moment = NOON - timedelta(days=age)
        at(moment)
        keep(store, moment, one(age))
    at(NOON)
    before = read(store)
    listed = LocalStore.list

    class Compacted(LocalStore):
        def list(self, prefix="", after=""):
            found = list(listed(self, prefix, after))
            samples.compact(store, "acme")
            return iter(found)

    assert read(Compacted(str(store.folder))) == before


def test_a_damaged_object_is_named(store):
    key = keep(store, clock.utc_now(), one(1))
    store.put(key, store.get(key)[:-30])
    with pytest.raises(CorruptError, match=key):
        read(store)


def test_counters_are_kept_for_their_rates_and_not_shown(store, at):
    for age, used in ((3, 10), (1, 30), (0, 99)):
        moment = NOON - timedelta(days=age)
        at(moment)
        keep(store, moment, one(used, kind="wal written total"), one(used))
    assert {row["kind"] for row in samples.read(store, "acme").to_pylist()} == {"database"}
    (former,) = samples.counters(store, "acme", NOON).items()
    assert (former[0], former[1].used, former[1].at) == (("wal written total", "shop"), 30, NOON - timedelta(days=1))


def test_the_repository_is_sampled_by_kind_of_backup(store):
    for number, (database, kind) in enumerate([("shop", "logical"), ("shop", "logical"), ("users", "base")]):
        prefix = f"acme/{database}/{kind}/2026112{number}T020000Z-0000000{number}"
        store.put(f"{prefix}/archive", b"x" * 100)
        store.put(f"{prefix}/manifest.json", b"{}")
    store.put("acme/shop/logical/20261129T020000Z-0000000a/archive", b"unfinished")
    found = {(one.kind, one.resource): one for one in samples.of_repository(store, "acme").samples}
    assert {key: one.used for key, one in found.items() if key[0] == "backups"} == {
        ("backups", "shop/logical"): 204, ("backups", "users/base"): 102,
    }  # fmt: skip
    assert found["repository", "disk"].capacity == store.disk_space().total_bytes
