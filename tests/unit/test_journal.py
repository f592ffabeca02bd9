"""The journal: nothing that was acknowledged is lost, whoever writes beside it or is killed."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import CorruptError, RefusedError
from tasks.repository import compaction, journal
from tasks.repository.local import LocalStore

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "repository"))


def rows(store, since=None):
    return [row["n"] for row in journal.fold(store, "acme", "samples", ["n"], since)]


def put_day(store, day, *numbers):
    for number in numbers:
        key = f"acme/history/samples/{day:%Y/%m/%d}/{day:%Y%m%d}T0{number}0000Z-run.jsonl"
        store.put(key, json.dumps({"n": number, "day": day.isoformat()}).encode() + b"\n")


def test_two_writers_at_once_lose_nothing(store):
    gate = threading.Barrier(4)

    def write(writer):
        gate.wait()
        for number in range(25):
            journal.append(store, "acme", "samples", [{"writer": writer, "n": number}], f"0000000{writer}")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = journal.fold(store, "acme", "samples", ["writer", "n"])
    assert {(row["writer"], row["n"]) for row in found} == {(one, number) for one in range(4) for number in range(25)}


def test_what_was_acknowledged_before_a_kill_is_there_and_nothing_half_is(store):
    script = """
import sys
from tasks.repository import compaction, journal
from tasks.repository.local import LocalStore
store = LocalStore(sys.argv[1])
for number in range(10**9):
    journal.append(store, "acme", "samples", [{"n": number, "padding": "x" * 100000}], "00000001")
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, 9)
        acknowledged += [int(line) for line in process.stdout.read().splitlines()]
    found = rows(store)
    # What was written and not yet said may be there too.
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) - len(acknowledged) <= 1
    journal.append(store, "acme", "samples", [{"n": -1}], "00000002")
    assert rows(store)[-1] == -1


def test_of_rows_with_one_key_the_last_wins_also_within_a_second(store):
    for number in range(5):
        rows_now = [{"name": "a", "n": number}, {"name": "b", "n": -number}]
        journal.append(store, "acme", "samples", rows_now, "00000001")
    assert [row["n"] for row in journal.fold(store, "acme", "samples", ["name"])] == [4, -4]


def test_since_passes_over_the_days_before_it(store):
    for age in range(4):
        put_day(store, NOW - timedelta(days=age), age)
    assert rows(store) == [3, 2, 1, 0]
    assert rows(store, NOW - timedelta(days=1, hours=1)) == [1, 0]
    assert rows(store, datetime(2026, 11, 20, 23, 30, tzinfo=UTC).astimezone()) == [1, 0]
    assert rows(store, NOW + timedelta(days=30)) == []


def test_compaction_changes_no_state_even_when_it_is_killed_halfway(store):
    put_day(store, NOW, 3, 1, 2)
    put_day(store, NOW - timedelta(days=1), 7)
    before = journal.fold(store, "acme", "samples", ["n"])
    kept = {item.key: store.get(item.key) for item in store.list("acme/")}
    compacted = journal.compact_day(store, "acme", "samples", NOW.date())
    assert compacted is not None
    assert len(list(store.list("acme/history/samples/2026/11/21/"))) == 1
    assert journal.fold(store, "acme", "samples", ["n"]) == before
    assert journal.compact_day(store, "acme", "samples", NOW.date()) is None
    for key, data in list(kept.items())[:2]:
        store.put(key, data)
    assert sorted(rows(store)) == sorted(row["n"] for row in before)
    journal.compact_day(store, "acme", "samples", NOW.date())
    assert sorted(rows(store)) == sorted(row["n"] for row in before)


def put_rows(store, stream, age, *names):
    day = NOW - timedelta(days=age)
    for number, name in enumerate(names):
        key = f"acme/history/{stream}/{day:%Y/%m/%d}/{day:%Y%m%d}T0{number}0000Z-{name}"
        store.put(key, json.dumps({"n": name, "age": age}).encode() + b"\n")


def objects(store):
    found = Counter(item.key.rsplit("/", 1)[0].removeprefix("acme/history/") for item in store.list("acme/history/"))
    return dict(found)


