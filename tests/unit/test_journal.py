"""The journal: nothing that was acknowledged is lost, whoever writes beside it or is killed."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import CorruptError
from tasks.repository import journal
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
            journal.append(store, "acme", "samples", [{"writer": writer, "n": number}], "00000001")

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
from tasks.repository import journal
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


def test_a_damaged_object_is_named(store):
    key = journal.append(store, "acme", "samples", [{"n": 1}], "00000001")
    store.put(key, store.get(key)[:-3])
    with pytest.raises(CorruptError, match=key):
        rows(store)


def test_the_key_says_system_stream_day_and_run(store):
    key = journal.append(store, "acme", "samples", [], "0badcafe")
    assert key.startswith(f"acme/history/samples/{utc_now():%Y/%m/}")
    assert key.endswith("-0badcafe.jsonl")