def test_past_days_become_one_object_each_and_what_is_recent_single_or_a_table_stays(store):
    for stream in ("evidence", "plans"):
        for age in (400, 8, 7):
            put_rows(store, stream, age, "a.jsonl", "b.jsonl")
    put_rows(store, "plans", 30, "alone.jsonl")
    put_rows(store, "samples", 30, "a.parquet", "b.parquet")
    before = {stream: journal.fold(store, "acme", stream, ["n", "age"]) for stream in ("evidence", "plans")}
    said = compaction.compact_past_days(store, "acme", NOW.date())
    assert (said.verdict, said.message) == ("OK", "4 of 4 past days of history compacted")
    assert objects(store) == {
        "evidence/2025/10/17": 1, "evidence/2026/11/13": 1, "evidence/2026/11/14": 2,
        "plans/2025/10/17": 1, "plans/2026/11/13": 1, "plans/2026/11/14": 2,
        "plans/2026/10/22": 1, "samples/2026/10/22": 2,
    }  # fmt: skip
    assert {stream: journal.fold(store, "acme", stream, ["n", "age"]) for stream in before} == before
    assert compaction.compact_past_days(store, "acme", NOW.date()).message == "0 of 0 past days of history compacted"


def test_one_run_compacts_a_bounded_number_of_days_and_the_next_goes_on(store, monkeypatch):
    monkeypatch.setattr(compaction, "_DAYS_A_RUN", 2)
    for age in (20, 19, 18):
        put_rows(store, "plans", age, "a.jsonl", "b.jsonl")
    assert [compaction.compact_past_days(store, "acme", NOW.date()).value for _ in range(3)] == [2, 1, 0]
    assert list(objects(store)) == ["plans/2026/11/01", "plans/2026/11/02", "plans/2026/11/03"]


def test_a_store_that_keeps_everything_gets_no_second_copy_and_a_damaged_day_stops_no_other(store, monkeypatch):
    put_rows(store, "plans", 20, "a.jsonl", "b.jsonl")
    put_rows(store, "plans", 10, "a.jsonl", "b.jsonl")
    damaged = f"acme/history/plans/{NOW - timedelta(days=20):%Y/%m/%d}/x.jsonl"
    store.put(damaged, b"{")

    def refuse(key):
        raise RefusedError(f"cannot delete {key}")

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", refuse)
        for _ in range(2):
            said = compaction.compact_past_days(store, "acme", NOW.date())
            assert said.verdict == "WARN"
            assert (
                f"0 of 2 past days of history compacted; 2 not: {damaged} of the journal cannot be read" in said.message
            )
            assert list(objects(store).values()) == [3, 3]
    assert compaction.compact_past_days(store, "acme", NOW.date()).value == 1
    assert list(objects(store).values()) == [3, 1]


def test_who_reads_while_a_day_is_compacted_gets_all_rows(store, monkeypatch):
    put_rows(store, "plans", 20, "a.jsonl", "b.jsonl")
    get = store.get

    def compacted_first(key):
        monkeypatch.setattr(store, "get", get)
        compaction.compact_past_days(store, "acme", NOW.date())
        return get(key)

    monkeypatch.setattr(store, "get", compacted_first)
    assert [row["n"] for row in journal.fold(store, "acme", "plans", ["n"])] == ["a.jsonl", "b.jsonl"]


def test_a_reader_who_is_underway_while_days_are_compacted_misses_no_row(store):
    for age in (30, 20, 10):
        put_rows(store, "plans", age, "a.jsonl", "b.jsonl")
    found = journal.read(store, "acme", "plans")
    read = [next(found) for _ in range(3)]  # the first day, and a half of the second
    compaction.compact_past_days(store, "acme", NOW.date())
    read += found
    seen = list(dict.fromkeys((row["age"], row["n"]) for row in read))
    assert seen == [(age, name) for age in (30, 20, 10) for name in ("a.jsonl", "b.jsonl")]


def test_a_damaged_object_is_named(store):
    key = journal.append(store, "acme", "samples", [{"n": 1}], "00000001")
    store.put(key, store.get(key)[:-3])
    with pytest.raises(CorruptError, match=key):
        rows(store)


def test_the_key_says_system_stream_day_and_run(store):
    before = utc_now()
    key = journal.append(store, "acme", "samples", [], "0badcafe")
    assert key[: key.rindex("/")] in {f"acme/history/samples/{moment:%Y/%m/%d}" for moment in (before, utc_now())}
    assert key.endswith("-0badcafe.jsonl")
